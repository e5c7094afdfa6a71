/**
 * One load against a fresh broker: quiet, loaded, quiet, and again, with the same healthy clients throughout. What else the
 * machine does can only make a phase slower, so of the p99s of all quiet phases, and of all loaded ones, the lower quartile
 * counts: it is what the broker can do with the load and without it.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { makePasswordRecord } from '@concordmq/broker'
import { type BrokerProcess, startBroker } from '../../testkit/src/broker-process.ts'
import type { HealthyFigures, HealthyOptions, HealthyRequest } from './healthy.ts'
import { loads } from './loads/all.ts'
import type { LoadContext } from './loads/load.ts'

export interface MeasureOptions {
  readonly name: string
  readonly rounds: number
  /** Of each phase. */
  readonly phaseMs: number
  readonly perSecond: number
  readonly scale: number
  /** More flags of the program. */
  readonly flags?: readonly string[]
  /** Of broker and healthy clients, below 0 where the machine is shared: what else runs there must not decide. */
  readonly niceness?: number
  readonly say?: (line: string) => void
}

export interface Measured {
  readonly name: string
  readonly about: string
  readonly rounds: readonly Round[]
  /** Lower quartiles over the phases, milliseconds. */
  readonly quietP99: number
  readonly loadedP99: number
  readonly ratio: number
  readonly lost: number
  readonly closed: number
  readonly residentBytesBefore: number
  readonly residentBytesMax: number
  /** Of the broker while loaded, as a share of one core. */
  readonly cpuShare: number
  readonly seen: string
  /** Errors that the broker logged: someone would have to act, and no client may cause that. */
  readonly errors: readonly string[]
}

interface Round {
  readonly quiet: readonly [HealthyFigures, HealthyFigures]
  readonly loaded: HealthyFigures
}

export async function measure(options: MeasureOptions): Promise<Measured> {
  const load = loads[options.name]
  if (load === undefined) throw new Error(`No load has the name "${options.name}": ${Object.keys(loads).join(', ')}`)
  const directory = mkdtempSync(join(tmpdir(), 'concordmq-isolation-'))
  const unix = join(directory, 'mqtt.sock')
  const password = randomBytes(12).toString('hex')
  const record = await makePasswordRecord(password)
  writeFileSync(join(directory, 'users.toml'), `[users.healthy]\npassword-hash = "${record}"\n`)
  const broker = await startBroker({
    directory,
    flags: ['--allow-anonymous-login', '--unix', unix, ...(options.flags ?? [])],
    environment: load.environment ?? {},
    ...(load.program === undefined ? {} : { program: load.program }),
    websocket: true,
    ...(options.niceness === undefined ? {} : { niceness: options.niceness }),
  })
  const children: ChildProcess[] = []
  try {
    return await rounds(broker, children, { password, unix }, options)
  } finally {
    for (const child of children) child.kill('SIGKILL')
    await broker.kill()
    rmSync(directory, { recursive: true })
  }
}

async function rounds(
  broker: BrokerProcess,
  children: ChildProcess[],
  { password, unix }: { readonly password: string; readonly unix: string },
  options: MeasureOptions,
): Promise<Measured> {
  const { name, phaseMs } = options
  const healthyOptions: HealthyOptions = {
    target: broker.target,
    perSecond: options.perSecond,
    username: 'healthy',
    password,
    niceness: options.niceness ?? 0,
  }
  const healthy = await startChild(children, 'healthy.ts', [JSON.stringify(healthyOptions)])
  const ask = (measureMs: number): Promise<HealthyFigures> => answer(healthy, { measureMs } satisfies HealthyRequest)
  const context: LoadContext = {
    target: broker.target,
    websocket: broker.websocket as LoadContext['websocket'],
    unix,
    scale: options.scale,
  }
  // Code is compiled and caches are filled before anything counts.
  await ask(Math.min(2_000, phaseMs))
  const before = await broker.footprint()
  let residentBytesMax = 0
  let cpuSeconds = 0
  let loadedSeconds = 0
  let seen = ''
  const done: Round[] = []
  let quietBefore = await ask(phaseMs)
  for (let round = 0; round < options.rounds; round++) {
    const load = await startChild(children, 'load-process.ts', [name, JSON.stringify(context)])
    const from = await broker.footprint('asIs')
    const begun = performance.now()
    const loaded = await ask(phaseMs)
    loadedSeconds += (performance.now() - begun) / 1_000
    const to = await broker.footprint('asIs')
    cpuSeconds += to.cpuSeconds - from.cpuSeconds
    residentBytesMax = Math.max(residentBytesMax, from.residentBytes, to.residentBytes)
    seen = await answer<string>(load, 'stop')
    await ask(Math.min(1_000, phaseMs))
    const quietAfter = await ask(phaseMs)
    done.push({ quiet: [quietBefore, quietAfter], loaded })
    options.say?.(
      `${name}: quiet ${ms(quietBefore.p99)}, loaded ${ms(loaded.p99)} (max ${ms(loaded.max)}), quiet ${ms(quietAfter.p99)}; ${seen}`,
    )
    quietBefore = quietAfter
  }
  const all = done.flatMap(({ quiet, loaded }) => [...quiet, loaded])
  const last = all.at(-1) as HealthyFigures
  const quietP99 = lowerQuartile([done[0]?.quiet[0].p99 as number, ...done.map(({ quiet }) => quiet[1].p99)])
  const loadedP99 = lowerQuartile(done.map(({ loaded }) => loaded.p99))
  return {
    name,
    about: loads[name]?.about ?? '',
    rounds: done,
    quietP99,
    loadedP99,
    ratio: loadedP99 / quietP99,
    lost: all.reduce((sum, { lost }) => sum + lost, 0),
    closed: last.closed,
    residentBytesBefore: before.residentBytes,
    residentBytesMax,
    cpuShare: cpuSeconds / loadedSeconds,
    seen,
    errors: broker.complaints.filter((line) => line.includes('"ERROR"')),
  }
}

function ms(value: number): string {
  return `${value.toFixed(2)} ms`
}

async function startChild(children: ChildProcess[], file: string, args: readonly string[]): Promise<ChildProcess> {
  const child = fork(fileURLToPath(new URL(file, import.meta.url)), args, {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    // Not those of the test runner, whose reporter would begin its file anew.
    execArgv: [],
  })
  children.push(child)
  const [said] = await Promise.race([once(child, 'message'), once(child, 'exit').then(() => ['ended'])])
  if (said !== 'ready') throw new Error(`${file} ${args[0]} ended before it was ready`)
  return child
}

function answer<T>(child: ChildProcess, request: object | string): Promise<T> {
  return new Promise((resolve, reject) => {
    const ended = (): void => reject(new Error('A process of the measurement ended'))
    child.once('exit', ended)
    child.once('message', (said) => {
      child.off('exit', ended)
      resolve(said as T)
    })
    child.send(request)
  })
}

function lowerQuartile(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor((sorted.length - 1) / 4)] as number
}
