/** What goes through a cluster another way than through the order as it is: beside it, and sealed. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MessageKind } from '@concordmq/consensus'
import type { Placement } from '../model/ordered-log.ts'
import { type ClusterNode, submit, TestCluster } from './consensus.testkit.ts'

for (const choice of ['tls', 'quic'] as const) {
  test(`what nodes tell each other beside the order arrives over ${choice}, in order, and who breaks its rules is kept out`, async () => {
    const cluster = await TestCluster.start(4, choice)
    try {
      const [first, second] = cluster.nodes as [ClusterNode, ClusterNode]
      await first.recorder.untilHeard(() => first.recorder.reached === 0b1110, 'links to all others')
      for (let i = 0; i < 200; i++) {
        first.consensus.relay.send(1, 'messages', Buffer.from(`${i}`))
        if (i % 50 === 49) first.consensus.relay.send(1, 'taken', Buffer.from(`${i}`))
        first.consensus.relay.flush()
      }
      const { relayed } = second.recorder
      await second.recorder.untilHeard(() => relayed.length === 204, 'all of it')
      const messages = relayed.filter((line) => line.startsWith('0 messages'))
      assert.deepEqual(
        messages,
        Array.from({ length: 200 }, (_, i) => `0 messages ${i}`),
      )
      first.consensus.relay.send(1, 'messages', Buffer.from('nonsense'))
      first.consensus.relay.flush()
      await second.recorder.untilHeard(() => (second.recorder.reached & 1) === 0, 'the end of the link')
      const said = second.lines.filter(({ fields }) => fields['event'] === 'cluster.link.dropped')
      assert.match(said[0]?.message ?? '', /node 0 .*it relays nonsense/)
      assert.equal((await submit(first.consensus, Buffer.from('the order goes on'))).type, 'placed')
    } finally {
      await cluster.stop()
    }
  })
}

test('what is sealed has its place before anybody can read it, and is opened at the same place on all nodes', async () => {
  const cluster = await TestCluster.start(4, 'tls')
  try {
    const [first, second] = cluster.nodes as [ClusterNode, ClusterNode]
    const bids = ['bid 17', 'bid 4', 'bid 99']
    const placements = await Promise.all(
      bids.map((bid) => new Promise<Placement>((resolve) => first.consensus.submitSealed(Buffer.from(bid), resolve))),
    )
    const positions = placements.map((placement) => (placement.type === 'placed' ? placement.position : assert.fail()))
    for (const { recorder } of cluster.nodes) {
      await recorder.untilHeard(() => recorder.verdicts.length === 3, 'three verdicts')
      assert.deepEqual(recorder.verdicts.toSorted(), bids.map((bid, i) => `${positions[i]} ${bid}`).toSorted())
      assert.deepEqual(recorder.verdicts, first.recorder.verdicts)
      for (const position of positions) {
        const sealed = recorder.messages[position]
        assert.equal(sealed?.kind, MessageKind.sealed)
        assert.equal(Buffer.from(sealed?.bytes ?? []).includes('bid'), false)
      }
    }
    // Nothing but what a node of the book wrote to the others is opened.
    second.consensus.submit(Buffer.from('plain'))
    await cluster.nodes[3]?.recorder.until(positions.length + 1, 'the order goes on')
  } finally {
    await cluster.stop()
  }
})

test('what a node sealed before it died is opened by the others, and by itself when it is back', async () => {
  const cluster = await TestCluster.start(4, 'tls')
  try {
    const [first, second] = cluster.nodes as [ClusterNode, ClusterNode]
    await new Promise<Placement>((resolve) => first.consensus.submitSealed(Buffer.from('bid 17'), resolve))
    await first.consensus.stop()
    await second.recorder.untilHeard(() => second.recorder.verdicts.length === 1, 'the verdict')
    await cluster.restart(0)
    const returned = cluster.nodes[0]?.recorder
    assert.ok(returned)
    await returned.untilHeard(() => returned.verdicts.length === 1, 'the verdict again')
    assert.deepEqual(returned.verdicts, second.recorder.verdicts)
    assert.match(returned.verdicts[0] ?? '', /bid 17/)
  } finally {
    await cluster.stop()
  }
})
