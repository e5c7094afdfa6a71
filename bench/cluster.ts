/**
 * The figures of a cluster of four processes on one machine, which they share with the load.
 *
 *   node bench/cluster.ts [--only TEXT] [--seconds 5] [--transport quic|tls|auto] [--json FILE]
 *
 * | idle | CPU of a node while nobody publishes |
 * | single | one message into an idle cluster, from PUBLISH at node 0 to its delivery at node 1 |
 * | paced | 1,000 messages of 64 bytes a second, QoS 1, from node 0 to node 1 |
 * | saturated | a publisher and a subscriber at each node, QoS 1, 64 bytes, as fast as it goes, all in one order |
 *
 * Needs Linux and a C compiler. Bars are those of two cores that do nothing else; the load average is printed for that.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as after } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type ClusterProcesses, startCluster } from '../testing/testkit/src/cluster-process.ts'
import { openFlow } from '../testing/testkit/src/flow-client.ts'
import type { Target } from '../testing/testkit/src/raw-client.ts'
import * as wire from '../testing/testkit/src/wire.ts'

interface Row {
  readonly what: string
  readonly value: string
  readonly bar: string
  readonly ok: boolean
}

/** What mqload prints, as far as it is read here. */
interface Report {
  readonly recv_per_s: number
  readonly sent_per_s: number
  readonly lost: number
  readonly dup: number
  readonly reorder: number
  readonly order_equal?: boolean
  readonly lat_us?: { readonly p50: number; readonly p99: number }
  readonly broker: { readonly cpu_s_per_mmsg: number }
  readonly exit: number
}

const here = dirname(fileURLToPath(import.meta.url))
const nodes = 4
const singles = 40
/** Between single messages: everything about the last one is over. */
const pauseMs = 250
/** Of `/proc/PID/stat`. */
const ticksPerSecond = 100

const { values: options } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    seconds: { type: 'string', default: '5' },
    transport: { type: 'string', default: 'auto' },
    json: { type: 'string' },
  },
})
const seconds = Number(options.seconds)
const rows: Row[] = []
const samples: Record<string, unknown> = { loadBefore: loadavg() }
const load = buildLoad()
const folder = mkdtempSync(join(tmpdir(), 'concordmq-bench-cluster-'))
const scenarios: readonly (readonly [string, (cluster: ClusterProcesses) => Promise<void> | void])[] = [
  ['idle', idle],
  ['single', single],
  ['paced', paced],
  ['saturated', saturated],
]
try {
  await using cluster = await startCluster({
    nodes,
    directory: folder,
    flags: ['--cluster-transport', options.transport],
  })
  for (const node of cluster.alive) await served(cluster, node)
  for (const [name, run] of scenarios) if (name.includes(options.only)) await run(cluster)
} finally {
  rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
}
samples['loadAfter'] = loadavg()

console.log(
  `# ${cpus()[0]?.model}, ${cpus().length} cores, Node ${process.version}, ${options.transport}, load ${loadavg()
    .map((value) => value.toFixed(1))
    .join(' ')}`,
)
console.log('| what | measured | bar | |')
console.log('|---|---|---|---|')
for (const { what, value, bar, ok } of rows) console.log(`| ${what} | ${value} | ${bar} | ${ok ? 'ok' : 'MISSED'} |`)
if (options.json !== undefined) {
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: here, encoding: 'utf8' }).trim()
  const machine = `${cpus().length} cores, ${cpus()[0]?.model}`
  const date = new Date().toISOString().slice(0, 10)
  writeFileSync(
    options.json,
    `${JSON.stringify({ date, commit, machine, node: process.versions.node, rows, samples }, null, 1)}\n`,
  )
}
process.exitCode = rows.every(({ ok }) => ok) ? 0 : 1

// ---------------------------------------------------------------- the scenarios

async function idle(cluster: ClusterProcesses): Promise<void> {
  const before = cluster.alive.map((node) => cpuSeconds(cluster.process(node).pid))
  await after(seconds * 1000)
  const shares = cluster.alive.map((node, i) => (cpuSeconds(cluster.process(node).pid) - (before[i] ?? 0)) / seconds)
  const most = Math.max(...shares)
  samples['idle'] = shares
  add('CPU of a node while nobody publishes', `${(most * 100).toFixed(1)} %`, '< 1 %', most < 0.01)
}

async function single(cluster: ClusterProcesses): Promise<void> {
  let arrived: (() => void) | undefined
  const { client: subscriber } = await openFlow(targetOf(cluster, 1), {
    ...{ version: 4, connect: { clientId: 'single-sub' } },
    onPacket: ({ type }) => {
      if (type === 'SUBACK' || type === 'PUBLISH') arrived?.()
    },
  })
  const { client: publisher } = await openFlow(targetOf(cluster, 0), {
    version: 4,
    connect: { clientId: 'single-pub' },
  })
  const answer = (): Promise<void> =>
    new Promise((resolve) => {
      arrived = resolve
    })
  const subscribed = answer()
  subscriber.send(wire.subscribe(4, 1, [['single', 1]]))
  await subscribed
  const times: number[] = []
  for (let i = 0; i < singles; i++) {
    await after(pauseMs)
    const delivered = answer()
    const begunMs = performance.now()
    publisher.send(wire.publish(4, 'single', 'x'.repeat(64), { qos: 1, id: i + 1 }))
    await delivered
    times.push(performance.now() - begunMs)
  }
  subscriber.disconnect()
  publisher.disconnect()
  times.sort((a, b) => a - b)
  samples['single'] = times
  const p50 = times[Math.floor(times.length / 2)] ?? Number.NaN
  const p90 = times[Math.floor(times.length * 0.9)] ?? Number.NaN
  add(
    'one message into an idle cluster, to another node',
    `p50 ${p50.toFixed(1)} ms, p90 ${p90.toFixed(1)} ms`,
    'p50 ≤ 10 ms',
    p50 <= 10,
  )
}

function paced(cluster: ClusterProcesses): void {
  const report = mqload(
    cluster,
    ...[
      '--prefix',
      'paced',
      '--qos',
      '1',
      '--pub-on',
      '0',
      '--sub-on',
      '1',
      '--rate',
      '1000',
      '--duration',
      `${seconds}`,
    ],
  )
  samples['paced'] = report
  const { p50 = Number.NaN, p99 = Number.NaN } = report.lat_us ?? {}
  const ok = report.lost + report.dup + report.reorder === 0 && p50 <= 12_000 && p99 <= 50_000
  add(
    '1,000 msg/s at QoS 1 from one node to another',
    `p50 ${(p50 / 1000).toFixed(1)} ms, p99 ${(p99 / 1000).toFixed(1)} ms, ${report.recv_per_s} msg/s`,
    'p50 ≤ 12 ms, p99 ≤ 50 ms',
    ok,
  )
}

function saturated(cluster: ClusterProcesses): void {
  const report = mqload(
    cluster,
    ...['--prefix', 'saturated', '--qos', '1', '--pubs', '4', '--subs', '4', '--topics', '4', '--sub-all'],
    ...['--pub-on', '0,1,2,3', '--sub-on', '0,1,2,3', '--window', '2000', '--require-order', '--drain', '20'],
    ...['--duration', `${seconds}`],
  )
  samples['saturated'] = report
  const ordered = report.recv_per_s / nodes
  const ok = report.exit === 0 && report.order_equal === true && ordered >= 40_000
  add(
    'saturated, QoS 1, a publisher and a subscriber at each node',
    `${Math.round(ordered).toLocaleString('en')} ordered msg/s, order ${report.order_equal === true ? 'equal' : 'DIFFERENT'}, lost ${report.lost}`,
    '≥ 40,000',
    ok,
  )
}

// ---------------------------------------------------------------- around them

function targetOf(cluster: ClusterProcesses, node: number): Target {
  const target = cluster.target(node)
  if (target === undefined) throw new Error(`Node ${node} does not run`)
  return target
}

/** A node that has started refuses clients until the order has it. */
async function served(cluster: ClusterProcesses, node: number): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      const { client } = await openFlow(targetOf(cluster, node), { version: 4, connect: { clientId: `first-${node}` } })
      client.disconnect()
      return
    } catch (error) {
      if (tries === 200) throw error
      await after(100)
    }
  }
}

function mqload(cluster: ClusterProcesses, ...args: readonly string[]): Report {
  const targets = cluster.alive.flatMap((node) => {
    const { host, port } = targetOf(cluster, node)
    return ['--target', `${host}:${port}`, '--pid', String(cluster.process(node).pid)]
  })
  const { stdout, stderr } = spawnSync(load, ['pubsub', ...targets, ...args], { encoding: 'utf8' })
  const line = stdout.trim().split('\n').at(-1) ?? ''
  if (!line.startsWith('{')) throw new Error(`mqload ${args.join(' ')}\n${stderr}`)
  const report = JSON.parse(line) as Report
  if (report.exit !== 0) console.error(`mqload ${args.join(' ')} ended with ${report.exit}: ${stderr}${line}`)
  return report
}

/** User and system time of a process so far. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ')
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond
}

function buildLoad(): string {
  const program = join(here, '.build', 'mqload')
  const source = join(here, 'load', 'mqload.c')
  if (!existsSync(program) || statSync(program).mtimeMs < statSync(source).mtimeMs) {
    mkdirSync(dirname(program), { recursive: true })
    execFileSync('cc', ['-std=c11', '-O2', '-o', program, source], { stdio: 'inherit' })
  }
  return program
}

function add(what: string, value: string, bar: string, ok: boolean): void {
  rows.push({ what, value, bar, ok })
  console.error(`${what}: ${value}`)
}
