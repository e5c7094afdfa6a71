/**
 * Random sequences of commands in which most make sense: clients connect, take over, subscribe, publish and settle what is
 * theirs, with stale and malformed commands between. A sequence is a list of plain steps, so that a failing one shrinks.
 */
import fc from 'fast-check'
import type { Command, ConnectionId } from '../src/commands/commands.ts'
import type { Machine } from '../src/machine.ts'
import type { MachineSettings } from '../src/settings.ts'
import { message } from './harness.ts'
import { packed } from './packed.ts'

// The order of the last two differs between UTF-16 code units and UTF-8 bytes.
export const CLIENTS = ['a', 'b', 'c', '\uffff', '\u{10000}'] as const
const TOPICS = ['x', 'x/y', 'x/y/z', 'w', '$s/x', '$direct/a', 'b'] as const
const FILTERS = ['x', 'x/#', '+/y', '#', '$s/+', 'b', '$share/g/x/#', '$share/g/+/y', '$share/h/#', 'bad/#/x'] as const

const client = fc.constantFrom(...CLIENTS)
const qos = fc.constantFrom(0, 1, 2)
const seconds = fc.constantFrom(0, 1, 3, 10, 0xffff_ffff)
const published = fc.record({
  topic: fc.constantFrom(...TOPICS),
  qos,
  retain: fc.boolean(),
  empty: fc.nat({ max: 3 }).map((n) => n === 0),
  expirySeconds: fc.option(fc.constantFrom(0, 1, 4), { nil: undefined }),
})

export const steps = fc.array(
  fc.record({
    pass: fc.nat({ max: 3 }).chain((n) => (n === 0 ? fc.nat({ max: 6_000_000 }) : fc.constant(0))),
    stale: fc.nat({ max: 19 }).map((n) => n === 0),
    client,
    step: fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({
          kind: fc.constant('connect' as const),
          cleanStart: fc.boolean(),
          seconds,
          window: fc.constantFrom(1, 2, 5),
          will: fc.option(fc.record({ published, delay: seconds }), { nil: undefined }),
        }),
      },
      {
        weight: 2,
        arbitrary: fc.record({
          kind: fc.constant('disconnect' as const),
          will: fc.boolean(),
          seconds: fc.option(seconds, { nil: undefined }),
          sent: fc.option(fc.nat({ max: 6 }), { nil: undefined }),
        }),
      },
      {
        weight: 4,
        arbitrary: fc.record({
          kind: fc.constant('subscribe' as const),
          filter: fc.constantFrom(...FILTERS),
          qos,
          noLocal: fc.boolean(),
          retainAsPublished: fc.boolean(),
          handling: qos,
          id: fc.nat({ max: 3 }),
        }),
      },
      {
        weight: 1,
        arbitrary: fc.record({ kind: fc.constant('unsubscribe' as const), filter: fc.constantFrom(...FILTERS) }),
      },
      {
        weight: 8,
        arbitrary: fc.record({
          kind: fc.constant('publish' as const),
          published,
          broker: fc.boolean(),
          receipt: fc.integer({ min: 1, max: 3 }),
        }),
      },
      {
        weight: 4,
        arbitrary: fc.record({
          kind: fc.constant('publishRun' as const),
          published,
          broker: fc.boolean(),
          sizes: fc.array(fc.nat({ max: 3 }), { minLength: 1, maxLength: 8 }),
          packed: fc.boolean(),
        }),
      },
      {
        weight: 4,
        arbitrary: fc.record({
          kind: fc.constant('acknowledge' as const),
          ahead: fc.nat({ max: 4 }),
          count: fc.constantFrom(1, 1, 3),
          outcome: fc.constantFrom('acked', 'received', 'completed', 'givenUp'),
        }),
      },
      {
        weight: 2,
        arbitrary: fc.record({ kind: fc.constant('release' as const), receipt: fc.integer({ min: 0, max: 3 }) }),
      },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('withdrawWill' as const) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('start' as const) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('tick' as const) }) },
    ),
  }),
  { minLength: 1, maxLength: 80, size: 'max' },
)
export type Steps = typeof steps extends fc.Arbitrary<infer T> ? T : never
export type Step = Steps[number]

export const settingsOf: fc.Arbitrary<Partial<MachineSettings>> = fc.record({
  queueMessagesMax: fc.constantFrom(2, 4, 100),
  queueFull: fc.constantFrom('dropNewest', 'dropOldest'),
  shareStrategy: fc.constantFrom('roundRobin', 'leastInflight', 'stickyByPublisher', 'random'),
  seed: fc.nat(),
  directMessages: fc.constantFrom('off', 'prefix', 'bare'),
  settlementLagMax: fc.constantFrom(0, 2),
  retainedMessagesMax: fc.constantFrom(2, 100),
})

/** Turns steps into commands; remembers nothing but counters, and looks the rest up in the machine. */
export class Player {
  incarnation = 1
  timeUs = 1_000_000_000
  #counter = 0

  command({ pass, stale, client: clientId, step }: Step, machine: Machine): Command {
    this.timeUs += pass
    const none: ConnectionId = { node: 0, incarnation: 0, counter: 0 }
    const connection = stale ? none : (machine.session(clientId)?.connection ?? none)
    const toMessage = (given: typeof published extends fc.Arbitrary<infer T> ? T : never, publisher: string) =>
      message(given.topic, publisher, {
        payload: new Uint8Array(given.empty ? 0 : 3),
        qos: given.qos as 0 | 1 | 2,
        retain: given.retain,
        ...(given.expirySeconds === undefined ? {} : { expirySeconds: given.expirySeconds }),
      })
    switch (step.kind) {
      case 'start':
        return { type: 'start', node: 0, incarnation: stale ? this.incarnation : ++this.incarnation }
      case 'tick':
        return { type: 'tick' }
      case 'connect': {
        const { will } = step
        return {
          type: 'connect',
          connection: { node: 0, incarnation: stale ? 0 : this.incarnation, counter: ++this.#counter },
          clientId,
          principal: 'someone',
          version: 5,
          cleanStart: step.cleanStart,
          sessionExpirySeconds: step.seconds,
          receiveMaximum: step.window,
          ...(will === undefined
            ? {}
            : { will: { message: toMessage(will.published, clientId), delaySeconds: will.delay } }),
        }
      }
      case 'disconnect': {
        const base = machine.session(clientId)?.queue.base ?? 0
        return {
          type: 'disconnect',
          connection,
          clientId,
          reasonCode: 0,
          will: step.will ? 'publish' : 'drop',
          ...(step.seconds === undefined ? {} : { sessionExpirySeconds: step.seconds }),
          ...(step.sent === undefined ? {} : { sentBelow: base + step.sent }),
        }
      }
      case 'subscribe': {
        const { filter, noLocal, retainAsPublished, id } = step
        const order = { filter, noLocal, retainAsPublished, subscriptionId: id }
        const options = { qos: step.qos as 0 | 1 | 2, retainHandling: step.handling as 0 | 1 | 2 }
        return { type: 'subscribe', connection, clientId, subscriptions: [{ ...order, ...options }] }
      }
      case 'unsubscribe':
        return { type: 'unsubscribe', connection, clientId, filters: [step.filter] }
      case 'publish': {
        const sent = toMessage(step.published, step.broker ? '' : clientId)
        if (step.broker) return { type: 'publish', message: sent }
        return { type: 'publish', message: sent, connection, ...(sent.qos === 2 ? { receipt: step.receipt } : {}) }
      }
      case 'publishRun': {
        const qos = step.published.qos === 0 ? 0 : 1
        const { payload: _, ...head } = toMessage(
          { ...step.published, qos, retain: false },
          step.broker ? '' : clientId,
        )
        const sizes = step.sizes.map((size) => new Uint8Array(size).fill(size))
        const payloads = step.packed ? packed(sizes) : sizes
        return { type: 'publishRun', head, payloads, ...(step.broker ? {} : { connection }) }
      }
      case 'acknowledge': {
        const q = (machine.session(clientId)?.queue.base ?? 0) + step.ahead
        const outcome = step.outcome as 'acked' | 'received' | 'completed' | 'givenUp'
        return { type: 'acknowledge', connection, clientId, settlements: [{ q, count: step.count, outcome }] }
      }
      case 'withdrawWill': {
        const dueUs = machine.session(clientId)?.willDueUs ?? 0
        return { type: 'withdrawWill', clientId, dueUs: stale ? 0 : dueUs }
      }
      case 'release':
        return { type: 'release', connection, clientId, packetIds: [step.receipt] }
    }
  }
}
