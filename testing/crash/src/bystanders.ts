/**
 * What else must survive a kill: wills, retained messages, and expiries. Each of these clients does one thing and tells the
 * model, or finds the violation itself where it is a matter of its own connections only.
 */
import { FlowClient } from '../../testkit/src/flow-client.ts'
import type { Random } from '../../testkit/src/random.ts'
import type { Target } from '../../testkit/src/raw-client.ts'
import type { Property, Version } from '../../testkit/src/wire.ts'
import * as wire from '../../testkit/src/wire.ts'
import { type CrashModel, willTopic } from './model.ts'

/** Seconds; a will that is delayed comes so long after its connection was lost. */
const willDelay = 1

/** Connects with a will, a new one each time, and is lost in one way or another. */
export class Mourned {
  readonly #name: string
  readonly #model: CrashModel
  readonly #random: Random
  static #wills = 0
  #client: FlowClient | undefined
  #will = 0
  #delayed = false

  constructor(options: { readonly name: string; readonly model: CrashModel; readonly random: Random }) {
    this.#name = options.name
    this.#model = options.model
    this.#random = options.random
  }

  connect(target: Target): void {
    const { below, pick } = this.#random
    const version = pick<Version>([3, 4, 5])
    const number = ++Mourned.#wills
    // The session may go on; a client that comes back within the delay takes the will with it, so each has an id of its own.
    const kept = below(2) === 0
    this.#delayed = version === 5 && kept && below(2) === 0
    const properties: Property[] = version === 5 && kept ? [['sessionExpiryInterval', 3_600]] : []
    const willProperties: Property[] = this.#delayed ? [['willDelayInterval', willDelay]] : []
    const will = { topic: willTopic, payload: `will:${number}`, qos: 2 }
    this.#will = number
    this.#model.willOffered(number)
    const client = new FlowClient(target, {
      version,
      connect: {
        clientId: `${this.#name}-${number}`,
        cleanStart: version === 5 || !kept,
        ...(version === 5 ? { properties, will: { ...will, properties: willProperties } } : { will }),
      },
      onPacket: ({ type, reason }) => {
        if (type !== 'CONNACK' || reason !== 0) return
        this.#model.willArmed(number)
        this.#client = client
      },
    })
  }

  /** Breaks off, or says goodbye, in which case a kill that follows at once may still bring the will. */
  leave(): void {
    const client = this.#client
    if (client === undefined) return
    this.#client = undefined
    if (this.#random.below(3) === 0) {
      client.disconnect()
      this.#model.willFate(this.#will, 'may')
    } else {
      client.drop()
      this.#model.willFate(this.#will, 'must')
    }
  }

  /** The broker was killed. */
  lost(): void {
    if (this.#client !== undefined) this.#model.willFate(this.#will, 'must')
    this.#client?.drop()
    this.#client = undefined
  }
}

/** Writes retained messages on one topic, one after the other, and now and then removes them. */
export class Retainer {
  readonly #topic: string
  readonly #model: CrashModel
  #client: FlowClient | undefined
  #number = 0
  #waiting: number | undefined

  constructor(options: { readonly topic: string; readonly model: CrashModel }) {
    this.#topic = options.topic
    this.#model = options.model
  }

  get idle(): boolean {
    return this.#waiting === undefined
  }

  connect(target: Target): void {
    const client = new FlowClient(target, {
      version: 4,
      connect: { clientId: `retainer-${this.#topic}` },
      onPacket: ({ type, reason }) => {
        if (type === 'CONNACK' && reason === 0) {
          this.#client = client
          if (this.#waiting !== undefined) this.#send(client, this.#waiting)
        } else if (type === 'PUBACK' && this.#waiting !== undefined) {
          this.#model.retainedAcknowledged(this.#topic, this.#waiting)
          this.#waiting = undefined
        }
      },
    })
  }

  pump(): void {
    const client = this.#client
    if (client === undefined || client.closed || this.#waiting !== undefined) return
    this.#waiting = ++this.#number
    this.#send(client, this.#waiting)
  }

  lost(): void {
    this.#client?.drop()
    this.#client = undefined
  }

  #send(client: FlowClient, number: number): void {
    const clear = number % 7 === 0
    this.#model.retainedSent(this.#topic, number, { clear })
    client.send(wire.publish(4, this.#topic, clear ? '' : `${number}`, { qos: 1, id: 1, retain: true }))
  }
}

/** Asks for the retained messages, as a new subscriber. */
export function lookAtRetained(target: Target, topics: readonly string[], model: CrashModel): void {
  const since = new Map<string, number>()
  const seen = new Map<string, number>()
  const client = new FlowClient(target, {
    version: 5,
    connect: { clientId: 'looker' },
    onPacket: (packet) => {
      if (packet.type === 'CONNACK' && packet.reason === 0) {
        for (const topic of topics) since.set(topic, model.retainedAcknowledgedOf(topic))
        client.send(
          wire.subscribe(
            5,
            1,
            topics.map((topic) => [topic, 0]),
          ),
        )
        client.send(wire.pingreq)
      } else if (packet.type === 'PUBLISH' && packet.retain) seen.set(packet.topic, Number(packet.payload.toString()))
      else if (packet.type === 'PINGRESP') {
        for (const topic of topics) model.retainedSeen(topic, seen.get(topic), since.get(topic) ?? 0)
        client.disconnect()
      }
    },
  })
}

/** Seconds; messages, and sessions, that last so long. */
const brief = 1
/** How late a broker may be with an expiry. */
const slackMs = 1_500

/** A session that is kept for a second: back within, it is there; back much later, it is gone. */
export class Ephemeral {
  readonly #name: string
  readonly #model: CrashModel
  #client: FlowClient | undefined
  #awaySinceMs: number | undefined
  #surelyEnded = false

  constructor(options: { readonly name: string; readonly model: CrashModel }) {
    this.#name = options.name
    this.#model = options.model
  }

  connect(target: Target): void {
    const away = this.#awaySinceMs === undefined ? 0 : performance.now() - this.#awaySinceMs
    if (this.#surelyEnded && away < brief * 1_000 + slackMs) return
    const client = new FlowClient(target, {
      version: 5,
      connect: { clientId: this.#name, cleanStart: false, properties: [['sessionExpiryInterval', brief]] },
      onPacket: ({ type, reason, sessionPresent }) => {
        if (type !== 'CONNACK' || reason !== 0) return
        if (sessionPresent && this.#surelyEnded) {
          this.#model.violated(
            `${this.#name}: its session is there ${away.toFixed(0)} ms later, it was kept for ${brief} s`,
          )
        }
        this.#client = client
        this.#surelyEnded = false
      },
    })
  }

  /** Breaks off. What another client is promised afterwards proves that the broker has it on disk. */
  leave(): void {
    if (this.#client === undefined) return
    this.#client.drop()
    this.#client = undefined
    this.#awaySinceMs = performance.now()
  }

  /** Something later was acknowledged: the loss of the connection is known and kept. */
  proven(): void {
    if (this.#awaySinceMs !== undefined && this.#client === undefined) this.#surelyEnded = true
  }

  /** The broker was killed: a connection that was open then ends with the next start. */
  lost(): void {
    this.#client?.drop()
    this.#client = undefined
    if (!this.#surelyEnded) this.#awaySinceMs = undefined
  }
}

/**
 * A session that is away while messages come for it that last a second: what comes late for it must not come. It leaves
 * properly, since after a lost connection the broker must take the first messages for perhaps sent, and those never expire.
 */
export class Fleeting {
  readonly #topic = 'fleeting'
  readonly #model: CrashModel
  #reader: FlowClient | undefined
  #writer: FlowClient | undefined
  #subscribed = false
  #number = 0
  /** When a message was acknowledged. */
  readonly #acknowledgedMs = new Map<number, number>()
  #left: 'no' | 'saidGoodbye' | 'kept' = 'no'
  late = 0
  came = 0

  constructor(model: CrashModel) {
    this.#model = model
  }

  connect(target: Target, { reads }: { readonly reads: boolean }): void {
    if (reads) this.#connectReader(target)
    const writer = new FlowClient(target, {
      version: 5,
      connect: { clientId: 'fleeting-writer' },
      onPacket: ({ type, reason, id }) => {
        if (type === 'CONNACK' && reason === 0) this.#writer = writer
        // Sent after the goodbye was seen: once this is on disk, so is that.
        if (type === 'PUBACK' && this.#left === 'saidGoodbye') this.#left = 'kept'
        if (type === 'PUBACK' && this.#left === 'kept') this.#acknowledgedMs.set(id, performance.now())
      },
    })
  }

  pump(): void {
    const writer = this.#writer
    if (writer === undefined || writer.closed || !this.#subscribed || this.#left === 'no') return
    const number = (this.#number++ % 60_000) + 1
    this.#acknowledgedMs.delete(number)
    const properties: Property[] = [['messageExpiryInterval', brief]]
    writer.send(wire.publish(5, this.#topic, `${number}`, { qos: 1, id: number, properties }))
  }

  leave(): void {
    this.#reader?.disconnect()
  }

  lost(): void {
    this.#reader?.drop()
    this.#writer?.drop()
    this.#reader = undefined
    this.#writer = undefined
    if (this.#left === 'saidGoodbye') this.#left = 'no'
  }

  #connectReader(target: Target): void {
    const reader = new FlowClient(target, {
      version: 5,
      connect: { clientId: 'fleeting-reader', cleanStart: false, properties: [['sessionExpiryInterval', 3_600]] },
      onPacket: ({ type, reason, payload, dup }) => {
        if (type === 'CONNACK' && reason === 0) {
          this.#reader = reader
          if (!this.#subscribed) reader.send(wire.subscribe(5, 1, [[this.#topic, 1]]))
        } else if (type === 'SUBACK') this.#subscribed = true
        // With DUP it may have been sent to a connection that was lost before its CONNACK was seen: those never expire.
        else if (type === 'PUBLISH' && !dup) this.#arrived(Number(payload.toString()))
      },
      onClose: () => {
        if (this.#reader !== reader) return
        this.#reader = undefined
        this.#left = 'saidGoodbye'
      },
    })
    this.#left = 'no'
  }

  #arrived(number: number): void {
    this.came++
    const acknowledged = this.#acknowledgedMs.get(number)
    if (acknowledged === undefined) return
    const ageMs = performance.now() - acknowledged
    if (ageMs <= brief * 1_000 + slackMs) return
    this.late++
    this.#model.violated(
      `fleeting: message ${number} came ${ageMs.toFixed(0)} ms after its acknowledgement, it lasts ${brief} s`,
    )
  }
}
