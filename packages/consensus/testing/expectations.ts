/** What tests expect of a cluster again and again. */
import assert from 'node:assert/strict'
import { FrameType } from '../src/bytes/frames.ts'
import type { Cluster } from './cluster.ts'

const SECOND_US = 1_000_000

/** The given nodes (all, if none are named) come to have the same log of so many messages. */
export function assertOrdered(cluster: Cluster, count: number, nodes: readonly number[] = everyone(cluster)): void {
  const done = cluster.runUntil(() => nodes.every((node) => cluster.texts(node).length >= count), 60 * SECOND_US)
  assert.ok(done, `logs have ${nodes.map((node) => cluster.texts(node).length).join(', ')} of ${count} messages`)
  const [first] = nodes as [number]
  for (const node of nodes) assert.deepEqual(cluster.nodes[node]?.log, cluster.nodes[first]?.log)
}

/** Within a second or so, no node makes blocks any more. */
export function assertSilent(cluster: Cluster): void {
  cluster.run(SECOND_US)
  const before = blocksSent(cluster)
  cluster.run(5 * SECOND_US)
  assert.equal(blocksSent(cluster), before, 'blocks are made although nothing is to do')
}

/** Blocks that left, of all nodes. */
export function blocksSent(cluster: Cluster): number {
  return cluster.nodes.reduce((sum, node) => sum + (node.sent.get(FrameType.block) ?? 0), 0)
}

/** From now on, no node may send two blocks of one round. */
export function forbidForks(cluster: Cluster): void {
  const seen = new Map<string, string>()
  const { watch } = cluster
  cluster.watch = (node, effect) => {
    if (effect.type === 'send' && effect.frame[0] === FrameType.block) {
      const frame = Buffer.from(effect.frame)
      // Behind type and length: magic u32, epoch u32, author u8, round u64.
      const name = `${node}: epoch ${frame.readUInt32BE(9)}, round ${frame.readBigUInt64BE(14)}`
      const bytes = frame.toString('latin1')
      assert.equal(seen.get(name) ?? bytes, bytes, `two blocks of node ${name}`)
      seen.set(name, bytes)
    }
    return watch(node, effect)
  }
}

function everyone(cluster: Cluster): number[] {
  return cluster.nodes.map((_, node) => node)
}
