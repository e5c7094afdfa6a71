/** A peer of the book that does its worst. Over QUIC the library keeps no bound itself. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { encodeFrame, FrameReader, FrameType } from './frames.ts'
import { rawLinked, rawPeer, withTarget } from './raw-peer.testkit.ts'

const MIB = 1024 * 1024
const kinds = ['tls', 'quic'] as const

test('a flood of frames costs a bounded share of time: its sender is not read meanwhile', async () => {
  await withTarget(
    async (target, self, peer) => {
      const raw = await rawLinked(target, self, peer)
      const flood = Buffer.concat(Array.from({ length: 1000 }, () => encodeFrame(2, new Uint8Array(40))))
      const startedMs = performance.now()
      for (let i = 0; i < 200; i++) raw.write(flood)
      await target.until(() => target.frames.length > 500, 'the burst')
      await wait(500)
      const elapsedMs = performance.now() - startedMs
      // Each is said to cost 1 ms: half of the time and a burst of 400 ms, beside what one read brings at once.
      const readAtOnce = 65536 / 45
      assert.ok(
        target.frames.length < 400 + elapsedMs * 0.5 + 2 * readAtOnce,
        `${target.frames.length} in ${elapsedMs} ms`,
      )
      assert.ok(raw.waitingBytes() > 0, 'it waits in the buffers of the sender')
      assert.equal(target.links.figures()[0]?.up, true)
      raw.close()
    },
    { frameCostUs: 1000 },
  )
})

test('a flood of frames over QUIC costs a bounded share of time, and its sender loses the link when more than so much is unread', async () => {
  await withTarget(
    async (target, self, peer) => {
      const raw = await rawLinked(target, self, peer, 'quic')
      const flood = Buffer.concat(Array.from({ length: 1000 }, () => encodeFrame(2, new Uint8Array(1000))))
      const startedMs = performance.now()
      for (let i = 0; i < 400 && target.links.figures()[0]?.up === true; i++) {
        raw.write(flood)
        await wait(5)
      }
      await target.until(() => target.changes.at(-1) === '-1', 'the end of the link')
      const elapsedMs = performance.now() - startedMs
      // Each is said to cost 1 ms: half of the time and a burst of 400 ms, beside what one read brings at once.
      assert.ok(target.frames.length < 400 + elapsedMs * 0.5 + 2000, `${target.frames.length} in ${elapsedMs} ms`)
      raw.close()
    },
    { frameCostUs: 1000, kind: 'quic' },
  )
})

for (const kind of kinds) {
  test(`a flood of PING is answered no faster than its budget, and never without bound (${kind})`, async () => {
    await withTarget(
      async (target, self, peer) => {
        const raw = await rawLinked(target, self, peer, kind)
        raw.stopReading()
        const pings = Buffer.concat(Array.from({ length: 5000 }, () => encodeFrame(FrameType.ping, new Uint8Array(8))))
        for (let i = 0; i < 200; i++) raw.write(pings)
        await wait(1000)
        const { queuedBytes = 0 } = target.links.figures()[0] ?? {}
        assert.ok(queuedBytes <= 10 * MIB, `${queuedBytes} bytes of answers wait`)
        raw.close()
      },
      { kind },
    )
  })

  test(`a peer that does not read loses its link when its line is full, and memory stays bounded (${kind})`, async () => {
    await withTarget(
      async (target, self, peer) => {
        const raw = await rawLinked(target, self, peer, kind)
        raw.stopReading()
        const block = encodeFrame(FrameType.block, new Uint8Array(MIB))
        for (let i = 0; i < 120 && target.links.figures()[0]?.up === true; i++) {
          target.links.send('all', block)
          target.links.flush()
          assert.ok((target.links.figures()[0]?.queuedBytes ?? 0) <= 36 * MIB)
          await wait(0)
        }
        await target.until(() => target.changes.includes('-1'), 'the end of the link')
        raw.close()
      },
      { kind },
    )
  })

  test(`half a frame holds its own bytes and no more; garbage ends the link, and its sender is kept out for a while (${kind})`, async () => {
    await withTarget(
      async (target, self, peer) => {
        const raw = await rawLinked(target, self, peer, kind)
        raw.write(encodeFrame(3, new Uint8Array(900_000)).subarray(0, 500_000))
        await target.until(() => (target.links.figures()[0]?.receivedBytes ?? 0) > 500_000, 'half of it')
        assert.equal(target.frames.length, 0)
        raw.write(new Uint8Array(400_005))
        await target.until(() => target.frames.length === 1, 'the whole frame')
        raw.write(Buffer.from([0xff, 1, 2, 3, 4, 5]))
        await raw.closed
        const broke = /broke the rules: unknown frame type/
        await target.until(() => target.lines.some(({ message }) => broke.test(message)), 'line')
        const again = await rawPeer(kind, self, peer)
        // A stream of QUIC is not known to the other end before something is written to it.
        if (kind === 'quic') again.write(Buffer.from([0]))
        await again.closed
        assert.equal(again.received.length, 0, 'it is not even greeted')
      },
      { kind },
    )
  })

  test(`connections that never greet are few at a time, and end (${kind})`, async () => {
    await withTarget(
      async (target, self, peer) => {
        const raws = await Promise.all(Array.from({ length: 8 }, () => rawPeer(kind, self, peer)))
        let open = raws.length
        for (const raw of raws) {
          void raw.closed.then(() => open--)
          if (kind === 'quic') raw.write(Buffer.from([FrameType.challenge]))
        }
        await target.until(() => open <= 4, 'all but four to be closed')
        await target.until(() => open === 0, 'the others to be closed, since they do not greet')
        assert.deepEqual(target.changes, [])
      },
      { kind },
    )
  })
}

test('answers in bulk that find no room are dropped and counted, and the link stays', async () => {
  await withTarget(async (target, self, peer) => {
    const raw = await rawLinked(target, self, peer)
    raw.stopReading()
    const answer = encodeFrame(FrameType.snap, new Uint8Array(MIB))
    for (let i = 0; i < 40; i++) target.links.send(1, answer)
    const figures = target.links.figures()[0]
    assert.equal(figures?.up, true)
    assert.ok((figures?.droppedFrames ?? 0) >= 20)
    raw.close()
  })
})

test('blocks overtake answers in bulk', async () => {
  await withTarget(async (target, self, peer) => {
    const raw = await rawLinked(target, self, peer)
    for (let i = 0; i < 4; i++) target.links.send(1, encodeFrame(FrameType.snap, new Uint8Array(10)))
    target.links.send(1, encodeFrame(2, new Uint8Array(10)))
    target.links.send(1, encodeFrame(FrameType.block, new Uint8Array(10)))
    target.links.flush()
    const types = (): (number | undefined)[] => {
      const found: (number | undefined)[] = []
      new FrameReader(1024).push(Buffer.concat(raw.received), (frame) => found.push(frame[0]) > 0)
      return found.slice(2).filter((type) => type !== FrameType.ping)
    }
    await target.until(() => types().length === 6, 'all six')
    assert.deepEqual(types(), [FrameType.block, 2, FrameType.snap, FrameType.snap, FrameType.snap, FrameType.snap])
    raw.close()
  })
})
