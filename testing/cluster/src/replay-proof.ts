/**
 * What one node was given from the order during a day of faults, given to a fresh machine again: at every checkpoint that the node
 * took its state has the same hashes.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { deserialize } from 'node:v8'
import { MessageKind } from '@concordmq/consensus'
import { type BundleEffects, Machine, type MachineSettings } from '@concordmq/state'
import type { OrderedUnit } from '../../../packages/broker/src/model/ordered-log.ts'
import { HeldSnapshot } from '../../../packages/broker/src/ordering/held-snapshot.ts'
import { FlowClient } from '../../testkit/src/flow-client.ts'
import * as wire from '../../testkit/src/wire.ts'
import type { Verdict } from './proof.ts'
import { type ProofTerms, runTrial, type Trial } from './trial.ts'

export type Recorded =
  | { readonly type: 'settings'; readonly settings: MachineSettings }
  | { readonly type: 'unit'; readonly unit: OrderedUnit }
  /** The machine's state was held here. */
  | { readonly type: 'checkpoint'; readonly position: number }
  | { readonly type: 'hashes'; readonly position: number; readonly hashes: readonly string[] }

const all = [0, 1, 2, 3]
const recorded = 0
const preload = [new URL('preload/recorder.ts', import.meta.url).href]

/** Nobody listens to a machine that is told old things. */
const deaf: BundleEffects = {
  published() {},
  queued() {},
  deliver() {},
  connectionEnded() {},
  sessionEnded() {},
  dropped() {},
  run() {},
  applying() {},
  answered() {},
  nodeFell() {},
}

export async function proveReplay({ messages, withinMs, say }: ProofTerms): Promise<Verdict> {
  let recording = ''
  return await runTrial(
    {
      ...{ nodes: all.length, messages, withinMs, say },
      cluster: (directory) => {
        recording = join(directory, 'recording')
        const environment = { CONCORDMQ_TEST_RECORDING: recording }
        return { special: (node) => (node === recorded ? { preload, environment } : {}) }
      },
    },
    async (trial) => {
      await trial.published('before', all)
      await trial.clientWithWill('widow', 3)
      await trial.cluster.kill(3)
      await trial.published('without', [0, 1, 2])
      await trial.finished(trial.subscribers.slice(0, 3).map((one) => one.until('order/will widow:0')))
      await trial.cluster.start(3)
      await trial.published('after', all)
      await trial.last(all)
      await trial.finished([checkpointed(trial)])
      const { compared, differing, positions } = await replayed(read(recording))
      Object.assign(trial.figures, { checkpoints: compared, positions })
      if (compared === 0) trial.violations.push('The node took no checkpoint: nothing was compared')
      for (const position of differing) trial.violations.push(`The state at ${position} has other hashes`)
    },
  )
}

/** Asks for a proof, which has a checkpoint taken behind what was ordered so far. */
async function checkpointed({ cluster }: Trial): Promise<void> {
  await cluster.served(recorded)
  const { promise, resolve } = Promise.withResolvers<void>()
  const client = new FlowClient(cluster.process(recorded).target, {
    version: 5,
    connect: { clientId: 'asks' },
    onPacket: ({ type }, asker) => {
      const properties: readonly wire.Property[] = [['responseTopic', 'proof']]
      if (type === 'CONNACK') asker.send(wire.publish(5, '$concord/proof', '1', { qos: 1, id: 1, properties }))
      else if (type === 'PUBLISH') resolve()
    },
  })
  await promise
  client.disconnect()
}

function read(path: string): Recorded[] {
  const lines = readFileSync(path, 'latin1').split('\n').slice(0, -1)
  return lines.map((line) => deserialize(Buffer.from(line, 'base64')) as Recorded)
}

async function replayed(records: readonly Recorded[]): Promise<{
  readonly compared: number
  readonly differing: readonly number[]
  readonly positions: number
}> {
  const expected = new Map<number, string>()
  for (const record of records) if (record.type === 'hashes') expected.set(record.position, record.hashes.join())
  const [first] = records
  if (first?.type !== 'settings') throw new Error('The recording does not begin with the settings of the machine')
  const machine = new Machine(first.settings)
  const differing: number[] = []
  let compared = 0
  for (const record of records) {
    if (record.type === 'unit') apply(machine, record.unit)
    const hashes = record.type === 'checkpoint' ? expected.get(record.position) : undefined
    if (record.type !== 'checkpoint' || hashes === undefined) continue
    const snapshot = new HeldSnapshot(machine.snapshot())
    snapshot.finish()
    const own = (await snapshot.hashes()).map((hash) => Buffer.from(hash).toString('hex')).join()
    compared++
    if (own !== hashes) differing.push(record.position)
  }
  return { compared, differing, positions: machine.position + 1 }
}

function apply(machine: Machine, { messages, step, linearised, jailed }: OrderedUnit): void {
  const [first] = messages
  const place = { position: first?.position ?? machine.position, timeUs: first?.consensusUs ?? machine.timeUs }
  machine.beginUnit({ ...place, step, linearised, jailed }, deaf)
  for (const { position, consensusUs: timeUs, author: node, kind, bytes } of messages) {
    if (kind === MessageKind.payload) machine.applyBundle({ position, timeUs, node, bytes }, deaf)
    else machine.pass(position, timeUs, deaf)
  }
}
