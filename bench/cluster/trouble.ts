/** A cluster with something to bear: many who connect, more than it can order, a node that is down, one that comes back far behind. */
import { setTimeout as after } from 'node:timers/promises'
import { milliseconds, mqload, positionOf, type Report, type Run, residentMib, type Scenario, served } from './tools.ts'

const storm = 10_000
const stormSeconds = 15
const behindMessages = 1_000_000
const behindSecondsMax = 60
const memoryRate = 2000
const overloadTimes = 3
const overloadSeconds = 60
const recoverMs = 5000
/** Memory is looked at so often. */
const lookMs = 10_000

/** 1,000 messages a second from node 0 to node 1, all of which arrive once and in order, or it throws. */
async function publish({ cluster }: Run, prefix: string, seconds: number): Promise<Report> {
  const report = await mqload(cluster, [
    ...['--prefix', prefix, '--qos', '1', '--pub-on', '0', '--sub-on', '1', '--rate', '1000', '--drain', '10'],
    ...['--duration', `${seconds}`],
  ])
  if (report.exit !== 0) throw new Error(`Messages were lost or out of order: ${JSON.stringify(report)}`)
  return report
}

export const connects: Scenario = async (run) => {
  const { cluster, samples } = run
  const quiet = await publish(run, 'before', stormSeconds)
  const publishing = publish(run, 'storm', stormSeconds)
  await after(2000)
  const came = await mqload(cluster, ['--n', `${storm}`, '--conc', '100', '--hold', '1', '--limit', '110'], {
    mode: 'connect',
    nodes: [2, 3],
  })
  const busy = await publishing
  samples['connects'] = { quiet, busy, came }
  const ratio = (busy.lat_us?.p99 ?? Number.NaN) / (quiet.lat_us?.p99 ?? Number.NaN)
  return {
    what: `${storm.toLocaleString('en')} connects at two nodes while 1,000 msg/s go between the other two`,
    value: `p99 ${milliseconds(busy.lat_us?.p99)} against ${milliseconds(quiet.lat_us?.p99)}, ${came.connected} connected`,
    bar: 'p99 within 2x, all served',
    ok: ratio <= 2 && came.connected === storm,
  }
}

export const down: Scenario = async (run) => {
  const { cluster, seconds, samples } = run
  const sound = await publish(run, 'sound', seconds * 2)
  await cluster.kill(3)
  await after(2000)
  const less = await publish(run, 'less', seconds * 2)
  await cluster.start(3)
  await served(cluster, 3)
  samples['down'] = { sound, less }
  const ratio = (less.lat_us?.p99 ?? Number.NaN) / (sound.lat_us?.p99 ?? Number.NaN)
  return {
    what: '1,000 msg/s while one node of four is down',
    value: `p99 ${milliseconds(less.lat_us?.p99)} against ${milliseconds(sound.lat_us?.p99)}`,
    bar: 'p99 within 2x',
    ok: ratio <= 2,
  }
}

export const behind: Scenario = async (run) => {
  const { cluster, samples } = run
  await cluster.kill(3)
  const report = await mqload(cluster, [
    ...['--prefix', 'behind', '--qos', '1', '--pubs', '3', '--subs', '1', '--topics', '3', '--sub-all'],
    ...['--pub-on', '0,1,2', '--sub-on', '0', '--window', '2000', '--drain', '20', '--limit', '300'],
    ...['--count', `${Math.ceil(behindMessages / 3)}`],
  ])
  const target = await positionOf(run, 0)
  const begunMs = performance.now()
  await cluster.start(3)
  const deadlineMs = begunMs + 2 * behindSecondsMax * 1000
  let position = 0
  while (position < target && performance.now() < deadlineMs) {
    position = await positionOf(run, 3).catch(() => 0)
    await after(250)
  }
  const seconds = (performance.now() - begunMs) / 1000
  samples['behind'] = { report, target, position, seconds }
  return {
    what: `a node comes back ${behindMessages.toLocaleString('en')} messages behind`,
    value: position < target ? `not after ${seconds.toFixed(0)} s` : `level after ${seconds.toFixed(1)} s`,
    bar: `≤ ${behindSecondsMax} s`,
    ok: position >= target && seconds <= behindSecondsMax,
  }
}

/** Three times what it can order is offered for a minute (row F39): publishers are slowed, and soon after all is as before. */
export const overload: Scenario = async (run) => {
  const { cluster, seconds, samples } = run
  const each = cluster.alive.join(',')
  const count = String(cluster.alive.length)
  const all = [
    ...['--qos', '1', '--pubs', count, '--subs', count, '--topics', count, '--pub-on', each, '--sub-on', each],
    ...['--window', '60000', '--drain', '20', '--limit', '200'],
  ]
  const before = await publish(run, 'before', seconds)
  const most = await mqload(cluster, [...all, '--prefix', 'most', '--duration', `${seconds}`])
  const rate = Math.round(overloadTimes * most.recv_per_s)
  const looks: number[] = []
  const look = (): void =>
    void looks.push(Math.max(...cluster.alive.map((node) => residentMib(cluster.process(node).pid))))
  look()
  const timer = setInterval(look, 1000)
  const offered = await mqload(cluster, [
    ...[...all, '--prefix', 'overload', '--rate', `${rate}`, '--duration', `${overloadSeconds}`],
  ])
  clearInterval(timer)
  await after(recoverMs)
  const recovered = await publish(run, 'recovered', seconds)
  samples['overload'] = { before, most, rate, offered, looks, recovered }
  const ratio = (recovered.lat_us?.p99 ?? Number.NaN) / (before.lat_us?.p99 ?? Number.NaN)
  const resident = `at most ${Math.round(Math.max(...looks))} MiB, ${Math.round(looks[0] ?? Number.NaN)} at its begin`
  return {
    what: `${rate.toLocaleString('en')} msg/s offered for ${overloadSeconds} s, ${overloadTimes} times what is ordered`,
    value: `${Math.round(offered.recv_per_s).toLocaleString('en')} msg/s, lost ${offered.lost}, ${resident}; 5 s later p99 ${milliseconds(recovered.lat_us?.p99)} against ${milliseconds(before.lat_us?.p99)}`,
    bar: 'nothing lost; then p99 within 2x',
    ok: offered.exit === 0 && ratio <= 2,
  }
}

/** For a long time (`--only memory --seconds 3600`): the figure is how much is added in the second half. */
export const memory: Scenario = async ({ cluster, seconds, samples }) => {
  const loading = mqload(cluster, [
    ...['--prefix', 'memory', '--qos', '1', '--pubs', '4', '--subs', '4', '--topics', '4'],
    ...['--pub-on', '0,1,2,3', '--sub-on', '1,2,3,0', '--rate', `${memoryRate}`, '--duration', `${seconds}`],
    ...['--limit', `${seconds + 60}`, '--drain', '10'],
  ])
  const looks: number[][] = []
  let ended = false
  void loading.finally(() => {
    ended = true
  })
  while (!ended) {
    await after(Math.min(lookMs, seconds * 100))
    looks.push(cluster.alive.map((node) => residentMib(cluster.process(node).pid)))
  }
  const report = await loading
  samples['memory'] = { report, looks }
  const middle = looks[Math.floor(looks.length / 2)] ?? []
  const last = looks.at(-1) ?? []
  const grown = Math.max(...last.map((mib, i) => mib / (middle[i] ?? Number.NaN)))
  return {
    what: `${memoryRate.toLocaleString('en')} msg/s for ${seconds} s: resident memory`,
    value: `${Math.round(Math.min(...last))} to ${Math.round(Math.max(...last))} MiB, ${((grown - 1) * 100).toFixed(1)} % more than at half time, lost ${report.lost}`,
    bar: 'at most 10 % more',
    ok: report.exit === 0 && grown <= 1.1,
  }
}
