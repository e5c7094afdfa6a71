/** The node as a whole: what it is and how it does, and taking it out of service. */
import { hostname } from 'node:os'
import { performance } from 'node:perf_hooks'
import process from 'node:process'
import { programVersion } from '../version.ts'
import { ControlError } from './control-error.ts'
import type { ControlHandler } from './controlled-node.ts'
import { readBody } from './read-body.ts'

const overSecondsMax = 3_600

/** The fields that row U22 names, and what else an operator asks first. */
export const nodeState: ControlHandler = (_request, { broker, cluster, listeners, plan, startedAtMs }) => {
  const totals = broker.inspection.totals()
  const perListener = new Map<string, number>()
  for (const { listener } of broker.clients()) perListener.set(listener, (perListener.get(listener) ?? 0) + 1)
  // Since the process began, as fubar's is; the share of time in which the loop had work.
  const load = Math.round(performance.eventLoopUtilization().utilization * 1_000) / 1_000
  return {
    name: plan.key.id,
    description: `ConcordMQ on ${hostname()}`,
    version: programVersion(),
    listeners: listeners.map(({ name, kind, address }) => ({
      name,
      transport: kind,
      address,
      connections: perListener.get(name) ?? 0,
      // One process accepts for all of them.
      acceptors: 1,
    })),
    nodes: cluster === undefined ? [plan.key.id] : cluster.nodes.map(({ keyId }) => keyId),
    routes: totals.subscriptions,
    memory_mb: Math.round(process.memoryUsage().rss / 1_048_576),
    load,
    min_load: load,
    pid: process.pid,
    ready: broker.ready,
    uptime_seconds: Math.floor((Date.now() - startedAtMs) / 1_000),
    directory: plan.configuration.directory,
    ...totals,
    counters: Object.fromEntries(Object.entries(broker.counters)),
  }
}

/** Answers at once; the node goes on draining and then stops. */
export const drainNode: ControlHandler = ({ body }, { broker, stop, logger }) => {
  const { over, serverReference } = readBody(body, { over: 'integer', serverReference: 'text' })
  const seconds = over ?? 30
  if (seconds < 0 || seconds > overSecondsMax) {
    throw new ControlError(400, `"over" must be an integer from 0 to ${overSecondsMax}, not ${seconds}`)
  }
  if (!broker.ready) throw new ControlError(409, 'The node is being drained, or stops')
  const { clients } = broker.inspection.totals()
  logger.info({ event: 'node.draining', clients, over_seconds: seconds }, 'draining: no new connections')
  void broker
    .drain({ overMs: seconds * 1_000, ...(serverReference !== undefined && { serverReference }) })
    .finally(stop)
  return { clients, over: seconds }
}
