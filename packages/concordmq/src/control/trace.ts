/**
 * Follows what happens to one client, one address or one topic for a while, line by line, in words (row U21). It is a set of
 * observing hooks, added when somebody asks and taken away afterwards: a broker that nobody traces pays nothing. While it runs,
 * every packet is looked at, so a busy broker is slower meanwhile.
 *
 * A message that is followed makes one record of where it came from, what it went through and whom it reached, each with its
 * time. Payloads are not shown unless asked for, passwords never.
 */
import { performance } from 'node:perf_hooks'
import type { Broker, Hooks } from '@concordmq/broker'
import { filterMatches } from '@concordmq/protocol'

type ClientInfo = Parameters<NonNullable<Hooks['packetReceived']>>[0]
type Packet = Parameters<NonNullable<Hooks['packetReceived']>>[1]
type HookMessage = Parameters<NonNullable<Hooks['delivered']>>[1]

/** What is followed. */
export interface TraceSubject {
  readonly kind: 'client' | 'address' | 'topic'
  /** Client identifier, network address, or topic filter. */
  readonly value: string
  readonly payloads: boolean
}

/** One line. Times are RFC 3339 with microseconds. */
export interface TraceLine {
  readonly at: string
  readonly event: string
  /** In words. */
  readonly text: string
  readonly [more: string]: unknown
}

interface Passing {
  readonly id: number
  readonly from: string
  readonly received: string
  readonly message: HookMessage
  readonly to: { readonly client: string; readonly delivered: string; readonly qos: number }[]
}

const packetNames = [
  '',
  'CONNECT',
  'CONNACK',
  'PUBLISH',
  'PUBACK',
  'PUBREC',
  'PUBREL',
  'PUBCOMP',
  'SUBSCRIBE',
  'SUBACK',
  'UNSUBSCRIBE',
  'UNSUBACK',
  'PINGREQ',
  'PINGRESP',
  'DISCONNECT',
  'AUTH',
]
const PUBLISH = 3
/** Bytes of a payload that are shown. */
const payloadBytesMax = 256

/** Begins; the returned function ends it. `emit` is called for each line and must not throw. */
export function traceBroker(broker: Broker, subject: TraceSubject, emit: (line: TraceLine) => void): () => void {
  const tracer = new Tracer(subject, emit)
  return broker.addHooks(tracer.hooks())
}

class Tracer {
  readonly #subject: TraceSubject
  readonly #emit: (line: TraceLine) => void
  /** The message that is passing through the broker at this moment. */
  #passing: Passing | undefined
  #messages = 0

  constructor(subject: TraceSubject, emit: (line: TraceLine) => void) {
    this.#subject = subject
    this.#emit = emit
  }

  hooks(): Hooks {
    return {
      name: 'trace',
      connectRefused: (client, reasonCode) => {
        if (this.#follows(client)) {
          this.#line('refused', `${who(client)}: CONNECT refused (${hex(reasonCode)})`, {
            client: client.clientId,
            reasonCode,
          })
        }
      },
      clientConnected: (client, { present }) => {
        if (!this.#follows(client)) return
        const user = client.username === '' ? 'anonymous' : `user ${quoted(client.username)}`
        const text = `${who(client)}: connected from ${client.remoteAddress || client.listener} as ${user}, MQTT ${version(client)}, ${present ? 'its session goes on' : 'a new session'}`
        this.#line('connected', text, {
          client: client.clientId,
          address: client.remoteAddress,
          sessionPresent: present,
        })
      },
      clientDisconnected: (client, { reasonCode, byClient }) => {
        if (!this.#follows(client)) return
        const text = `${who(client)}: ${byClient ? 'said good-bye' : 'connection ended'} (${hex(reasonCode)})`
        this.#line('disconnected', text, { client: client.clientId, reasonCode, byClient })
      },
      sessionEnded: (clientId, reason) => {
        if (this.#subject.kind === 'client' && clientId === this.#subject.value) {
          this.#line('session ended', `${quoted(clientId)}: session ended (${reason})`, { client: clientId, reason })
        }
      },
      packetReceived: (client, packet) => this.#received(client, packet),
      packetSent: (client, packet) => {
        if (packet.type !== PUBLISH && this.#follows(client)) this.#packet('sent', client, packet)
      },
      subscribed: (client, subscriptions, { reasonCodes }) => {
        for (const [i, { filter }] of subscriptions.entries()) {
          if (!this.#follows(client) && !(this.#subject.kind === 'topic' && filter === this.#subject.value)) continue
          const code = reasonCodes[i] ?? 0x80
          const outcome = code < 0x80 ? `granted QoS ${code}` : `refused (${hex(code)})`
          this.#line('subscribed', `${who(client)}: subscription to ${quoted(filter)} ${outcome}`, {
            client: client.clientId,
            filter,
            reasonCode: code,
          })
        }
      },
      published: (client, message) => this.#published(client, message),
      publishRefused: (client, message, reasonCode) => {
        this.#passing = undefined
        if (this.#follows(client) || this.#concerns(message)) {
          const text = `${who(client)}: message for ${quoted(message.topic)} refused (${hex(reasonCode)})`
          this.#line('publish refused', text, { client: client.clientId, topic: message.topic, reasonCode })
        }
      },
      publishDropped: (client, message) => {
        if (this.#follows(client) || this.#concerns(message)) {
          const text = `${who(client)} did not get a message of ${quoted(message.topic)}: its queue is full, or the message expired or is too large`
          this.#line('dropped', text, { client: client.clientId, topic: message.topic })
        }
      },
      delivered: (client, message) => this.#delivered(client, message),
      willSent: (clientId, will) => {
        if ((this.#subject.kind === 'client' && clientId === this.#subject.value) || this.#concerns(will)) {
          this.#line('will', `${quoted(clientId)}: its will goes to ${quoted(will.topic)}`, {
            client: clientId,
            topic: will.topic,
          })
        }
      },
    }
  }

  #received(client: ClientInfo, packet: Packet): void {
    if (packet.type !== PUBLISH) {
      if (this.#follows(client)) this.#packet('received', client, packet)
      return
    }
    // What becomes of it is told by `published` or `publishRefused`, once it has passed.
    const { topic, payload, qos, retain, dup, packetId = 0 } = packet
    this.#passing = {
      id: ++this.#messages,
      from: client.clientId,
      received: now(),
      message: { topic, payload, qos, retain, dup, packetId },
      to: [],
    }
  }

  #delivered(client: ClientInfo, message: HookMessage): void {
    const passing = this.#passing
    if (passing !== undefined && passing.message.topic === message.topic) {
      passing.to.push({ client: client.clientId, delivered: now(), qos: message.qos })
      return
    }
    if (!this.#follows(client) && !this.#concerns(message)) return
    const text = `${who(client)} ◀ ${describe(message)}, from its queue or retained${this.#payloadText(message)}`
    this.#line('delivered', text, {
      to: [{ client: client.clientId, delivered: now(), qos: message.qos }],
      ...this.#about(message),
    })
  }

  #published(client: ClientInfo | undefined, message: HookMessage): void {
    const passing = this.#passing
    this.#passing = undefined
    const to = passing?.to ?? []
    const followed =
      (client !== undefined && this.#follows(client)) ||
      this.#concerns(message) ||
      (this.#subject.kind === 'client' && to.some((one) => one.client === this.#subject.value))
    if (!followed) return
    const from = client === undefined ? '(the broker)' : who(client)
    const reached =
      to.length === 0 ? 'reached nobody who is connected' : `▶ ${to.map((one) => quoted(one.client)).join(', ')}`
    this.#line('message', `${from} ▶ ${describe(message)} ${reached}${this.#payloadText(message)}`, {
      id: passing?.id ?? ++this.#messages,
      from: client?.clientId ?? '',
      received: passing?.received ?? now(),
      via: message.topic,
      routed: now(),
      to,
      ...this.#about(message),
    })
  }

  #packet(direction: 'received' | 'sent', client: ClientInfo, packet: Packet): void {
    const name = packetNames[packet.type] ?? String(packet.type)
    const id = 'packetId' in packet && packet.packetId !== undefined ? ` ${packet.packetId}` : ''
    const code = 'reasonCode' in packet && packet.reasonCode !== 0 ? ` (${hex(packet.reasonCode)})` : ''
    const arrow = direction === 'received' ? '▶' : '◀'
    this.#line(direction, `${who(client)} ${arrow} ${name}${id}${code}`, { client: client.clientId, packet: name })
  }

  #follows(client: ClientInfo): boolean {
    const { kind, value } = this.#subject
    return kind === 'client' ? client.clientId === value : kind === 'address' && client.remoteAddress === value
  }

  #concerns({ topic }: { readonly topic: string }): boolean {
    return this.#subject.kind === 'topic' && filterMatches(this.#subject.value, topic)
  }

  #about(message: HookMessage): Record<string, unknown> {
    const { topic, qos, retain, dup, packetId, payload } = message
    return {
      topic,
      qos,
      retain,
      dup,
      packetId,
      bytes: payload.length,
      ...(this.#subject.payloads && { payload: shown(payload) }),
    }
  }

  #payloadText({ payload }: HookMessage): string {
    return this.#subject.payloads ? `: ${quoted(shown(payload))}` : ''
  }

  #line(event: string, text: string, more: Readonly<Record<string, unknown>>): void {
    this.#emit({ at: now(), event, text, ...more })
  }
}

/** The clock of the wall with microseconds, never going back while a trace runs. */
function now(): string {
  const ms = performance.timeOrigin + performance.now()
  const micros = Math.floor((ms % 1) * 1_000)
  return new Date(ms).toISOString().replace('Z', `${String(micros).padStart(3, '0')}Z`)
}

function who({ clientId, remoteAddress }: ClientInfo): string {
  return clientId === '' ? remoteAddress || '(unnamed)' : quoted(clientId)
}

function describe({ topic, qos, retain, payload }: HookMessage): string {
  return `${quoted(topic)} QoS ${qos}${retain ? ' retained' : ''}, ${payload.length} bytes`
}

/** Names come from clients: what could break a line is escaped. */
function quoted(text: string): string {
  return /^[\w./:+#$-]+$/.test(text) ? text : JSON.stringify(text)
}

function shown(payload: Uint8Array): string {
  const text = Buffer.from(payload.subarray(0, payloadBytesMax)).toString()
  return payload.length > payloadBytesMax ? `${text}…` : text
}

function version(client: ClientInfo): string {
  return client.version === 3 ? '3.1' : client.version === 4 ? '3.1.1' : '5.0'
}

function hex(code: number): string {
  return `0x${code.toString(16).padStart(2, '0')}`
}
