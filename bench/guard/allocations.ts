/**
 * Bytes that the broker allocates for a message, counted: a process whose young generation is so large that nothing is
 * collected while it counts, so what is in use has grown by exactly what was allocated. Clients are streams in the same
 * process, and what those allocate is counted along; it does not change from run to run.
 *
 *   node [nodeFlags] bench/guard/allocations.ts     prints one JSON object: bytes per message by scenario
 */

import { PerformanceObserver } from 'node:perf_hooks'
import { Duplex } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import { getHeapStatistics } from 'node:v8'
import { type Broker, createBroker } from '@concordmq/broker'

/** Compilation on the main thread alone: otherwise it ends at another message in every run. */
export const nodeFlags = ['--min-semi-space-size=512', '--max-semi-space-size=512', '--single-threaded', '--expose-gc']

export interface Allocations {
  /** Objects. */
  readonly heap: number
  /** Memory of buffers. */
  readonly external: number
}

const topic = 'guard/t0'
const payload = Buffer.alloc(64, 0x78)
/** Of counting; the lowest counts, since a few are still spoilt by what is compiled or grows. */
const batches = 5

interface Scenario {
  readonly qos: 0 | 1 | 2
  readonly subscribers: number
  /** Messages that arrive in one read. */
  readonly together: number
  /** Reads of one batch. */
  readonly reads: number
}
const scenarios: Readonly<Record<string, Scenario>> = {
  '1:1, QoS 0, one read of 100': { qos: 0, subscribers: 1, together: 100, reads: 200 },
  '1:1, QoS 0, a read each': { qos: 0, subscribers: 1, together: 1, reads: 1_500 },
  '1:20, QoS 0, one read of 100': { qos: 0, subscribers: 20, together: 100, reads: 50 },
  '1:1, QoS 1, one read of 100': { qos: 1, subscribers: 1, together: 100, reads: 200 },
  '1:1, QoS 1, a read each': { qos: 1, subscribers: 1, together: 1, reads: 1_500 },
  '1:1, QoS 2, one read of 100': { qos: 2, subscribers: 1, together: 100, reads: 200 },
}

let collections = 0
async function count({ qos, subscribers, together, reads }: Scenario): Promise<Allocations> {
  const broker = await createBroker({ access: { allowAnonymous: true } })
  const listeners = Array.from({ length: subscribers }, (_, i) => new Client(broker, `s${i}`))
  const publisher = new Client(broker, 'p')
  for (const client of [publisher, ...listeners]) await client.answered(1)
  for (const client of listeners) {
    client.send(Buffer.from([0x82, 5 + topic.length, 0, 1, 0, topic.length, ...Buffer.from(topic), qos]))
    await client.answered(2)
  }
  const chunk = Buffer.concat(Array.from({ length: together }, (_, i) => publish(qos, i + 1)))
  let best: Allocations | undefined
  for (let batch = 0; batch < batches; batch++) {
    globalThis.gc?.()
    await told()
    const collectionsBefore = collections
    const before = inUse()
    for (let read = 0; read < reads; read++) {
      publisher.send(chunk)
      // Everything is over when the last subscriber has nothing more to acknowledge.
      for (let quiet = 0; quiet < 3; quiet++) await turn()
    }
    const after = inUse()
    await told()
    if (collections > collectionsBefore) continue
    const each = {
      heap: (after.heap - before.heap) / (reads * together),
      external: (after.external - before.external) / (reads * together),
    }
    if (best === undefined || each.heap < best.heap) best = each
  }
  await broker.close()
  if (best === undefined) throw new Error('Something was collected in every batch: start with the flags in nodeFlags')
  const expected = batches * reads * together
  for (const { received } of listeners) if (received !== expected) throw new Error(`${received} of ${expected} arrived`)
  return best
}

/** Until the observer has heard of the collections so far. */
async function told(): Promise<void> {
  for (let turns = 0; turns < 10; turns++) await turn()
}

function inUse(): Allocations {
  const { used_heap_size: heap, external_memory: external } = getHeapStatistics()
  return { heap, external }
}

function publish(qos: number, id: number): Buffer {
  const name = [0, topic.length, ...Buffer.from(topic), ...(qos > 0 ? [id >> 8, id & 255] : [])]
  return Buffer.concat([Buffer.from([0x30 | (qos << 1), name.length + payload.length, ...name]), payload])
}

/** A client on a stream: connects, counts what it gets, and acknowledges as it must. */
class Client extends Duplex {
  received = 0
  #answers = 0
  readonly #acknowledgement = Buffer.alloc(4 * 65_536)

  constructor(broker: Broker, name: string) {
    super({ highWaterMark: 16 * 1_048_576 })
    broker.handle(this)
    const connect = [0, 4, ...Buffer.from('MQTT'), 4, 2, 0, 0, 0, name.length, ...Buffer.from(name)]
    this.send(Buffer.from([0x10, connect.length, ...connect]))
  }

  send(bytes: Buffer): void {
    this.push(bytes)
  }

  /** Until it has so many CONNACK and SUBACK packets. */
  async answered(count: number): Promise<void> {
    while (this.#answers < count) await turn()
  }

  override _read(): void {}

  override _write(bytes: Buffer, _encoding: string, done: () => void): void {
    let acknowledged = 0
    for (let at = 0; at < bytes.length; at += 2 + (bytes[at + 1] as number)) {
      const first = bytes[at] as number
      const type = first >> 4
      if (type === 2 || type === 9) this.#answers++
      let answer = type === 5 ? 0x62 : type === 6 ? 0x70 : 0
      let id = at + 2
      if (type === 3) {
        this.received++
        const qos = (first >> 1) & 3
        answer = qos === 0 ? 0 : qos === 1 ? 0x40 : 0x50
        id += 2 + topic.length
      }
      if (answer === 0) continue
      const own = this.#acknowledgement
      own[acknowledged++] = answer
      own[acknowledged++] = 2
      own[acknowledged++] = bytes[id] as number
      own[acknowledged++] = bytes[id + 1] as number
    }
    if (acknowledged > 0) this.push(Buffer.from(this.#acknowledgement.subarray(0, acknowledged)))
    done()
  }
}

if (process.argv[1] === import.meta.filename) {
  new PerformanceObserver((list) => {
    collections += list.getEntries().length
  }).observe({ entryTypes: ['gc'] })
  const found: Record<string, Allocations> = {}
  for (const [name, scenario] of Object.entries(scenarios)) found[name] = await count(scenario)
  process.stdout.write(`${JSON.stringify(found)}\n`)
  process.exit(0)
}
