/**
 * The figures of one node beside its peers', under one load generator, on the machine at hand; and the cost curves.
 *
 *   node bench/figures.ts [--only REGEXP]… [--rounds 3] [--seconds 0.6] [--peer NAME=PATH]… [--into FILE] [--list]
 *
 * Peers are flashmq, mosquitto and surgemq, at the path given or in PATH; what is not there is listed as not measured. In
 * each round a scenario runs on every broker in random order, before the next one; the others stand still meanwhile. Broker
 * on core 0, load on core 1. CPU seconds of a broker per million deliveries is the figure to trust: rates move with whatever
 * else the machine does. `--only` is compared with the lines of `--list`; the last of those are measured by other programs
 * here. `--into` adds the samples to those of a file, and judges all of it; `page.ts` makes the page from it.
 *
 * Needs Linux, a C compiler, `taskset` and `openssl`. Prints MISSED and ends with 1 where a bar is not reached.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { cpus, loadavg, release, tmpdir, totalmem } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type Broker, findBrokers, loadCpu, type Running, start, stop } from './figures/brokers.ts'
import { foreign, runForeign } from './figures/foreign.ts'
import { judge, short } from './figures/judge.ts'
import {
  brokersIn,
  type ForeignRow,
  faultsOf,
  ours,
  type Results,
  readResults,
  type Sample,
  spreadOf,
  writeResults,
} from './figures/samples.ts'
import type { Scenario } from './figures/scenario.ts'
import { scenarios } from './figures/scenarios.ts'
import { type Report, runLoad } from './load/mqload.ts'

const { values: options } = parseArgs({
  options: {
    only: { type: 'string', multiple: true, default: [''] },
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '0.6' },
    peer: { type: 'string', multiple: true, default: [] },
    into: { type: 'string' },
    list: { type: 'boolean', default: false },
  },
})
const expressions = options.only.map((text) => new RegExp(text, 'u'))
const isChosen = (title: string): boolean => expressions.some((expression) => expression.test(title))
/** What `--only` is compared with. */
const titleOf = ({ group, name }: Scenario): string => `${group}: ${name}`
const filesMax = Number(execFileSync('sh', ['-c', 'ulimit -Hn'], { encoding: 'utf8' }).trim())
/** Where there is no maximum, `ulimit` answers with a word. */
const fits = ({ files = 0 }: Scenario): boolean => !(files > filesMax)
const tooMany = scenarios.filter((scenario) => !fits(scenario))
const chosen = scenarios.filter((scenario) => isChosen(titleOf(scenario)) && fits(scenario))
const chosenForeign = foreign.filter(({ name }) => isChosen(name))
if (options.list) {
  console.log([...scenarios.map(titleOf), ...foreign.map(({ name }) => name)].join('\n'))
  process.exit(0)
}

const here = dirname(fileURLToPath(import.meta.url))
/** Of what is measured, not of what measures it. */
const commit = execFileSync('git', ['log', '-1', '--format=%h', '--', '../packages'], {
  cwd: here,
  encoding: 'utf8',
}).trim()
const given = new Map(options.peer.map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]))
const { found: brokers, missing } = findBrokers(given)
const earlier = options.into !== undefined && existsSync(options.into) ? readResults(options.into) : undefined
const samples: Sample[] = [...(earlier?.samples ?? [])]
const rows: ForeignRow[] = [...(earlier?.rows ?? [])]
const folder = mkdtempSync(join(tmpdir(), 'concordmq-figures-'))
const running = new Map<Broker, Running>()
// Brokers that stand still would stay behind for ever; samples of a run that is broken off count as well.
process.once('exit', () => {
  for (const { child } of running.values()) child.kill('SIGKILL')
  if (options.into !== undefined) writeResults(options.into, describe())
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
try {
  for (let round = 0; round < Number(options.rounds); round++) await runRound(round)
} finally {
  for (const peer of running.values()) await stop(peer)
  rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
}
for (const part of chosenForeign) {
  process.stderr.write(`${part.name}\n`)
  const { rows: more, points } = await runForeign(part)
  // What was measured anew replaces what an earlier call found.
  rows.splice(0, rows.length, ...rows.filter(({ what }) => !more.some((row) => row.what === what)), ...more)
  const renewed = samples.filter(({ scenario }) => !points.some((point) => point.scenario === scenario))
  samples.splice(0, samples.length, ...renewed, ...points.map((point) => ({ ...point, commit })))
}

process.exitCode = print(describe()) ? 0 : 1

// ---------------------------------------------------------------- measuring

async function runRound(round: number): Promise<void> {
  for (const [at, scenario] of chosen.entries()) {
    if (scenario.once === true && round > 0) continue
    process.stderr.write(
      `\rround ${round + 1} of ${options.rounds}, ${at + 1} of ${chosen.length}: ${scenario.name.padEnd(60)}`,
    )
    const able = brokers.filter(
      ({ name, transports, old }) =>
        transports.includes(scenario.transport ?? 'tcp') &&
        (scenario.alone !== true || name === ours) &&
        !(old === true && scenario.args.includes('--version')),
    )
    const { name } = scenario
    // What was measured of an earlier commit is not mixed with this one's.
    samples.splice(
      0,
      samples.length,
      ...samples.filter((sample) => sample.scenario !== name || sample.commit === commit),
    )
    // The number of a round goes on where an earlier call ended, since ratios are taken within a round.
    const last = Math.max(
      -1,
      ...samples.filter((sample) => sample.scenario === scenario.name).map((sample) => sample.round),
    )
    for (const broker of shuffled(able)) {
      const report = await measure(broker, scenario)
      samples.push({ scenario: scenario.name, round: last + 1, broker: broker.name, commit, report })
    }
  }
  process.stderr.write('\r\x1b[K')
}

/** One scenario on one broker, the others stopped. A broker that is left with work or with much to keep is started anew. */
async function measure(broker: Broker, scenario: Scenario): Promise<Report> {
  if (scenario.fresh === true) await end(broker)
  let peer = running.get(broker)
  if (peer === undefined) {
    // A broker that does not come up again has lost this scenario, not the run.
    const started = await start(broker, folder, scenario.workers).catch((error: Error) => error)
    if (started instanceof Error) {
      process.stderr.write(`\n${started.message}\n`)
      return { exit: 4 }
    }
    peer = started
    running.set(broker, peer)
    await warm(peer)
  }
  for (const [other, { child }] of running) child.kill(other === broker ? 'SIGCONT' : 'SIGSTOP')
  const target = ['--target', `127.0.0.1:${peer.ports[scenario.transport ?? 'tcp']}`, '--pid', String(peer.child.pid)]
  for (const args of scenario.before ?? []) await runLoad([...args, ...target, '--limit', '60'], loadCpu)
  const timing = ['--duration', options.seconds, '--warmup', '0.25', '--drain', '0.4', '--settle', '0.05']
  const defaults = scenario.args[0] === 'pubsub' || scenario.args[0] === 'subs' ? timing : []
  const { mode, args } = { mode: scenario.args[0] as string, args: scenario.args.slice(1) }
  // What a scenario says itself comes last, and wins.
  const report = await runLoad([mode, ...defaults, ...target, '--limit', '60', ...args], loadCpu)
  if (scenario.fresh === true || (report['exit'] ?? 1) !== 0 || (report['lost'] ?? 0) > 0) await end(broker)
  return report
}

/** A broker runs for months: what it compiles in its first second is no part of a figure. All get the same. */
async function warm({ ports, child }: Running): Promise<void> {
  for (const peer of running.values()) peer.child.kill(peer.child === child ? 'SIGCONT' : 'SIGSTOP')
  const target = ['--target', `127.0.0.1:${ports.tcp}`, '--duration', '0.3', '--warmup', '0.1', '--drain', '0.2']
  for (const qos of ['0', '1']) await runLoad(['pubsub', ...target, '--qos', qos, '--prefix', 'warm'], loadCpu)
  await runLoad(['subs', ...target, '--n', '1000', '--subs', '4', '--prefix', 'warm'], loadCpu)
  await runLoad(['retained', ...target, '--n', '20000', '--qos', '1', '--sub-qos', '0', '--prefix', 'warm'], loadCpu)
}

async function end(broker: Broker): Promise<void> {
  const peer = running.get(broker)
  running.delete(broker)
  if (peer !== undefined) await stop(peer)
}

function shuffled<T>(values: readonly T[]): readonly T[] {
  return values
    .map((value) => ({ value, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ value }) => value)
}

// ---------------------------------------------------------------- what is kept and shown

function describe(): Results {
  const gib = Math.round(totalmem() / 2 ** 30)
  return {
    date: new Date().toISOString().slice(0, 10),
    commit,
    machine: `${cpus().length} cores (${cpus()[0]?.model.trim()}), ${gib} GiB, Linux ${release()}`,
    versions: { ...earlier?.versions, ...Object.fromEntries(brokers.map(({ name, version }) => [name, version])) },
    settings: {
      ...Object.fromEntries(brokers.map(({ name, settings }) => [name, settings])),
      load: `bench/load/mqload.c, ${options.seconds} s after 0.25 s of warming up`,
      neighbours: `load average ${loadavg()[2]?.toFixed(1)} over the last quarter of an hour`,
      cores: loadCpu === undefined ? 'one core for all' : 'broker on core 0, load on core 1',
    },
    notMeasured: [
      ...missing.map((name) => `${name} (not installed)`),
      ...tooMany.map(({ name }) => `${name} (this machine lets a process open ${filesMax} files)`),
    ],
    rows,
    samples,
  }
}

/** The table; whether every bar was reached that could be judged. */
function print({ machine, versions, notMeasured }: Results): boolean {
  console.log(
    `# ${machine}; ${Object.entries(versions)
      .map((pair) => pair.join(' '))
      .join(', ')}`,
  )
  if (notMeasured.length > 0) console.log(`# not measured: ${notMeasured.join(', ')}`)
  let missed = 0
  console.log(
    '| scenario | broker | msg/s, median (lowest–highest) | CPU s/M | load generator, of a core | lost, reordered, double, closed | verdict |',
  )
  console.log('|---|---|---|---|---|---|---|')
  for (const scenario of chosen) {
    const verdicts = judge(samples, scenario)
    missed += verdicts.filter(({ ok }) => ok === false).length
    for (const broker of brokersIn(samples, scenario.name)) {
      const spread = spreadOf(samples, scenario.name, broker, rateOf(scenario))
      const faults = Object.values(faultsOf(samples, scenario.name, broker)).join(', ')
      const own = spreadOf(samples, scenario.name, broker, 'self_cpu_load')?.median
      const cpu = spreadOf(samples, scenario.name, broker, 'broker.cpu_s_per_mmsg')?.median
      const rate = `${short(spread?.median)} (${short(spread?.lowest)}–${short(spread?.highest)})`
      const verdict =
        broker === ours ? verdicts.map(({ text, ok }) => `${text}${ok === false ? ' MISSED' : ''}`).join('; ') : ''
      const load = own === undefined ? '' : `${(own * 100).toFixed(0)} %`
      console.log(
        `| ${scenario.name} | ${broker} | ${rate} | ${cpu?.toFixed(3) ?? ''} | ${load} | ${faults} | ${verdict} |`,
      )
    }
  }
  for (const { program, what, value, bar, ok } of rows) {
    if (!chosenForeign.some((part) => part.program === program)) continue
    console.log(`| ${what} | ${ours} | ${value} | | | | ${bar} ${ok ? '' : 'MISSED'} |`)
    missed += ok ? 0 : 1
  }
  return missed === 0
}

function rateOf({ args }: Scenario): string {
  return args[0] === 'connect' ? 'connects_per_s' : 'recv_per_s'
}
