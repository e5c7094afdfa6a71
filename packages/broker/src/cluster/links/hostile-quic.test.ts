/** A peer of the book that does its worst, over QUIC: what `hostile.test.ts` shows over TLS, where the library keeps no bound itself. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { encodeFrame, FrameType } from './frames.ts'
import { rawLinked, rawQuic, withTarget } from './raw-peer.testkit.ts'

const MIB = 1024 * 1024

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

test('a flood of PING over QUIC is never answered without bound', async () => {
  await withTarget(
    async (target, self, peer) => {
      const raw = await rawLinked(target, self, peer, 'quic')
      raw.stopReading()
      const pings = Buffer.concat(Array.from({ length: 5000 }, () => encodeFrame(FrameType.ping, new Uint8Array(8))))
      for (let i = 0; i < 100; i++) raw.write(pings)
      await wait(1000)
      const { queuedBytes = 0 } = target.links.figures()[0] ?? {}
      assert.ok(queuedBytes <= 10 * MIB, `${queuedBytes} bytes of answers wait`)
      raw.close()
    },
    { kind: 'quic' },
  )
})

test('a peer that does not read over QUIC loses its link when its line is full, and memory stays bounded', async () => {
  await withTarget(
    async (target, self, peer) => {
      const raw = await rawLinked(target, self, peer, 'quic')
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
    { kind: 'quic' },
  )
})

test('half a frame over QUIC waits for its rest; garbage ends the link, and its sender is kept out for a while', async () => {
  await withTarget(
    async (target, self, peer) => {
      const raw = await rawLinked(target, self, peer, 'quic')
      raw.write(encodeFrame(3, new Uint8Array(900_000)).subarray(0, 500_000))
      await target.until(() => (target.links.figures()[0]?.receivedBytes ?? 0) > 500_000, 'half of it')
      assert.equal(target.frames.length, 0)
      raw.write(new Uint8Array(400_005))
      await target.until(() => target.frames.length === 1, 'the whole frame')
      raw.write(Buffer.from([0xff, 1, 2, 3, 4, 5]))
      await raw.closed
      await target.until(
        () => target.lines.some(({ message }) => /broke the rules: unknown frame type/.test(message)),
        'line',
      )
      const again = await rawQuic(self, peer)
      again.write(Buffer.from([0]))
      await again.closed
      assert.equal(again.received.length, 0, 'it is not even greeted')
    },
    { kind: 'quic' },
  )
})

test('connections over QUIC that never greet are few at a time, and end', async () => {
  await withTarget(
    async (target, self, peer) => {
      const raws = await Promise.all(Array.from({ length: 8 }, () => rawQuic(self, peer)))
      let open = raws.length
      for (const raw of raws) {
        void raw.closed.then(() => open--)
        // A stream is not known to the other end before something is written to it.
        raw.write(Buffer.from([FrameType.challenge]))
      }
      await target.until(() => open <= 4, 'all but four to be closed')
      await target.until(() => open === 0, 'the others to be closed, since they do not greet')
      assert.deepEqual(target.changes, [])
    },
    { kind: 'quic' },
  )
})
