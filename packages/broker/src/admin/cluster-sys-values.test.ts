import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AdminDocument, AdminSubject } from '@concordmq/state'
import type { OrderedLog } from '../model/ordered-log.ts'
import { Counters } from '../telemetry/counters.ts'
import { clusterSysTopics, clusterSysValues } from './cluster-sys-values.ts'

test('clusterSysTopics() tells the figures of the log, nodes by their indices', () => {
  const log: Pick<OrderedLog, 'node' | 'nodes' | 'status'> = {
    node: 2,
    nodes: [0, 1, 2, 3].map((node) => ({ publicKey: new Uint8Array(65), keyId: String(node), address: '' })),
    status: {
      mode: 'active',
      epoch: 0,
      round: 17,
      nextStep: 15,
      position: 40,
      consensusUs: 1_700_000_000_999_999,
      checkpointStep: 0,
      connected: 0b1001,
      jailed: 0b0010,
      demoted: 0,
      fairCuts: 0,
      fairLate: 0,
      queuedMessages: 3,
      queuedBytes: 120,
    },
  }
  const counters = new Counters()
  counters.fastPublished = 9
  counters.sealedVoid = 1
  const documents = new Map<AdminSubject, { readonly document: AdminDocument }>([
    ['permissions', { document: { subject: 'permissions', version: 3, text: Buffer.from('default = "deny"\n') } }],
    ['users', { document: { subject: 'users', version: 2, text: undefined } }],
  ])
  const told = clusterSysTopics({ log: log as OrderedLog, counters: () => counters, documents: () => documents })
  const topics = new Map(told.map(({ topic, payload }) => [topic, payload]))
  assert.equal(topics.size, Object.keys(clusterSysValues).length)
  assert.equal(topics.get('$SYS/cluster/mode'), 'active')
  assert.equal(topics.get('$SYS/cluster/node'), '2')
  assert.equal(topics.get('$SYS/cluster/nodes/count'), '4')
  assert.equal(topics.get('$SYS/cluster/nodes/connected'), '0 3')
  assert.equal(topics.get('$SYS/cluster/nodes/jailed'), '1')
  assert.equal(topics.get('$SYS/cluster/nodes/demoted'), '')
  assert.equal(topics.get('$SYS/cluster/position'), '40')
  assert.equal(topics.get('$SYS/cluster/time'), '1700000000')
  assert.equal(topics.get('$SYS/cluster/fast/published'), '9')
  assert.equal(topics.get('$SYS/cluster/sealed/void'), '1')
  assert.equal(topics.get('$SYS/cluster/documents/permissions'), '3')
  // Withdrawn, as where there never was one: each node's own file counts.
  assert.equal(topics.get('$SYS/cluster/documents/users'), '0')
})
