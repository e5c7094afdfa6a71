/**
 * The figures of the single-node broker against Debian's mosquitto, in one run on one machine: broker on core 0, load on
 * core 1, both brokers in turn in every round, the one that is not measured stopped. What counts is CPU seconds of the
 * broker per million deliveries as a share of mosquitto's: it survives a noisy machine, rates do not.
 *
 *   node bench/figures.ts [--rounds 3] [--only TEXT] [--seconds 1.2] [--json FILE]
 *
 * Needs Linux, a C compiler, `taskset` and `mosquitto`. The broker runs as the program does, with its default
 * configuration; mosquitto with its queue and inflight limits lifted, since by default it drops under this load.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { cpus, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const here = dirname(fileURLToPath(import.meta.url))
const root = dirname(here)

interface Scenario {
  readonly name: string
  readonly args: readonly string[]
  /** Largest allowed share of mosquitto's CPU per delivery; absent: other rules, see `judge`. */
  readonly shareMax?: number
  readonly judge?: (ours: Result, theirs: Result) => { readonly ok: boolean; readonly text: string }
  /** Both brokers start afresh: what is measured is memory, or state they keep. */
  readonly fresh?: boolean
}

interface Result {
  readonly exit: number
  readonly recv_per_s?: number
  readonly lost?: number
  readonly dup?: number
  readonly reorder?: number
  readonly bytes_per_conn?: number
  readonly held?: number
  readonly load_s?: number
  readonly all_ms?: number
  readonly missing?: number
  readonly broker?: { readonly cpu_s_per_mmsg: number }
  readonly error?: string
}

const shapes: readonly (readonly [string, readonly string[]])[] = [
  ['1:1', ['--pubs', '1', '--subs', '1']],
  ['fan-in 20:1', ['--pubs', '20', '--subs', '1']],
  ['fan-out 1:20', ['--pubs', '1', '--subs', '20']],
  ['mesh 20x20', ['--mesh', '20']],
]
/** Shares by QoS and shape, in the order of `shapes`. */
const shares: readonly (readonly number[])[] = [
  [1 / 12, 1 / 12, 1 / 20, 1 / 20],
  [1 / 6, 1 / 6, 1 / 12, 1 / 12],
  [1 / 6, 1 / 6, 1 / 6, 1 / 6],
]

const scenarios: readonly Scenario[] = [
  ...[0, 1, 2].flatMap((qos) =>
    shapes.map(([name, args], i) => ({
      name: `${name}, QoS ${qos}`,
      args: ['pubsub', ...args, '--qos', String(qos)],
      shareMax: shares[qos]?.[i] as number,
    })),
  ),
  {
    name: '200 pairs, QoS 1, window 1',
    args: ['pubsub', '--pubs', '200', '--subs', '200', '--topics', '200', '--qos', '1', '--window', '1'],
    shareMax: 1.5,
  },
  {
    name: '10,000 idle connections',
    args: ['connect', '--n', '10000', '--hold', '3'],
    fresh: true,
    judge: (ours) => ({
      ok: ours.held === 10000 && (ours.bytes_per_conn ?? Number.POSITIVE_INFINITY) <= 8192,
      text: `${ours.bytes_per_conn} bytes each, held ${ours.held}; at most 8192`,
    }),
  },
  ...['plus', 'front'].map((kind) => ({
    name: `100,000 wildcard subscriptions (${kind})`,
    args: ['subs', '--n', '100000', '--subs', '50', '--kind', kind],
    shareMax: 1,
    fresh: true,
  })),
  {
    name: '100,000 retained',
    args: ['retained', '--n', '100000', '--qos', '1', '--sub-qos', '0', '--window', '100', '--keep'],
    fresh: true,
    judge: (ours, theirs) => ({
      ok:
        ours.missing === 0 &&
        (ours.load_s ?? 1e9) <= (theirs.load_s ?? 0) &&
        (ours.all_ms ?? 1e9) <= (theirs.all_ms ?? 0),
      text: `loaded in ${ours.load_s} s (mosquitto ${theirs.load_s}), delivered in ${ours.all_ms} ms (${theirs.all_ms}), missing ${ours.missing}`,
    }),
  },
]

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    only: { type: 'string', default: '' },
    seconds: { type: 'string', default: '1.2' },
    json: { type: 'string' },
  },
})

/** Builds the load generator if its source is newer than the program. */
function buildLoad(): string {
  const program = join(here, '.build', 'mqload')
  const source = join(here, 'load', 'mqload.c')
  if (!existsSync(program) || statSync(program).mtimeMs < statSync(source).mtimeMs) {
    mkdirSync(dirname(program), { recursive: true })
    execFileSync('cc', ['-std=c11', '-O2', '-o', program, source], { stdio: 'inherit' })
  }
  return program
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

interface Peer {
  readonly port: number
  readonly process: ChildProcess
}

async function start(command: string, args: readonly string[], port: number): Promise<Peer> {
  const child = spawn('taskset', ['-c', '0', command, ...args], { stdio: 'ignore', cwd: tmpdir() })
  for (let tries = 0; tries < 200; tries++) {
    if (spawnSync('bash', ['-c', `exec 3<>/dev/tcp/127.0.0.1/${port}`], { stdio: 'ignore' }).status === 0) break
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return { port, process: child }
}

async function startOurs(): Promise<Peer> {
  const port = await freePort()
  const bin = join(root, 'packages', 'concordmq', 'bin', 'concordmq.js')
  return start(
    process.execPath,
    [bin, 'run', directory, '--allow-anonymous-login', '-L', `127.0.0.1:${port}`, '--http-addr', 'off'],
    port,
  )
}

async function startMosquitto(): Promise<Peer> {
  const port = await freePort()
  const file = join(directory, `mosquitto-${port}.conf`)
  const lines = [
    `listener ${port} 127.0.0.1`,
    'allow_anonymous true',
    'max_inflight_messages 0',
    'max_queued_messages 0',
    'max_queued_bytes 0',
    'set_tcp_nodelay true',
  ]
  writeFileSync(file, `${lines.join('\n')}\n`)
  return start('mosquitto', ['-c', file], port)
}

async function stop(peer: Peer): Promise<void> {
  const gone = new Promise((resolve) => peer.process.once('exit', resolve))
  peer.process.kill('SIGCONT')
  peer.process.kill('SIGTERM')
  // A broker that does not stop in time is ended: its figures are taken already.
  const timer = setTimeout(() => peer.process.kill('SIGKILL'), 3000)
  await gone
  clearTimeout(timer)
}

/** Runs the load on core 1. `other` stands still meanwhile. */
function load(program: string, scenario: Scenario, peer: Peer, other: Peer | undefined): Result {
  const timing =
    scenario.args[0] === 'pubsub' ? ['--duration', options.seconds, '--warmup', '0.3', '--drain', '0.6'] : []
  other?.process.kill('SIGSTOP')
  const run = spawnSync(
    'taskset',
    [
      '-c',
      '1',
      program,
      ...scenario.args,
      ...timing,
      '--limit',
      '60',
      '--target',
      `127.0.0.1:${peer.port}`,
      '--pid',
      String(peer.process.pid),
    ],
    { encoding: 'utf8' },
  )
  other?.process.kill('SIGCONT')
  const line = run.stdout.trim().split('\n').at(-1) ?? ''
  return JSON.parse(line) as Result
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

const directory = mkdtempSync(join(tmpdir(), 'concordmq-figures-'))
const program = buildLoad()
const chosen = scenarios.filter((scenario) => scenario.name.includes(options.only))
const samples = new Map<string, { ours: Result; theirs: Result }[]>()
let failed = 0

let ours = await startOurs()
let theirs = await startMosquitto()
for (let round = 1; round <= Number(options.rounds); round++) {
  // What the last scenario left behind (100,000 retained messages) is no part of the first.
  let dirty = round > 1
  for (const scenario of chosen) {
    process.stderr.write(`\rround ${round}: ${scenario.name.padEnd(50)}`)
    if (scenario.fresh || dirty) {
      dirty = false
      await stop(ours)
      await stop(theirs)
      ours = await startOurs()
      theirs = await startMosquitto()
    }
    const rows = samples.get(scenario.name) ?? []
    rows.push({ ours: load(program, scenario, ours, theirs), theirs: load(program, scenario, theirs, ours) })
    samples.set(scenario.name, rows)
  }
}
process.stderr.write('\r')
await stop(ours)
await stop(theirs)
rmSync(directory, { recursive: true })

console.log(`# ${cpus()[0]?.model}, ${cpus().length} cores, Node ${process.version}, ${options.rounds} rounds, medians`)
console.log('| scenario | msg/s | mosquitto | CPU s/M | mosquitto | share | at most | lost, reordered | |')
console.log('|---|---|---|---|---|---|---|---|---|')
for (const scenario of chosen) {
  const rows = samples.get(scenario.name) ?? []
  const of = (pick: (row: { ours: Result; theirs: Result }) => number | undefined): number =>
    median(rows.map((row) => pick(row) ?? Number.NaN))
  if (scenario.judge !== undefined) {
    const verdicts = rows.map((row) => scenario.judge?.(row.ours, row.theirs))
    const good = verdicts.filter((verdict) => verdict?.ok).length
    const ok = good * 2 > verdicts.length
    if (!ok) failed++
    console.log(
      `| ${scenario.name} | ${verdicts.map((verdict) => verdict?.text).join('; ')} | | | | | | | ${ok ? 'ok' : 'MISSED'} |`,
    )
    continue
  }
  const share = of(
    (row) => (row.ours.broker?.cpu_s_per_mmsg ?? Number.NaN) / (row.theirs.broker?.cpu_s_per_mmsg ?? Number.NaN),
  )
  const faults = rows.reduce((sum, row) => sum + (row.ours.lost ?? 0) + (row.ours.reorder ?? 0), 0)
  const ok = share <= (scenario.shareMax ?? 0) && faults === 0 && rows.every((row) => row.ours.exit === 0)
  if (!ok) failed++
  const rate = (n: number): string => (n >= 1e6 ? `${(n / 1e6).toFixed(2)} M` : `${(n / 1e3).toFixed(0)} k`)
  console.log(
    `| ${scenario.name} | ${rate(of((row) => row.ours.recv_per_s))} | ${rate(of((row) => row.theirs.recv_per_s))} | ${of((row) => row.ours.broker?.cpu_s_per_mmsg).toFixed(3)} | ${of((row) => row.theirs.broker?.cpu_s_per_mmsg).toFixed(3)} | 1/${(1 / share).toFixed(1)} | 1/${(1 / (scenario.shareMax ?? 1)).toFixed(1)} | ${faults} | ${ok ? 'ok' : 'MISSED'} |`,
  )
}
if (options.json !== undefined) writeFileSync(options.json, JSON.stringify(Object.fromEntries(samples), null, 2))
process.exitCode = failed === 0 ? 0 : 1
