/**
 * One of four nodes lies, in every way that its key allows: the three honest ones keep one order and lose nothing, their clients'
 * sessions stay as they are, and once it forks they all prove that, say so and take no more of it.
 */
import type { ClusterProcesses } from '../../testkit/src/cluster-process.ts'
import { FlowClient } from '../../testkit/src/flow-client.ts'
import * as wire from '../../testkit/src/wire.ts'
import type { Verdict } from './proof.ts'
import { runTrial } from './trial.ts'

export interface LiarProofOptions {
  readonly transport: 'quic' | 'tls'
  /** Of each publisher in each step. */
  readonly messages: number
  /** Lies that are told at once, one chapter after the other, each with a new start of the node. */
  readonly chapters?: readonly string[]
  readonly withinMs: number
  readonly say?: (line: string) => void
}

const honest = [0, 1, 2]
const liar = 3
const servedWithinMs = 5_000
/** The last one ends the liar's part in the order. */
const liarChapters = [
  'signature',
  'replay',
  'silence',
  'garbage,foreign',
  'flood',
  'signature,replay,silence,foreign,flood',
  'fork',
]
const preload = [new URL('preload/liar.ts', import.meta.url).href]

export async function proveLiar(options: LiarProofOptions): Promise<Verdict> {
  const { transport, messages, chapters = liarChapters, withinMs, say } = options
  let lies = ''
  return await runTrial(
    {
      ...{ nodes: 4, messages, withinMs, say, judged: honest },
      cluster: () => ({
        flags: ['--cluster-transport', transport],
        environment: { CONCORDMQ_SYS_INTERVAL_SECONDS: '1' },
        special: (node) => (node === liar ? { preload, environment: { CONCORDMQ_TEST_LIES: lies } } : {}),
      }),
    },
    async (trial) => {
      const { cluster } = trial
      for (const chapter of chapters) {
        await cluster.kill(liar)
        lies = chapter
        await cluster.start(liar)
        // It need not come to that: the others may have shown it the door.
        await cluster.served(liar, servedWithinMs)
        const sly = slyClient(cluster)
        const begunMs = performance.now()
        await trial.published(chapter, honest)
        trial.figures[`${chapter}Ms`] = Math.round(performance.now() - begunMs)
        sly.drop()
      }
      await trial.finished(honest.map((node) => jailedAt(cluster, node)))
      await trial.published('jailed', honest)
      await trial.last(honest)
      for (const node of honest) {
        const complaints = cluster.process(node).complaints.map((line) => JSON.parse(line) as Complaint)
        const isProven = complaints.some(({ fields }) => fields?.event === 'cluster.jailed' && fields.node === liar)
        if (!isProven) trial.violations.push(`Node ${node} does not say that node ${liar} is jailed`)
        // One that had no CPU for long is gone to the others, which is no blame.
        const blamed = complaints.filter(
          ({ fields }) => fields?.node !== undefined && fields.node !== liar && fields.event !== 'node.fell',
        )
        for (const { fields } of blamed)
          trial.violations.push(`Node ${node} blames an honest one: ${JSON.stringify(fields)}`)
      }
    },
  )
}

interface Complaint {
  readonly fields?: { readonly event?: string; readonly node?: number }
}

/** A client of the liar, so that it has commands of its own to hide others among. */
function slyClient(cluster: ClusterProcesses): FlowClient {
  const { target } = cluster.process(liar)
  let id = 0
  let timer: NodeJS.Timeout | undefined
  return new FlowClient(target, {
    version: 5,
    connect: { clientId: 'sly' },
    onPacket: ({ type }, client) => {
      if (type !== 'CONNACK') return
      timer = setInterval(() => client.send(wire.publish(5, 'sly', `${++id}`, { qos: 1, id: (id % 60_000) + 1 })), 20)
      timer.unref()
    },
    onClose: () => clearInterval(timer),
  })
}

/** When `$SYS/cluster/nodes/jailed` of a node names the liar. */
async function jailedAt(cluster: ClusterProcesses, node: number): Promise<void> {
  const { target } = cluster.process(node)
  const { promise, resolve } = Promise.withResolvers<void>()
  const client = new FlowClient(target, {
    version: 5,
    connect: { clientId: `watches-${node}` },
    onPacket: ({ type, payload }, watcher) => {
      if (type === 'CONNACK') watcher.send(wire.subscribe(5, 1, [['$SYS/cluster/nodes/jailed', 0]]))
      else if (type === 'PUBLISH' && payload.toString() === String(liar)) resolve()
    },
  })
  await promise
  client.disconnect()
}
