/** The ways beside the order and through it unread: what they gain, and what they cost. */
import { timesOfSingles } from './sound.ts'
import { milliseconds, mqload, type Scenario } from './tools.ts'

/** What the nodes are started with. */
export const waysEnvironment = { CONCORDMQ_ORDERING_FAST: 'fast/#', CONCORDMQ_ORDERING_SEALED: 'sealed/#' }

export const fast: Scenario = async (run) => {
  const { p50, p90 } = await timesOfSingles(run, 'fast/single')
  const report = await mqload(run.cluster, [
    ...['--prefix', 'fast/paced', '--qos', '1', '--pub-on', '0', '--sub-on', '1', '--rate', '1000'],
    ...['--duration', `${run.seconds}`],
  ])
  run.samples['fast'] = report
  const { p50: pacedUs = Number.NaN, p99 = Number.NaN } = report.lat_us ?? {}
  return {
    what: 'a topic that skips the order, to another node: one message; 1,000 msg/s at QoS 1',
    value: `p50 ${p50.toFixed(1)} ms, p90 ${p90.toFixed(1)} ms; p50 ${milliseconds(pacedUs)}, p99 ${milliseconds(p99)}`,
    bar: 'p50 ≤ 3 ms; p50 ≤ 3 ms, p99 ≤ 25 ms',
    ok: report.lost + report.dup + report.reorder === 0 && p50 <= 3 && pacedUs <= 3_000 && p99 <= 25_000,
  }
}

export const sealed: Scenario = async (run) => {
  const { p50, p90 } = await timesOfSingles(run, 'sealed/single')
  return {
    what: 'a sealed message into an idle cluster, to another node',
    value: `p50 ${p50.toFixed(1)} ms, p90 ${p90.toFixed(1)} ms`,
    bar: 'p50 ≤ 25 ms',
    ok: p50 <= 25,
  }
}
