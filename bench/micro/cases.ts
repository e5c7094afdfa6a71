/** What is measured alone: codec, routing, queues, state machine, consensus core. Each case does its work n times. */
import {
  decodePublish,
  encodePublish,
  Framer,
  PacketType,
  type PublishPacket,
  PublishScan,
  scanPublish,
} from '@concordmq/protocol'
import { type Effects, FilterTree, Machine, machineSettings } from '@concordmq/state'
import { Fifo } from '../../packages/broker/src/delivery/fifo.ts'
import { RouteTable } from '../../packages/broker/src/routing/route-table.ts'
import { Rounds } from './consensus-rounds.ts'

export interface MicroCase {
  readonly name: string
  /** Of one measured stretch: long enough for the clock, short enough for a young generation. */
  readonly times: number
  /** Makes what is worked on, and gives the work. */
  readonly prepare: () => (times: number) => void
}

const packet: PublishPacket = {
  ...{ type: PacketType.publish, topic: 'site/7/room/12/temperature', payload: new Uint8Array(64) },
  ...{ qos: 1, dup: false, retain: false, packetId: 7 },
}
/** As many as one read of 64 KiB brings. */
const chunkPackets = 600

function chunkOf(count: number): Uint8Array {
  return Buffer.concat(Array.from({ length: count }, () => encodePublish(packet, 4)))
}

function treeOf(count: number, filterOf: (i: number) => string): FilterTree<number> {
  const tree = new FilterTree<number>()
  for (let i = 0; i < count; i++) tree.set(filterOf(i), 'client', i)
  return tree
}

function matching(count: number): MicroCase {
  return {
    name: `routing: match among ${count.toLocaleString('en')} filters base/N/+/v`,
    times: 5_000,
    prepare() {
      const tree = treeOf(count, (i) => `base/${i}/+/v`)
      const topics = Array.from({ length: 1_000 }, (_, i) => `base/${(i * 7_919) % count}/a/v`)
      let found = 0
      return (times) => {
        for (let i = 0; i < times; i++) tree.match(topics[i % topics.length] as string, () => found++)
      }
    },
  }
}

const nothing = (): void => undefined
const effects: Effects = {
  ...{ published: nothing, queued: nothing, deliver: nothing },
  ...{ connectionEnded: nothing, sessionEnded: nothing, dropped: nothing },
}

/** A kept session that is subscribed, and takes what it gets. */
function machineWithSession(): { readonly publish: () => void; readonly queueAndAcknowledge: () => void } {
  const machine = new Machine(machineSettings())
  const connection = { node: 0, incarnation: 1, counter: 1 }
  let position = 1
  const nowUs = 1_700_000_000_000_000
  const apply = (command: Parameters<Machine['apply']>[0]): void => {
    const outcome = machine.apply(command, position++, nowUs, effects)
    if (outcome.type === 'stale' || 'detail' in outcome || 'reasonCode' in outcome) {
      throw new Error(`The machine answers ${outcome.type}`)
    }
  }
  apply({ type: 'start', node: 0, incarnation: 1 })
  apply({
    ...{ type: 'connect', connection, clientId: 'kept', principal: '', version: 5, cleanStart: false },
    ...{ sessionExpirySeconds: 3_600, receiveMaximum: 1_000 },
  })
  const subscription = {
    filter: 'kept/#',
    qos: 1,
    noLocal: false,
    retainAsPublished: false,
    retainHandling: 0,
  } as const
  apply({ type: 'subscribe', connection, clientId: 'kept', subscriptions: [{ ...subscription, subscriptionId: 0 }] })
  const payload = new Uint8Array(64)
  const message = (topic: string) => ({ topic, payload, qos: 1, retain: false, publisher: 'p' }) as const
  let q = 0
  return {
    publish: () => apply({ type: 'publish', message: message('nobody/here') }),
    queueAndAcknowledge() {
      apply({ type: 'publish', message: message('kept/here') })
      apply({ type: 'acknowledge', connection, clientId: 'kept', settlements: [{ q: q++, outcome: 'acked' }] })
    },
  }
}

function repeated(work: () => void): (times: number) => void {
  return (times) => {
    for (let i = 0; i < times; i++) work()
  }
}

export const cases: readonly MicroCase[] = [
  {
    name: 'codec: find and scan a PUBLISH in a read of 600',
    times: 50 * chunkPackets,
    prepare() {
      const framer = new Framer({ packetBytesMax: 1_048_576 })
      const chunk = chunkOf(chunkPackets)
      const scan = new PublishScan()
      return (times) => {
        for (let i = 0; i < times; i += chunkPackets) {
          framer.push(chunk, (first, bytes, start, end) => void scanPublish(first, bytes, start, end, 4, scan))
        }
      }
    },
  },
  {
    name: 'codec: decode a PUBLISH to an object',
    times: 5_000,
    prepare() {
      const bytes = encodePublish(packet, 5)
      return repeated(() => void decodePublish(bytes[0] as number, bytes, 2, bytes.length, 5))
    },
  },
  { name: 'codec: encode a PUBLISH', times: 5_000, prepare: () => repeated(() => void encodePublish(packet, 5)) },
  {
    name: 'routing: a topic whose route is cached',
    times: 50_000,
    prepare() {
      const table = new RouteTable<number>({ matches: nothing, ordered: () => false }, 1_000)
      const topics = Array.from({ length: 100 }, (_, i) => Buffer.from(`site/${i}/temperature`))
      return (times) => {
        for (let i = 0; i < times; i++) {
          const topic = topics[i % topics.length] as Buffer
          table.lookup(topic, 0, topic.length)
        }
      }
    },
  },
  ...[1_000, 100_000].map(matching),
  {
    name: 'routing: add and remove a filter among 100,000',
    times: 5_000,
    prepare() {
      const tree = treeOf(100_000, (i) => `base/${i}/+/v`)
      let next = 0
      return repeated(() => {
        // Not one filter again and again: V8 keeps what was deleted from a map in its chain until the map is rehashed.
        const filter = `base/new${next++ % 5_000}/+/v`
        tree.set(filter, 'client', 1)
        tree.delete(filter, 'client')
      })
    },
  },
  {
    name: 'queues: put in and take out',
    times: 100_000,
    prepare() {
      const queue = new Fifo<Uint8Array>()
      return repeated(() => {
        queue.push(packet.payload)
        queue.shift()
      })
    },
  },
  {
    name: 'machine: a message that no kept session wants',
    times: 5_000,
    prepare: () => repeated(machineWithSession().publish),
  },
  {
    name: 'machine: queue a message for a kept session, and acknowledge it',
    times: 5_000,
    prepare: () => repeated(machineWithSession().queueAndAcknowledge),
  },
  ...[4, 7].map((nodes) => ({
    name: `consensus: a round of ${nodes} nodes, a message each, signatures left out`,
    times: 50,
    prepare() {
      const rounds = new Rounds({ nodes, messages: nodes, bytes: 64, signatures: false })
      return (times: number) => rounds.run(times)
    },
  })),
]
