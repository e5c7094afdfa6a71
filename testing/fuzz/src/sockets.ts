/**
 * Many short connections that break rules in every way, beside clients that keep them: the broker must go on serving, lose
 * nothing, write nothing malformed, find no fault in itself, and hold no more memory or handles at the end than at the
 * beginning.
 *
 *     node testing/fuzz/src/sockets.ts --seed 1 --cases 200000 [--target HOST:PORT]
 *
 * Every case has a seed of its own, the first seed plus its number. Several are played at once, so a failure names those
 * that were on their way; so does an event loop that stands still. Memory and handles are compared only for a broker of this process. Exits 1 on a failure, 64 on bad
 * usage.
 */
import assert from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { type Broker, createBroker, type Logger } from '@concordmq/broker'
import { connect, type RawClient, type Target } from '../../testkit/src/raw-client.ts'
import * as wire from '../../testkit/src/wire.ts'
import { HealthyClients } from './healthy-clients.ts'
import { makeCase } from './socket-case.ts'
import { playCase } from './socket-connection.ts'
import { repeatLine, watchForStall } from './stall-watch.ts'

export interface SocketFuzzOptions {
  readonly seed: number
  readonly cases: number
  /** A broker elsewhere in place of one of our own. */
  readonly target?: Target
  readonly say?: (line: string) => void
}

export interface SocketFuzzResult {
  readonly cases: number
  /** Messages of the healthy clients, all delivered. */
  readonly delivered: number
  /** After the first and after the last tenth; absent for a broker elsewhere. */
  readonly before?: Footprint
  readonly after?: Footprint
}

export interface Footprint {
  readonly heapBytes: number
  readonly handles: number
}

/** Connections at once. */
const lanes = 16
/**
 * What the heap may grow: caches that have a maximum of their own fill (65,536 routes, of a few hundred bytes each), and
 * compiled code settles.
 */
const heapGrowthBytesMax = 16 * 1024 * 1024
const tenths = 10

/** Rejects, with the seeds that were on their way, when a promise is broken. */
export async function fuzzSockets(options: SocketFuzzOptions): Promise<SocketFuzzResult> {
  const own = options.target === undefined ? await OwnBroker.start() : undefined
  const tcp = options.target ?? (own as OwnBroker).tcp
  const playing = new Set<number>()
  // A fault that nobody catches ends the process; this says what caused it.
  const name = (error: unknown): void => console.error(`${inFlight(playing)}\n`, error)
  process.on('uncaughtExceptionMonitor', name)
  const watch = watchForStall()
  try {
    const healthy = await HealthyClients.connect(tcp)
    const started = performance.now()
    const footprints: Footprint[] = []
    let next = 0
    let failed = false
    for (let tenth = 1; tenth <= tenths; tenth++) {
      const end = Math.floor((options.cases * tenth) / tenths)
      let playingCases = true
      const lane = async (): Promise<void> => {
        while (next < end && !failed) {
          const seed = options.seed + next++
          const one = makeCase(seed)
          playing.add(seed)
          await playCase(one.transport === 'ws' && own !== undefined ? own.ws : tcp, seed, one)
          playing.delete(seed)
          own?.check()
        }
      }
      const serving = (async () => {
        do {
          watch.turned(playing)
          await healthy.exchange()
          await turn()
        } while (playingCases)
      })()
      await Promise.all([
        Promise.all(Array.from({ length: lanes }, lane)).finally(() => {
          playingCases = false
        }),
        serving,
      ]).finally(() => {
        failed = next < end
      })
      let measured = ''
      if (own !== undefined && (tenth === 1 || tenth === tenths)) {
        const footprint = await own.footprint(healthy.connections)
        footprints.push(footprint)
        measured = `, heap ${megabytes(footprint.heapBytes)}, ${footprint.handles} handles`
      }
      const rate = Math.round(end / ((performance.now() - started) / 1000))
      options.say?.(`${end} cases, ${rate}/s, ${healthy.delivered} healthy messages${measured}`)
    }
    await healthy.disconnect()
    const [before, after] = footprints
    if (before !== undefined && after !== undefined) checkFlat(before, after)
    return {
      cases: options.cases,
      delivered: healthy.delivered,
      ...(before !== undefined && after !== undefined ? { before, after } : {}),
    }
  } catch (error) {
    throw new Error(inFlight(playing), { cause: error })
  } finally {
    process.off('uncaughtExceptionMonitor', name)
    await watch.end()
    await own?.close()
  }
}

export function checkFlat(before: Footprint, after: Footprint): void {
  const growth = after.heapBytes - before.heapBytes
  assert.ok(growth <= heapGrowthBytesMax, `The heap grew by ${megabytes(growth)}`)
  assert.ok(after.handles <= before.handles, `${before.handles} handles became ${after.handles}`)
}

/** A broker in this process: whose faults, memory and handles can be seen. */
class OwnBroker {
  readonly tcp: Target
  readonly ws: Target
  readonly #broker: Broker
  readonly #faults: string[]

  private constructor(broker: Broker, faults: string[], ports: { readonly tcp: number; readonly ws: number }) {
    this.#broker = broker
    this.#faults = faults
    this.tcp = { host: '127.0.0.1', port: ports.tcp }
    this.ws = { host: '127.0.0.1', port: ports.ws }
  }

  static async start(): Promise<OwnBroker> {
    const faults: string[] = []
    const logger: Logger = {
      debugEnabled: false,
      debug: () => {},
      info: () => {},
      warn: () => {},
      error: (fields, message) => faults.push(`${message} ${JSON.stringify(fields)}`),
    }
    const broker = await createBroker({
      logger,
      access: { allowAnonymous: true, users },
      // Kept sessions go within a second, so that what is left at the end is what was forgotten.
      sessions: { expiryMax: 1 },
      sys: { intervalSeconds: 1 },
      features: { directMessages: 'prefix' },
    })
    const tcp = await broker.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 })
    const ws = await broker.listen({ kind: 'ws', host: '127.0.0.1', port: 0 })
    return new OwnBroker(broker, faults, { tcp: tcp.port, ws: ws.port })
  }

  /** Throws if the broker has logged an error: someone would have to act, and clients must not be able to cause that. */
  check(): void {
    assert.deepEqual(this.#faults, [])
  }

  /** What is held when only the healthy clients are left. */
  async footprint(healthy: number): Promise<Footprint> {
    const observer = await connect(this.tcp, 5, { clientId: 'observer' })
    await forgetRetained(observer)
    await untilClients(observer, healthy + 1)
    await observer.disconnect()
    await turn()
    assert.equal([...this.#broker.clients()].length, healthy)
    collectGarbage()
    await turn()
    collectGarbage()
    return { heapBytes: process.memoryUsage().heapUsed, handles: process.getActiveResourcesInfo().length }
  }

  close(): Promise<void> {
    return this.#broker.close({ graceMs: 0 })
  }
}

/** `user` with `pass`, as cheap as a record can be. */
const users = new Map([
  ['user', '$argon2id$v=19$m=64,t=1,p=1$ZnV6emZ1enpmdXp6ZnV6eg$g8iyGKhu3kY3zEFmlYrqAPeMXLMsWMoX1vMhqGQR/Pw'],
])

async function forgetRetained(observer: RawClient): Promise<void> {
  for (let found = 1; found > 0; ) {
    found = 0
    const topics = new Set<string>()
    for (const filter of ['#', '$SYS/a/#']) {
      await observer.subscribe(filter, 0)
      observer.send(wire.pingreq)
      for (;;) {
        const received = await observer.next()
        if (received === undefined || received.type === 'PINGRESP') break
        if (received.type === 'PUBLISH' && received.retain) topics.add(received.topic)
      }
      await observer.unsubscribe(filter)
    }
    for (const topic of topics) {
      observer.send(wire.publish(5, topic, '', { retain: true }))
      found++
    }
    await observer.ping()
  }
}

/** Waits until `$SYS` says that no other session is left. */
async function untilClients(observer: RawClient, expected: number): Promise<void> {
  await observer.subscribe('$SYS/broker/clients/total')
  const deadline = performance.now() + 20_000
  for (;;) {
    const received = await observer.next(10_000)
    if (received?.payload.toString() === `${expected}`) return
    assert.ok(
      performance.now() < deadline,
      `${received?.payload.toString()} sessions, ${expected} expected: some were forgotten`,
    )
  }
}

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

function inFlight(playing: ReadonlySet<number>): string {
  const first = Math.min(...playing)
  if (!Number.isFinite(first)) return 'Failed between two cases; repeat with the same seed and cases'
  return repeatLine(first, Math.max(...playing))
}

function megabytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { seed: { type: 'string' }, cases: { type: 'string' }, target: { type: 'string' } },
  })
  const seed = Number(values.seed ?? Date.now() % 1_000_000_000)
  const cases = Number(values.cases ?? 10_000)
  const target = /^(?<host>.+):(?<port>\d+)$/u.exec(values.target ?? 'none:0')?.groups
  if (!Number.isInteger(seed) || !Number.isInteger(cases) || cases < 1 || target === undefined) {
    console.error('Usage: node testing/fuzz/src/sockets.ts [--seed INTEGER] [--cases INTEGER] [--target HOST:PORT]')
    return 64
  }
  try {
    const { delivered } = await fuzzSockets({
      seed,
      cases,
      say: console.log,
      ...(values.target === undefined
        ? {}
        : { target: { host: target['host'] as string, port: Number(target['port']) } }),
    })
    console.log(`${cases} cases from seed ${seed} on: served throughout, ${delivered} healthy messages delivered`)
    return 0
  } catch (error) {
    console.error(error)
    console.error(`The whole run: node testing/fuzz/src/sockets.ts --seed ${seed} --cases ${cases}`)
    return 1
  }
}

if (import.meta.main) {
  try {
    process.exitCode = await main()
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
    process.exitCode = 64
  }
}
