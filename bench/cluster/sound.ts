/** A cluster in which all is well: what an order costs, and how long it takes. */
import { setTimeout as after } from 'node:timers/promises'
import { openFlow } from '../../testing/testkit/src/flow-client.ts'
import * as wire from '../../testing/testkit/src/wire.ts'
import { cpuSeconds, milliseconds, mqload, type Run, type Scenario, targetOf } from './tools.ts'

/** After its start a process compiles and collects for a while. */
const settleMs = 5000
const singles = 40
/** Between single messages: everything about the last one is over. */
const pauseMs = 250

export const idle: Scenario = async ({ cluster, seconds, samples }) => {
  await after(settleMs)
  const before = cluster.alive.map((node) => cpuSeconds(cluster.process(node).pid))
  await after(seconds * 1000)
  const shares = cluster.alive.map((node, i) => (cpuSeconds(cluster.process(node).pid) - (before[i] ?? 0)) / seconds)
  const most = Math.max(...shares)
  samples['idle'] = shares
  const value = `${(most * 100).toFixed(1)} %`
  return { what: 'CPU of a node while nobody publishes', value, bar: '< 1 %', ok: most < 0.01 }
}

export const single: Scenario = async (run) => {
  const { p50, p90 } = await timesOfSingles(run, 'single')
  return {
    what: 'one message into an idle cluster, to another node',
    value: `p50 ${p50.toFixed(1)} ms, p90 ${p90.toFixed(1)} ms`,
    bar: 'p50 ≤ 10 ms',
    ok: p50 <= 10,
  }
}

/** One message after the other on this topic, each into a cluster that is idle again: from node 0 to node 1, ms. */
export async function timesOfSingles(
  { cluster, samples }: Run,
  topic: string,
): Promise<{ readonly p50: number; readonly p90: number }> {
  let arrived: (() => void) | undefined
  const { client: subscriber } = await openFlow(targetOf(cluster, 1), {
    ...{ version: 4, connect: { clientId: `${topic}-sub` } },
    onPacket: ({ type }) => {
      if (type === 'SUBACK' || type === 'PUBLISH') arrived?.()
    },
  })
  const { client: publisher } = await openFlow(targetOf(cluster, 0), {
    version: 4,
    connect: { clientId: `${topic}-pub` },
  })
  const answer = (): Promise<void> =>
    new Promise((resolve) => {
      arrived = resolve
    })
  const subscribed = answer()
  subscriber.send(wire.subscribe(4, 1, [[topic, 1]]))
  await subscribed
  const times: number[] = []
  for (let i = 0; i < singles; i++) {
    await after(pauseMs)
    const delivered = answer()
    const begunMs = performance.now()
    publisher.send(wire.publish(4, topic, 'x'.repeat(64), { qos: 1, id: i + 1 }))
    await delivered
    times.push(performance.now() - begunMs)
  }
  subscriber.disconnect()
  publisher.disconnect()
  times.sort((a, b) => a - b)
  samples[topic] = times
  const at = (share: number): number => times[Math.floor(times.length * share)] ?? Number.NaN
  return { p50: at(0.5), p90: at(0.9) }
}

/** Row F3: one subscriber at the publisher's node and one at another. */
export const light: Scenario = async ({ cluster, seconds, samples }) => {
  const report = await mqload(cluster, [
    ...['--prefix', 'light', '--qos', '1', '--pub-on', '0', '--subs', '2', '--sub-on', '0,1', '--sub-all'],
    ...['--rate', '100', '--duration', `${seconds}`],
  ])
  samples['light'] = report
  const { p50 = Number.NaN, p99 = Number.NaN } = report.lat_us ?? {}
  return {
    what: `100 msg/s at QoS 1 with ${cluster.nodes} nodes, to the same node and to another`,
    value: `p50 ${milliseconds(p50)}, p99 ${milliseconds(p99)}`,
    bar: 'p50 < 100 ms',
    ok: report.exit === 0 && p50 < 100_000,
  }
}

export const paced: Scenario = async ({ cluster, seconds, samples }) => {
  const report = await mqload(cluster, [
    ...['--prefix', 'paced', '--qos', '1', '--pub-on', '0', '--sub-on', '1', '--rate', '1000'],
    ...['--duration', `${seconds}`],
  ])
  samples['paced'] = report
  const { p50 = Number.NaN, p99 = Number.NaN } = report.lat_us ?? {}
  return {
    what: '1,000 msg/s at QoS 1 from one node to another',
    value: `p50 ${milliseconds(p50)}, p99 ${milliseconds(p99)}, ${report.recv_per_s} msg/s`,
    bar: 'p50 ≤ 10 ms, p99 ≤ 30 ms',
    ok: report.lost + report.dup + report.reorder === 0 && p50 <= 10_000 && p99 <= 30_000,
  }
}

export const saturated: Scenario = async ({ cluster, seconds, samples }) => {
  const nodes = String(cluster.nodes)
  const each = Array.from({ length: cluster.nodes }, (_, node) => node).join(',')
  const report = await mqload(cluster, [
    ...['--prefix', 'saturated', '--qos', '1', '--pubs', nodes, '--subs', nodes, '--topics', nodes, '--sub-all'],
    ...['--pub-on', each, '--sub-on', each, '--window', '2000', '--require-order', '--drain', '20'],
    ...['--duration', `${seconds}`],
  ])
  samples['saturated'] = report
  const ordered = report.recv_per_s / cluster.nodes
  const order = report.order_equal === true ? 'equal' : 'DIFFERENT'
  return {
    what: 'saturated, QoS 1, a publisher and a subscriber at each node',
    value: `${Math.round(ordered).toLocaleString('en')} ordered msg/s, order ${order}, lost ${report.lost}`,
    bar: '≥ 80,000',
    ok: report.exit === 0 && report.order_equal === true && ordered >= 80_000,
  }
}
