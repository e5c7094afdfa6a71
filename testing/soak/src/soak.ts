/**
 * Mixed load for a long time against the program in a process of its own, and whether what it holds grows.
 *
 *     npm run soak -w @concordmq/soak -- [--seconds 3600] [--rate 300] [--samples 60] [--seed N] [--json FILE]
 *                                        [--durability memory|os|fsync]
 *
 * The load comes and goes in rounds. After each, everybody is sent home and everything kept is ended; then the broker's
 * heap (after a forced collection), handles, open files and the size of its data directory are read. A leak of any kind
 * leaves a little behind in each round, however the load fluctuates. The first quarter of the samples is warming up: caches
 * that have a maximum fill, code is compiled. Through the rest a line is fitted; its growth must stay below a bound.
 *
 * Without `--durability` nothing is kept on disk. Exits 1 when something grows or a steady client loses a message.
 */
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type BrokerProcess, startBroker } from '../../testkit/src/broker-process.ts'
import type { Footprint } from '../../testkit/src/process-probe.ts'
import { type Counts, Population } from './population.ts'
import { isFlat, type Trend, trendOf } from './trend.ts'

export interface SoakOptions {
  readonly seed: number
  readonly seconds: number
  /** Things that happen in a second. */
  readonly rate: number
  readonly samples: number
  readonly durability?: string
  /** Growth of heap and external memory that is let pass, bytes; default 1 MiB. A short run is still warming up. */
  readonly growthBytesMax?: number
  readonly say?: (line: string) => void
}

export interface SoakSample extends Footprint {
  readonly atSeconds: number
  readonly dataBytes: number
  /** Before the calm, without a collection. */
  readonly busyResidentBytes: number
}

export interface SoakResult {
  readonly counts: Counts
  readonly samples: readonly SoakSample[]
  readonly trends: Readonly<Record<string, Trend>>
  /** What grows, or was lost. */
  readonly faults: readonly string[]
}

const mib = 1_048_576
/** Growth that is let pass over the whole run, along the fitted line. */
function boundsOf({
  growthBytesMax = mib,
}: Pick<SoakOptions, 'growthBytesMax'>): readonly (readonly [keyof SoakSample, number])[] {
  return [
    ['heapBytes', growthBytesMax],
    ['externalBytes', growthBytesMax],
    ['handles', 0.9],
    ['files', 0.9],
    // Segments of the log are deleted whole: one more or less is where the last sample happened to fall.
    ['dataBytes', 64 * mib],
  ]
}
const tickMs = 10

/** Small maxima, so that slow readers and long absences reach them within a round. */
const environment = {
  CONCORDMQ_SYS_INTERVAL_SECONDS: '1',
  CONCORDMQ_SESSIONS_QUEUE_MESSAGES_MAX: '500',
  CONCORDMQ_DELIVERY_QUEUE_BYTES_MAX: String(256 * 1_024),
}

export async function soak(options: SoakOptions): Promise<SoakResult> {
  const directory = mkdtempSync(join(tmpdir(), 'concordmq-soak-'))
  const data = join(directory, 'data')
  const flags = ['--allow-anonymous-login']
  if (options.durability !== undefined) flags.push('--data-dir', data, '--durability', options.durability)
  const broker = await startBroker({ directory, flags, environment })
  try {
    return await run(broker, data, options)
  } finally {
    await broker.kill()
    rmSync(directory, { recursive: true })
  }
}

async function run(broker: BrokerProcess, data: string, options: SoakOptions): Promise<SoakResult> {
  const population = new Population(broker.target, options.seed)
  const samples: SoakSample[] = []
  const begun = performance.now()
  const roundMs = (options.seconds * 1_000) / options.samples
  for (let round = 1; round <= options.samples && population.fault === undefined; round++) {
    await population.gather()
    await load(population, { untilMs: begun + round * roundMs, rate: options.rate })
    const busy = await broker.footprint('asIs')
    await population.calm()
    const footprint = await broker.footprint()
    samples.push({
      ...footprint,
      atSeconds: (performance.now() - begun) / 1_000,
      dataBytes: bytesIn(data),
      busyResidentBytes: busy.residentBytes,
    })
    options.say?.(line(samples.at(-1) as SoakSample, population.counts))
  }
  const settled = samples.slice(Math.floor(samples.length / 4))
  const trends: Record<string, Trend> = {}
  const faults: string[] = population.fault === undefined ? [] : [population.fault]
  for (const [what, growthMax] of boundsOf(options)) {
    const trend = trendOf(settled.map((sample) => ({ atSeconds: sample.atSeconds, value: sample[what] })))
    trends[what] = trend
    if (!isFlat(trend, growthMax)) faults.push(`${what} grew by ${trend.growth.toFixed(1)}, at most ${growthMax}`)
  }
  if (broker.complaints.some((complaint) => complaint.includes('"ERROR"')))
    faults.push(`The broker logged an error\n${broker.log}`)
  return { counts: population.counts, samples, trends, faults }
}

/** Lets things happen at the rate, evenly; after a stall the missed ones are left out. */
async function load(
  population: Population,
  { untilMs, rate }: { readonly untilMs: number; readonly rate: number },
): Promise<void> {
  let due = 0
  while (performance.now() < untilMs && population.fault === undefined) {
    for (due = Math.min(due + (rate * tickMs) / 1_000, rate); due >= 1; due--) population.act()
    await new Promise((resolve) => setTimeout(resolve, tickMs))
  }
}

function bytesIn(folder: string): number {
  if (!existsSync(folder)) return 0
  let bytes = 0
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    // A segment may go while we look.
    if (entry.isFile()) bytes += statSync(join(entry.parentPath, entry.name), { throwIfNoEntry: false })?.size ?? 0
  }
  return bytes
}

function line(sample: SoakSample, counts: Counts): string {
  const { atSeconds, heapBytes, handles, files, dataBytes, residentBytes } = sample
  return `${atSeconds.toFixed(0)} s: heap ${(heapBytes / mib).toFixed(2)} MiB, resident ${(residentBytes / mib).toFixed(0)} MiB, ${handles} handles, ${files} files, data ${(dataBytes / mib).toFixed(1)} MiB; ${counts.published} published, ${counts.delivered} delivered, ${counts.connects} connects`
}

export function table(result: SoakResult, options: Pick<SoakOptions, 'growthBytesMax'> = {}): string {
  const rows = boundsOf(options).map(([what, growthMax]) => {
    const { mean, growth, error, perHour } = result.trends[what] as Trend
    const scale = what.endsWith('Bytes') ? mib : 1
    const show = (value: number): string => (value / scale).toFixed(3) + (scale === mib ? ' MiB' : '')
    return `| ${what} | ${show(mean)} | ${show(growth)} ± ${show(error)} | ${show(perHour)} | ${show(growthMax)} |`
  })
  return ['| | mean | growth over the run | per hour | at most |', '|---|---|---|---|---|', ...rows].join('\n')
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string', default: '3600' },
      rate: { type: 'string', default: '300' },
      samples: { type: 'string', default: '60' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000_000) },
      durability: { type: 'string' },
      json: { type: 'string' },
    },
  })
  const numbers = [values.seconds, values.rate, values.samples, values.seed].map(Number)
  const [seconds, rate, samples, seed] = numbers as [number, number, number, number]
  if (!numbers.every((n) => Number.isFinite(n) && n > 0) || samples < 4) {
    console.error(
      'Usage: soak.ts [--seconds N] [--rate N] [--samples N, at least 4] [--seed N] [--durability KIND] [--json FILE]',
    )
    return 64
  }
  console.log(`seed ${seed}, ${seconds} s, ${rate} things a second, ${samples} samples`)
  const durability = values.durability === undefined ? {} : { durability: values.durability }
  const result = await soak({ seed, seconds, rate, samples, ...durability, say: console.log })
  console.log(table(result))
  console.log(JSON.stringify(result.counts))
  for (const fault of result.faults) console.log(`FAULT: ${fault}`)
  if (values.json !== undefined) {
    const machine = `${cpus()[0]?.model ?? 'unknown'}, ${cpus().length} cores`
    const settings = { seed, seconds, rate, samples, durability: values.durability ?? 'none' }
    writeFileSync(
      values.json,
      JSON.stringify({ date: new Date().toISOString(), machine, node: process.version, settings, ...result }, null, 1),
    )
  }
  return result.faults.length === 0 ? 0 : 1
}

if (import.meta.main) process.exitCode = await main()
