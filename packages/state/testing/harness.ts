/** For the tests of this package: a machine with a running place and time, and its effects as lines of text. */
import type { Command, ConnectionId, SubscriptionOrder } from '../src/commands/commands.ts'
import type { CommandRecord } from '../src/commands/recording.ts'
import type { Effects, Outcome } from '../src/effects.ts'
import { Machine } from '../src/machine.ts'
import type { Message } from '../src/messages/message.ts'
import type { Payloads } from '../src/messages/payloads.ts'
import { type MachineSettings, machineSettings } from '../src/settings.ts'

const SECOND = 1_000_000

/** Effects that write themselves down. */
export function tracingEffects(lines: string[]): Effects {
  const at = (connection: ConnectionId | undefined) =>
    connection === undefined ? '-' : `${connection.node}.${connection.incarnation}.${connection.counter}`
  return {
    published: ({ message, position, index }, publisher) =>
      void lines.push(`published ${message.topic} ${position}.${index} by ${at(publisher)}`),
    queued: (clientId, connection, q, count) => {
      for (let i = 0; i < count; i++) lines.push(`queued ${clientId} ${at(connection)} q${q + i}`)
    },
    deliver: (clientId, connection, { message }, { qos, retain, subscriptionIds }) =>
      void lines.push(
        `deliver ${clientId} ${at(connection)} ${message.topic} qos${qos}${retain ? ' retain' : ''} [${subscriptionIds.join()}]`,
      ),
    connectionEnded: (connection, clientId, code) =>
      void lines.push(`connectionEnded ${clientId} ${at(connection)} 0x${code.toString(16)}`),
    sessionEnded: (clientId, reason) => void lines.push(`sessionEnded ${clientId} ${reason}`),
    dropped: (clientId, q, reason) => void lines.push(`dropped ${clientId} q${q} ${reason}`),
  }
}

export interface ConnectOptions {
  readonly cleanStart?: boolean
  readonly expiry?: number
  readonly receiveMaximum?: number
  readonly version?: 3 | 4 | 5
  readonly will?: Partial<Message> & { readonly delay?: number }
}

/** One machine, node 0 started; each command takes the next position. */
export class Harness {
  readonly machine: Machine
  readonly lines: string[] = []
  readonly records: CommandRecord[] = []
  readonly connections = new Map<string, ConnectionId>()
  readonly settings: MachineSettings
  timeUs = 1_000 * SECOND
  #position = 0
  #counter = 0

  constructor(settings: Partial<MachineSettings> = {}) {
    this.settings = machineSettings({ settlementLagMax: 0, ...settings })
    this.machine = new Machine(this.settings)
    this.apply({ type: 'start', node: 0, incarnation: 1 })
  }

  apply(command: Command): Outcome {
    const record = { position: ++this.#position, timeUs: this.timeUs, command }
    this.records.push(record)
    return this.machine.apply(command, record.position, record.timeUs, tracingEffects(this.lines))
  }

  /** The lines since the last call. */
  take(): string[] {
    return this.lines.splice(0)
  }

  /** Seconds pass, and a tick. */
  pass(seconds: number): string[] {
    this.timeUs += seconds * SECOND
    this.apply({ type: 'tick' })
    return this.take()
  }

  connect(clientId: string, options: ConnectOptions = {}): Outcome {
    const connection = { node: 0, incarnation: 1, counter: ++this.#counter }
    const { will } = options
    const outcome = this.apply({
      type: 'connect',
      connection,
      clientId,
      principal: '',
      version: options.version ?? 5,
      cleanStart: options.cleanStart ?? false,
      sessionExpirySeconds: options.expiry ?? 0,
      receiveMaximum: options.receiveMaximum ?? 10,
      ...(will === undefined
        ? {}
        : { will: { message: message(will.topic ?? 'will', clientId, will), delaySeconds: will.delay ?? 0 } }),
    })
    if (outcome.type === 'connected') this.connections.set(clientId, connection)
    return outcome
  }

  at(clientId: string): ConnectionId {
    return this.connections.get(clientId) ?? { node: 0, incarnation: 1, counter: 999_999 }
  }

  disconnect(
    clientId: string,
    options: { will?: 'publish' | 'drop'; sentBelow?: number; sessionExpirySeconds?: number } = {},
  ): Outcome {
    const { will = 'drop', ...rest } = options
    return this.apply({ type: 'disconnect', connection: this.at(clientId), clientId, reasonCode: 0, will, ...rest })
  }

  subscribe(clientId: string, filter: string, options: Partial<SubscriptionOrder> = {}): Outcome {
    const order = { qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0, subscriptionId: 0 } as const
    const subscriptions = [{ ...order, ...options, filter }]
    return this.apply({ type: 'subscribe', connection: this.at(clientId), clientId, subscriptions })
  }

  unsubscribe(clientId: string, ...filters: string[]): Outcome {
    return this.apply({ type: 'unsubscribe', connection: this.at(clientId), clientId, filters })
  }

  /** By the broker itself, unless a client is named. */
  publish(topic: string, options: Partial<Message> & { from?: string; receipt?: number } = {}): Outcome {
    const { from, receipt, ...rest } = options
    return this.apply({
      type: 'publish',
      message: message(topic, from ?? '', rest),
      ...(from === undefined ? {} : { connection: this.at(from) }),
      ...(receipt === undefined ? {} : { receipt }),
    })
  }

  /** A run of messages with these payloads. */
  publishRun(topic: string, payloads: Payloads, options: Partial<Message> & { from?: string } = {}): Outcome {
    const { from, ...rest } = options
    const { payload: _, ...head } = message(topic, from ?? '', rest)
    return this.apply({
      type: 'publishRun',
      head,
      payloads,
      ...(from === undefined ? {} : { connection: this.at(from) }),
    })
  }

  settle(clientId: string, outcome: 'acked' | 'received' | 'completed' | 'givenUp', ...numbers: number[]): Outcome {
    const settlements = numbers.map((q) => ({ q, outcome }))
    return this.apply({ type: 'acknowledge', connection: this.at(clientId), clientId, settlements })
  }

  release(clientId: string, ...packetIds: number[]): Outcome {
    return this.apply({ type: 'release', connection: this.at(clientId), clientId, packetIds })
  }

  /** What waits in a session's queue: `q0 a/b qos1 queued`. */
  queue(clientId: string): string[] {
    const session = this.machine.session(clientId)
    const lines: string[] = []
    if (session === undefined) return lines
    for (let q = session.queue.base; q < session.queue.next; q++) {
      const entry = session.queue.entry(q)
      if (entry === undefined) continue
      const { qos, retain, subscriptionIds } = entry.terms
      const ids = subscriptionIds.length === 0 ? '' : ` [${subscriptionIds.join()}]`
      lines.push(`q${q} ${entry.placed?.message.topic} qos${qos}${retain ? ' retain' : ''}${ids} ${entry.state}`)
    }
    return lines
  }
}

export function message(topic: string, publisher: string, options: Partial<Message> = {}): Message {
  const { payload = Uint8Array.of(1), qos = 1, retain = false, properties, expirySeconds } = options
  return {
    topic,
    payload,
    qos,
    retain,
    ...(properties === undefined ? {} : { properties }),
    ...(expirySeconds === undefined ? {} : { expirySeconds }),
    publisher,
  }
}

export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
