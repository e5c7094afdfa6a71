/**
 * What durability costs, and what kept sessions cost while nobody is there: the program with a data directory, and
 * `load/mqload.c` as its clients.
 *
 *   node bench/durable.ts [--durability fsync|os|memory|none] [--only TEXT] [--rounds 3] [--seconds 2] [--scale 1]
 *                         [--window 1000] [--directory DIR] [--json FILE]
 *
 * `--window` is what the publisher of the first row has in flight. The disk's own `fdatasync` is measured in the same run, in the same directory: give one on the disk that counts with
 * `--directory`. `none` runs without a data directory: what the driver itself can do. Needs Linux and a C compiler.
 * Prints MISSED and ends with 1 where a bar is not reached.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { closeSync, fdatasyncSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type BrokerProcess, startBroker } from '../testing/testkit/src/broker-process.ts'
import { buildLoad } from './load/mqload.ts'

const here = dirname(fileURLToPath(import.meta.url))

const { values: options } = parseArgs({
  options: {
    durability: { type: 'string', default: 'fsync' },
    only: { type: 'string', default: '' },
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '2' },
    scale: { type: 'string', default: '1' },
    window: { type: 'string', default: '1000' },
    directory: { type: 'string', default: tmpdir() },
    json: { type: 'string' },
  },
})
const rounds = Number(options.rounds)
const scale = Number(options.scale)
const folder = mkdtempSync(join(options.directory, 'concordmq-durable-'))
const load = buildLoad()

interface Row {
  readonly what: string
  readonly value: string
  readonly bar: string
  readonly ok: boolean
}
const rows: Row[] = []
const samples: Record<string, unknown> = {}
/** Between two messages at 1,000 a second. */
const PAUSE_MS = 1
let topics = 0

/** What mqload prints, as far as it is read here. */
interface Report {
  readonly recv_per_s: number
  readonly acked_per_s: number
  readonly sessions_per_s: number
  readonly lost: number
  readonly dup: number
  readonly reorder: number
  readonly recv: number
  readonly acked: number
  readonly done: number
  readonly seconds: number
  readonly self_cpu_s: number
  readonly self_cpu_load: number
  readonly window_s: number
  readonly ack_us: { readonly p50: number; readonly p99: number }
  readonly broker: { readonly cpu_s_per_mmsg: number }
  readonly exit: number
}

const scenarios: readonly (readonly [string, () => Promise<void>])[] = [
  ['share', shareOfTransient],
  ['pipelined', pipelined],
  ['puback', timeToPuback],
  ['offline', offlineMessages],
  ['sessions', offlineSessions],
]
for (const [name, run] of scenarios) if (name.includes(options.only)) await run()
rmSync(folder, { recursive: true })

console.log(
  `# ${cpus()[0]?.model}, ${cpus().length} cores, Node ${process.version}, --durability ${options.durability}, ${rounds} rounds, medians`,
)
console.log('| what | measured | bar | |')
console.log('|---|---|---|---|')
for (const { what, value, bar, ok } of rows) console.log(`| ${what} | ${value} | ${bar} | ${ok ? 'ok' : 'MISSED'} |`)
if (options.json !== undefined) {
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: here, encoding: 'utf8' }).trim()
  const record = {
    date: new Date().toISOString().slice(0, 10),
    commit,
    machine: `${cpus().length} cores, ${cpus()[0]?.model}`,
    versions: { node: process.versions.node },
    command: `node bench/durable.ts ${process.argv.slice(2).join(' ')}`,
    settings: { durability: options.durability, load: 'bench/load/mqload.c, 64-byte payload, MQTT 3.1.1' },
    rows,
    samples,
  }
  writeFileSync(options.json, `${JSON.stringify(record, null, 1)}\n`)
}
process.exitCode = rows.every(({ ok }) => ok) ? 0 : 1

// ---------------------------------------------------------------- the scenarios

/** QoS 1, one publisher and one subscriber, once with a kept session and once without, in turn. */
async function shareOfTransient(): Promise<void> {
  await using broker = await start('share')
  const pairs = Array.from({ length: rounds }, () => {
    const timing = ['--duration', options.seconds, '--warmup', '0.5', '--window', options.window, '--qos', '1']
    return {
      transient: pubsub(broker, ...timing),
      kept: pubsub(broker, '--kept', ...timing),
    }
  })
  samples['share'] = pairs
  const share = median(pairs.map(({ transient, kept }) => kept.recv_per_s / transient.recv_per_s))
  const faults = pairs.reduce((sum, { kept }) => sum + kept.lost + kept.reorder, 0)
  const rates = `${thousands(median(pairs.map(({ kept }) => kept.recv_per_s)))} of ${thousands(median(pairs.map(({ transient }) => transient.recv_per_s)))} msg/s`
  add(
    'QoS 1 to an online durable session, share of the transient rate',
    `${percent(share)} (${rates})`,
    '≥ 50 %',
    share >= 0.5 && faults === 0,
  )
}

async function pipelined(): Promise<void> {
  await using broker = await start('pipelined')
  const runs = Array.from({ length: rounds }, () =>
    pubsub(
      broker,
      '--kept',
      '--pubs',
      '4',
      '--window',
      '2000',
      '--qos',
      '1',
      '--duration',
      options.seconds,
      '--warmup',
      '0.5',
    ),
  )
  samples['pipelined'] = runs
  const rate = median(runs.map(({ recv_per_s }) => recv_per_s))
  const own = median(runs.map(({ self_cpu_s, window_s }) => self_cpu_s / window_s))
  const good = runs.every(({ lost, reorder }) => lost + reorder === 0)
  add(
    'durable messages pipelined, 4 publishers',
    `${thousands(rate)} msg/s (load generator ${percent(own)} of a core)`,
    '≥ 100 k/s',
    rate >= 100_000 && good,
  )
}

async function timeToPuback(): Promise<void> {
  await using broker = await start('puback')
  const args = ['--ack-lat', '--qos', '1', '--rate', '1000', '--duration', options.seconds, '--warmup', '0.5']
  const pairs: { diskUs: number; pausedUs: number; report: Report }[] = []
  for (let round = 0; round < rounds; round++) {
    const diskUs = await fdatasyncUs(1_000)
    const pausedUs = await fdatasyncUs(500, PAUSE_MS)
    pairs.push({ diskUs, pausedUs, report: pubsub(broker, '--kept', ...args) })
  }
  samples['puback'] = pairs
  const ratio = median(pairs.map(({ diskUs, report }) => report.ack_us.p50 / diskUs))
  const disk = median(pairs.map(({ diskUs }) => diskUs))
  const paused = median(pairs.map(({ pausedUs }) => pausedUs))
  const ack = median(pairs.map(({ report }) => report.ack_us.p50))
  add(
    'publish to PUBACK at 1,000 msg/s, p50',
    `${ack.toFixed(0)} µs, fdatasync ${disk.toFixed(0)} µs (${paused.toFixed(0)} after a pause): ${ratio.toFixed(2)} times`,
    '≤ 2 times',
    ratio <= 2,
  )
}

async function offlineMessages(): Promise<void> {
  const count = Math.round(1_000_000 * scale)
  await using broker = await start('offline', {
    CONCORDMQ_SESSIONS_QUEUE_MESSAGES_MAX: '100000000',
    CONCORDMQ_SESSIONS_QUEUE_BYTES_MAX: String(64 * 2 ** 30),
  })
  const same = ['--run', '4711', '--cid', 'absent', '--count', String(count), '--qos', '1', '--limit', '300']
  const before = await broker.footprint()
  const fill = mqload(broker, 'fill', '--window', '2000', ...same)
  const filled = await broker.footprint()
  const drain = mqload(broker, 'drain', ...same)
  const drained = await broker.footprint()
  samples['offline'] = { before, fill, filled, drain, drained }
  const growth = (filled.heapBytes - before.heapBytes) / 1_048_576
  const external = (filled.externalBytes - before.externalBytes) / 1_048_576
  const queued = `${count.toLocaleString('en')} messages for an absent session`
  add(
    `${queued}: heap growth`,
    `${growth.toFixed(1)} MiB (external ${external.toFixed(1)} MiB; taken in at ${thousands(fill.acked_per_s)} msg/s)`,
    '< 50 MB',
    growth < 47.7,
  )
  add(
    `${queued}: delivered on return, in order`,
    `${thousands(drain.recv_per_s)} msg/s, ${drain.lost} lost, ${drain.reorder} out of order, ${drain.dup} double (load generator ${percent(drain.self_cpu_load)} of a core)`,
    '≥ 500 k/s',
    drain.recv_per_s >= 500_000 && drain.lost + drain.reorder + drain.dup === 0,
  )
}

async function offlineSessions(): Promise<void> {
  const count = Math.round(100_000 * scale)
  let restartMs = Number.NaN
  const first = await start('sessions')
  const before = await first.footprint()
  const made = mqload(first, 'sessions', '--n', String(count), '--conc', '200', '--qos', '1', '--limit', '300')
  const kept = await first.footprint()
  await first.stop()
  let resumed: unknown
  if (options.durability !== 'none') {
    const begun = performance.now()
    await using second = await start('sessions')
    restartMs = performance.now() - begun
    resumed = await second.footprint()
  }
  samples['sessions'] = { before, made, kept, restartMs, resumed }
  const each = (kept.heapBytes - before.heapBytes) / count
  const many = `${count.toLocaleString('en')} durable sessions with a subscription each`
  add(
    `${many}: heap each while offline`,
    `${each.toFixed(0)} bytes (made at ${thousands(made.sessions_per_s)}/s)`,
    '< 1,024 bytes',
    each < 1_024 && made.done === count,
  )
  add(`${many}: restart until ready`, `${(restartMs / 1_000).toFixed(2)} s`, '< 5 s', restartMs < 5_000)
}

// ---------------------------------------------------------------- around them

/** A broker whose data directory has the name of the scenario, so that a second start finds it again. */
function start(name: string, environment: Readonly<Record<string, string>> = {}): Promise<BrokerProcess> {
  const directory = join(folder, name)
  mkdirSync(directory, { recursive: true })
  const kept =
    options.durability === 'none'
      ? ['--durability', 'memory']
      : ['--data-dir', join(directory, 'data'), '--durability', options.durability]
  return startBroker({ directory, flags: ['--allow-anonymous-login', ...kept], environment, readyWithinMs: 120_000 })
}

/** Under a topic of its own: the kept sessions of earlier runs are still there, and would get all of this one as well. */
function pubsub(broker: BrokerProcess, ...args: readonly string[]): Report {
  return mqload(broker, 'pubsub', '--prefix', `run${++topics}`, ...args)
}

function mqload(broker: BrokerProcess, ...args: readonly string[]): Report {
  const target = `${broker.target.host}:${broker.target.port}`
  const { stdout, stderr } = spawnSync(load, [...args, '--target', target, '--pid', String(broker.pid)], {
    encoding: 'utf8',
  })
  const line = stdout.trim().split('\n').at(-1) ?? ''
  if (!line.startsWith('{')) throw new Error(`mqload ${args.join(' ')}\n${stderr}`)
  const report = JSON.parse(line) as Report
  if (report.exit !== 0) console.error(`mqload ${args.join(' ')} ended with ${report.exit}: ${stderr}${line}`)
  return report
}

/** Median of what the disk takes to make 512 more bytes of a file safe, one after the other or each after a pause, microseconds. */
async function fdatasyncUs(count: number, pauseMs = 0): Promise<number> {
  const path = join(folder, 'fdatasync')
  const file = openSync(path, 'w')
  const block = Buffer.alloc(512, 0x61)
  // As the broker's log does: the file has its length from the start.
  for (let at = 0; at < 2_048; at++) writeSync(file, block)
  fdatasyncSync(file)
  const times: number[] = []
  for (let i = 0; i < count; i++) {
    if (pauseMs > 0) await pause(pauseMs)
    const begun = performance.now()
    writeSync(file, block, 0, block.length, i * block.length)
    fdatasyncSync(file)
    times.push((performance.now() - begun) * 1_000)
  }
  closeSync(file)
  rmSync(path)
  return median(times)
}

function add(what: string, value: string, bar: string, ok: boolean): void {
  rows.push({ what, value, bar, ok })
  console.error(`${what}: ${value}`)
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

function thousands(n: number): string {
  return n >= 1e6 ? `${(n / 1e6).toFixed(2)} M` : `${(n / 1e3).toFixed(1)} k`
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`
}
