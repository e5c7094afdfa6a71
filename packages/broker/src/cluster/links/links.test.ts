import assert from 'node:assert/strict'
import { type KeyObject, randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { freeAddresses, makeKeys, makeMembers, makeTestEpoch, openNode, type TestNode } from '../cluster.testkit.ts'
import { encodeFrame } from './frames.ts'
import type { TransportChoice } from './open-transports.ts'
import { rawLinked, withTarget } from './raw-peer.testkit.ts'

async function closeAll(nodes: readonly TestNode[]): Promise<void> {
  await Promise.all(nodes.map(({ links }) => links.close()))
}

/** Sends so many frames over each link, of many lengths, and waits for all of them, whole and in order. */
async function arrives(nodes: readonly TestNode[], count: number): Promise<void> {
  const changes = (): number => nodes.reduce((sum, node) => sum + node.changes.length, 0)
  for (let attempt = 0; attempt < 10; attempt++) {
    for (const node of nodes) {
      await node.until(() => node.links.figures().every(({ up }) => up), 'all links')
      node.frames.length = 0
    }
    const before = changes()
    for (const [from, node] of nodes.entries()) {
      for (let i = 0; i < count; i++)
        node.links.send('all', encodeFrame(2, Buffer.concat([Buffer.of(attempt, from), Buffer.alloc(i * 997, i)])))
      node.links.flush()
    }
    const expected = Array.from({ length: count }, (_, i) => [i * 997, i === 0 ? undefined : i])
    const complete = (node: TestNode): boolean =>
      nodes.every((sender, from) => sender === node || received(node, attempt, from).length === count)
    for (const node of nodes) await node.until(() => complete(node) || changes() > before, 'all frames')
    // Two ends that dial at once have two links for a moment, and what the one that goes was given goes with it.
    if (!nodes.every(complete)) continue
    for (const node of nodes) {
      for (const [from, sender] of nodes.entries())
        if (sender !== node) assert.deepEqual(received(node, attempt, from), expected)
    }
    return
  }
  assert.fail('links do not stay')
}

/** Of each frame of one sender: how many bytes follow those that name attempt and sender, and the first of them. */
function received({ frames }: TestNode, attempt: number, from: number): (readonly (number | undefined)[])[] {
  return frames
    .filter((one) => one.from === from && one.frame[5] === attempt)
    .map(({ frame }) => [frame.length - 7, frame[7]])
}

for (const choice of ['tls', 'quic'] as const satisfies TransportChoice[]) {
  test(`four nodes link over ${choice}, one link for each pair, and frames arrive whole and in order`, async () => {
    const keys = makeKeys(4)
    const addresses = await freeAddresses(4)
    const epoch = makeTestEpoch({ keys, addresses })
    const nodes = await Promise.all(keys.map((key) => openNode(makeMembers(epoch, key), choice)))
    try {
      for (const node of nodes)
        await node.until(() => node.links.figures().every(({ up }) => up), 'links to all three peers')
      for (const node of nodes) assert.deepEqual(node.links.transports, [choice])
      for (const node of nodes) for (const { transport } of node.links.figures()) assert.equal(transport, choice)
      await arrives(nodes, 50)
      await nodes[0]?.until(() => nodes[0]?.links.figures().every(({ rttUs }) => rttUs > 0) === true, 'round trips')
    } finally {
      await closeAll(nodes)
    }
  })
}

test('one cluster mixes transports: nodes with both, with QUIC only and with TLS only', async () => {
  const keys = makeKeys(4)
  const addresses = await freeAddresses(4)
  const epoch = makeTestEpoch({ keys, addresses })
  const choices = ['auto', 'auto', 'quic', 'tls'] as const
  const nodes = await Promise.all(keys.map((key, i) => openNode(makeMembers(epoch, key), choices[i] ?? 'auto')))
  try {
    const [first, second] = nodes
    for (const node of [first, second])
      await node?.until(() => node.links.figures().every(({ up }) => up), 'links to all three peers')
    assert.deepEqual(first?.links.transports, ['quic', 'tls'])
    assert.deepEqual(
      first?.links.figures().map(({ transport }) => transport),
      ['quic', 'quic', 'tls'],
    )
  } finally {
    await closeAll(nodes)
  }
})

test('books may name nodes by IPv6 address and by host name', async () => {
  const keys = makeKeys(2)
  const [six] = await freeAddresses(1, '[::1]')
  const [four] = await freeAddresses(1)
  const named = `localhost:${four?.split(':').at(-1)}`
  const epoch = makeTestEpoch({ keys, addresses: [six ?? '', named] })
  for (const choice of ['tls', 'quic'] as const) {
    const nodes = await Promise.all([
      openNode(makeMembers(epoch, keys[0] as KeyObject), choice),
      openNode(makeMembers(epoch, keys[1] as KeyObject), choice, four),
    ])
    try {
      for (const node of nodes) await node.until(() => node.links.figures()[0]?.up === true, `a link over ${choice}`)
    } finally {
      await closeAll(nodes)
    }
  }
})

test('a node that went away and came back is linked again, and both ends say so', async () => {
  const keys = makeKeys(2)
  const epoch = makeTestEpoch({ keys, addresses: await freeAddresses(2) })
  const [own, other] = keys as [KeyObject, KeyObject]
  for (const choice of ['tls', 'quic'] as const) {
    const node = await openNode(makeMembers(epoch, own), choice)
    const peer = await openNode(makeMembers(epoch, other), choice)
    await node.until(() => node.links.figures()[0]?.up === true, 'the link')
    await peer.links.close()
    await node.until(() => node.changes.at(-1) === '-1', 'the end of the link')
    const again = await openNode(makeMembers(epoch, other), choice)
    try {
      await node.until(() => node.changes.at(-1) === '+1', 'another link')
    } finally {
      await closeAll([node, again])
    }
  }
})

test('a node that was killed without a word is linked again as soon as it is back, long before its old link counts as dead', async () => {
  await withTarget(async (target, self, killed) => {
    // Over UDP the old link just falls silent.
    await rawLinked(target, self, killed)
    const [address = ''] = await freeAddresses(1)
    const begunMs = performance.now()
    const successor = await openNode({ ...killed, instance: randomBytes(16) }, 'tls', address)
    try {
      await target.until(() => target.changes.length === 3, 'the link of the successor')
      assert.deepEqual(target.changes, ['+1', '-1', '+1'])
      assert.ok(performance.now() - begunMs < 2000, `${performance.now() - begunMs} ms`)
    } finally {
      await successor.links.close()
    }
  })
})

for (const choice of ['tls', 'quic'] as const satisfies TransportChoice[]) {
  test(`a node that stood still for longer than peers may be silent finds its links as they were, over ${choice}`, async () => {
    const keys = makeKeys(2)
    const addresses = await freeAddresses(2)
    const epoch = makeTestEpoch({ keys, addresses })
    const nodes = await Promise.all(keys.map((key) => openNode(makeMembers(epoch, key), choice)))
    try {
      for (const node of nodes) await node.until(() => node.links.figures().some(({ up }) => up), 'the link')
      const before = nodes.map(({ changes }) => changes.length)
      // Both: they are in one process.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 4_500)
      for (const [i, node] of nodes.entries()) {
        node.links.send('all', encodeFrame(3, Buffer.from('after')))
        node.links.flush()
        const other = nodes[1 - i] as TestNode
        await other.until(() => other.frames.length > 0, 'a frame')
      }
      assert.deepEqual(
        nodes.map(({ changes }) => changes.length),
        before,
      )
    } finally {
      await closeAll(nodes)
    }
  })
}
