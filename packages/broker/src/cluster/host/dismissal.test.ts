/** What a node is told at its return that is none any more. */
import assert from 'node:assert/strict'
import type { KeyObject } from 'node:crypto'
import { test } from 'node:test'
import { type LogLine, makeKeys } from '../cluster.testkit.ts'
import { type ClusterNode, submit, TestCluster } from '../consensus.testkit.ts'
import { signReconfiguration } from '../reconfiguration.ts'

for (const choice of ['tls', 'quic'] as const) {
  test(`a node that was taken out while it was down learns it from the others at its return, over ${choice}`, async () => {
    const [operator] = makeKeys(1) as [KeyObject]
    const cluster = await TestCluster.start(4, choice, [operator])
    try {
      const [first] = cluster.nodes
      assert.ok(first)
      await submit(first.consensus, Buffer.from('before'))
      await cluster.nodes[1]?.consensus.stop()
      const { epoch } = first.consensus
      const left = epoch.nodes.filter((_, i) => i !== 1)
      await first.consensus.reconfigure(signReconfiguration(epoch, left, [{ operator: 0, privateKey: operator }]))
      await cluster.restart(1)
      const { lines, consensus } = cluster.nodes[1] as ClusterNode
      const failure = /^This node was taken out of the cluster: epoch 1 is without it/
      await eventually(() => lines.some(({ level, message }) => level === 'failure' && failure.test(message)), lines)
      assert.equal(consensus.epoch.number, 0)
      const dismissed = /its key [0-9a-f]{16} is that of a node that was taken out of the cluster/
      assert.ok(cluster.nodes.some((node) => node.lines.some(({ message }) => dismissed.test(message))))
      await submit(first.consensus, Buffer.from('after'))
    } finally {
      await cluster.stop()
    }
  })
}

async function eventually(holds: () => boolean, lines: readonly LogLine[]): Promise<void> {
  for (let waited = 0; !holds(); waited += 20) {
    if (waited > 30_000) assert.fail(lines.map(({ message }) => message).join('\n'))
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
