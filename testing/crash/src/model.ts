/**
 * What must hold when a broker is killed and started again, as bookkeeping over what its clients saw. Pure: it is told what
 * happened, in the order in which the clients saw it, and lists what was broken.
 *
 *   sent ─────────────▶ acknowledged          a message has its place in the order somewhere between the two
 *        SUBSCRIBE ▶ SUBACK … UNSUBSCRIBE ▶ UNSUBACK    a subscription holds surely inside, perhaps at the edges
 *
 * - A message that was acknowledged, under a subscription that surely held meanwhile, reaches the session.
 * - What is published at QoS 2 comes once; at QoS 1 at most as often as it was sent.
 * - The messages of one publisher come in the order in which it sent them, repetitions included.
 * - What may have been sent before is sent again with the same packet identifier and DUP = 1, in the first order; after
 *   PUBREL never again; and no identifier stands for something new while its message is unsettled.
 * - A session that was acknowledged is there, a will of a lost connection comes exactly once, a retained message is none
 *   that was replaced before it was acknowledged.
 */
export const willTopic = 'wills'

export interface Arrival {
  readonly publisher: string
  readonly number: number
  readonly topic: string
  readonly id: number
  readonly dup: boolean
  readonly qos: number
}

interface Sent {
  readonly topic: string
  readonly qos: number
  readonly from: number
  /** When its place in the order was certain; infinite while it is not. */
  until: number
  /** Places in the row of everything that its publisher sent, repetitions included. */
  readonly places: number[]
  refused: boolean
}

interface Publisher {
  readonly sent: Map<number, Sent>
  places: number
}

/** One time that a subscription holds, on the model's clock. */
interface Span {
  readonly mayFrom: number
  surelyFrom: number
  surelyUntil: number
  mayUntil: number
}

interface Entry {
  readonly key: string
  readonly id: number
  readonly qos: number
  /** Which first arrival of the session it was. */
  readonly order: number
  connection: number
  state: 'open' | 'released' | 'settled'
}

interface Session {
  known: boolean
  offered: boolean
  connection: number
  lastOrder: number
  arrivals: number
  readonly spans: Map<string, Span[]>
  readonly entries: Map<number, Entry>
  readonly openByKey: Map<string, Entry>
  readonly seen: Map<string, number>
  /** Per publisher: the place up to which its row has been matched. */
  readonly matched: Map<string, number>
}

interface Will {
  armed: boolean
  /** `must` come, must `not` come, or either. */
  fate: 'may' | 'must' | 'not'
  seen: number
}

interface Retained {
  sent: number
  acknowledged: number
  readonly clears: Set<number>
}

const violationsMax = 50

export class CrashModel {
  readonly violations: string[] = []
  /** Requests that the broker refused, where it may. */
  refusals = 0
  readonly #mayRefuse: boolean
  #now = 0
  readonly #publishers = new Map<string, Publisher>()
  readonly #sessions = new Map<string, Session>()
  readonly #wills = new Map<number, Will>()
  readonly #retained = new Map<string, Retained>()
  #arrivals = 0

  /** `mayRefuse`: the disk fails, so the broker may say that it cannot keep something. */
  constructor({ mayRefuse = false }: { readonly mayRefuse?: boolean } = {}) {
    this.#mayRefuse = mayRefuse
  }

  /** The broker refused what it should do; a violation unless its disk fails. */
  refusedRequest(text: string): void {
    this.refusals++
    if (!this.#mayRefuse) this.violated(text)
  }

  /** Deliveries that were checked. */
  get arrivals(): number {
    return this.#arrivals
  }

  violated(text: string): void {
    if (this.violations.length < violationsMax) this.violations.push(text)
  }

  // ---------------------------------------------------------------- publishers

  /** PUBLISH leaves the publisher, for the first time or again. */
  sent(name: string, number: number, { topic, qos }: { readonly topic: string; readonly qos: number }): void {
    const publisher = mapped(this.#publishers, name, () => ({ sent: new Map(), places: 0 }))
    const from = ++this.#now
    const message = mapped(publisher.sent, number, () => ({
      topic,
      qos,
      from,
      until: Number.POSITIVE_INFINITY,
      places: [],
      refused: false,
    }))
    message.places.push(publisher.places++)
  }

  /** PUBACK, or PUBREC: from here on it must not be lost. */
  acknowledged(name: string, number: number): void {
    const message = this.#publishers.get(name)?.sent.get(number)
    if (message === undefined) this.violated(`${name}: ${number} was acknowledged and never sent`)
    else message.until = Math.min(message.until, ++this.#now)
  }

  /** Refused with a reason code: it must not come, unless it was sent before and may have been taken then. */
  refused(name: string, number: number): void {
    const message = this.#publishers.get(name)?.sent.get(number)
    if (message?.places.length === 1) message.refused = true
    this.refusedRequest(`${name}: ${number} was refused`)
  }

  // ---------------------------------------------------------------- sessions

  /** CONNECT of a kept session leaves. */
  connecting(name: string): void {
    this.#session(name).offered = true
  }

  /** CONNACK came. `present`: what it said; undefined in 3.1, which does not say it. Gives what the client must assume. */
  connected(name: string, { present }: { readonly present: boolean | undefined }): boolean {
    const session = this.#session(name)
    const known = session.known
    if (known && present === false) this.violated(`${name}: its session is gone`)
    if (!known && present === true && !session.offered) this.violated(`${name}: a session that it never had`)
    session.known = true
    session.connection++
    session.lastOrder = -1
    return present ?? known
  }

  subscribing(name: string, topic: string): void {
    const at = ++this.#now
    const spans = mapped(this.#session(name).spans, topic, () => [])
    const last = spans.at(-1)
    if (last === undefined || last.mayUntil < Number.POSITIVE_INFINITY || last.surelyUntil < Number.POSITIVE_INFINITY) {
      const never = Number.POSITIVE_INFINITY
      spans.push({ mayFrom: at, surelyFrom: never, surelyUntil: never, mayUntil: never })
    }
  }

  subscribed(name: string, topic: string): void {
    const span = this.#session(name).spans.get(topic)?.at(-1)
    if (span !== undefined) span.surelyFrom = Math.min(span.surelyFrom, ++this.#now)
  }

  unsubscribing(name: string, topic: string): void {
    const at = ++this.#now
    for (const span of this.#session(name).spans.get(topic) ?? []) span.surelyUntil = Math.min(span.surelyUntil, at)
  }

  unsubscribed(name: string, topic: string): void {
    const at = ++this.#now
    for (const span of this.#session(name).spans.get(topic) ?? []) span.mayUntil = Math.min(span.mayUntil, at)
  }

  /** PUBLISH reached the session. */
  arrived(name: string, arrival: Arrival): void {
    this.#arrivals++
    const session = this.#session(name)
    const { publisher, number, id, dup, qos } = arrival
    const key = `${publisher}:${number}`
    const what = `${name}: ${key} with identifier ${id}`
    const entry = session.entries.get(id)
    if (entry?.key === key && (entry.state !== 'settled' || (dup && entry.qos === 1))) {
      if (entry.connection === session.connection) this.violated(`${what} came twice on one connection`)
      else if (!dup) this.violated(`${what} came again without DUP`)
      if (entry.state === 'released') this.violated(`${what} came again after PUBREL`)
      if (entry.order < session.lastOrder) this.violated(`${what} came again out of order`)
      session.lastOrder = Math.max(session.lastOrder, entry.order)
      entry.connection = session.connection
      return
    }
    if (entry !== undefined && entry.state !== 'settled') {
      this.violated(`${what} came while ${entry.key} has that identifier and is unsettled`)
    }
    const open = session.openByKey.get(key)
    // A QoS 1 message that its publisher had to send again is two messages, and both may be unsettled.
    if (open !== undefined && dup && this.#once(publisher, number))
      this.violated(`${what} came again, the first time it had ${open.id}`)
    this.#first(session, what, key, arrival)
    const fresh: Entry = { key, id, qos, order: session.arrivals++, connection: session.connection, state: 'open' }
    session.lastOrder = fresh.order
    session.entries.set(id, fresh)
    session.openByKey.set(key, fresh)
  }

  /** PUBREL reached the session. */
  released(name: string, id: number): void {
    const entry = this.#session(name).entries.get(id)
    if (entry === undefined) this.violated(`${name}: PUBREL ${id} for what never came`)
    else if (entry.state === 'open') entry.state = 'released'
  }

  /** PUBACK, or PUBCOMP, left the session. */
  settled(name: string, id: number): void {
    const session = this.#session(name)
    const entry = session.entries.get(id)
    if (entry === undefined) return
    entry.state = 'settled'
    if (session.openByKey.get(entry.key) === entry) session.openByKey.delete(entry.key)
  }

  /** Whether everything that must come has come: what an end of the run waits for. */
  get complete(): boolean {
    return this.#missing(1).length === 0
  }

  /** Lists what is missing. Call once, when nothing more will come. */
  finish(): readonly string[] {
    for (const missing of this.#missing(violationsMax)) this.violated(missing)
    return this.violations
  }

  // ---------------------------------------------------------------- wills

  /** CONNECT with will `number` leaves. */
  willOffered(number: number): void {
    this.#wills.set(number, { armed: false, fate: 'may', seen: 0 })
  }

  /** CONNACK came: from here on its connection may be lost only with the will. */
  willArmed(number: number): void {
    const will = this.#wills.get(number)
    if (will !== undefined) will.armed = true
  }

  /** The connection was lost, or ended so that the will must not come; `may`: it depends on what was on disk. */
  willFate(number: number, fate: Will['fate']): void {
    const will = this.#wills.get(number)
    if (will === undefined) return
    // One that came before somebody was surely there for it is nowhere.
    will.fate = fate === 'not' || (will.armed && this.#wanted(willTopic)) ? fate : 'may'
  }

  // ---------------------------------------------------------------- retained

  retainedSent(topic: string, number: number, { clear }: { readonly clear: boolean }): void {
    const retained = mapped(this.#retained, topic, () => ({ sent: 0, acknowledged: 0, clears: new Set<number>([0]) }))
    retained.sent = Math.max(retained.sent, number)
    if (clear) retained.clears.add(number)
  }

  retainedAcknowledged(topic: string, number: number): void {
    const retained = this.#retained.get(topic)
    if (retained !== undefined) retained.acknowledged = Math.max(retained.acknowledged, number)
  }

  /** What a new subscriber was given, or that it was given nothing; `since`: what was acknowledged when it subscribed. */
  retainedSeen(topic: string, number: number | undefined, since: number): void {
    const retained = this.#retained.get(topic)
    if (retained === undefined) return
    const { sent, clears } = retained
    if (number === undefined) {
      for (let n = since; n <= sent; n++) if (clears.has(n)) return
      this.violated(`retained ${topic}: nothing, where ${since} was acknowledged`)
    } else if (number < since || number > sent || clears.has(number)) {
      this.violated(`retained ${topic}: ${number}, where ${since} was acknowledged and ${sent} sent`)
    }
  }

  retainedAcknowledgedOf(topic: string): number {
    return this.#retained.get(topic)?.acknowledged ?? 0
  }

  // ---------------------------------------------------------------- inside

  #session(name: string): Session {
    return mapped(this.#sessions, name, () => ({
      known: false,
      offered: false,
      connection: 0,
      lastOrder: -1,
      arrivals: 0,
      spans: new Map(),
      entries: new Map(),
      openByKey: new Map(),
      seen: new Map(),
      matched: new Map(),
    }))
  }

  /** A delivery that is no repetition of one before. */
  #first(session: Session, what: string, key: string, { publisher, number, topic }: Arrival): void {
    const seen = (session.seen.get(key) ?? 0) + 1
    session.seen.set(key, seen)
    if (publisher === 'will') {
      this.#willSeen(what, number, seen)
      return
    }
    const message = this.#publishers.get(publisher)?.sent.get(number)
    if (message === undefined || message.topic !== topic) {
      this.violated(`${what} on ${topic} was never sent`)
      return
    }
    if (message.refused) this.violated(`${what} came although it was refused`)
    if (message.qos === 2 && seen > 1) this.violated(`${what} is a double of a QoS 2 message`)
    const matched = session.matched.get(publisher) ?? -1
    const place = message.places.find((candidate) => candidate > matched)
    if (place === undefined) this.violated(`${what} came out of order, or more often than it was sent`)
    else session.matched.set(publisher, place)
    const may = (session.spans.get(topic) ?? []).some(
      ({ mayFrom, mayUntil }) => mayFrom <= message.until && message.from <= mayUntil,
    )
    if (!may) this.violated(`${what} came without a subscription to ${topic}`)
  }

  /** Whether a subscription surely holds for a topic now. */
  #wanted(topic: string): boolean {
    for (const { spans } of this.#sessions.values()) {
      const span = spans.get(topic)?.at(-1)
      if (span !== undefined && span.surelyFrom < span.surelyUntil) return true
    }
    return false
  }

  /** Whether the broker can hold the message once only. */
  #once(publisher: string, number: number): boolean {
    const message = this.#publishers.get(publisher)?.sent.get(number)
    return message === undefined || message.qos === 2 || message.places.length === 1
  }

  #willSeen(what: string, number: number, seen: number): void {
    const will = this.#wills.get(number)
    if (will === undefined) {
      this.violated(`${what} is a will that nobody left`)
      return
    }
    will.seen = Math.max(will.seen, seen)
    if (seen > 1) this.violated(`${what} is a will that came twice`)
    if (will.fate === 'not') this.violated(`${what} is a will that must not come`)
  }

  #missing(max: number): string[] {
    const missing: string[] = []
    for (const [name, publisher] of this.#publishers) {
      for (const [number, message] of publisher.sent) {
        if (message.until === Number.POSITIVE_INFINITY || message.refused) continue
        for (const [sessionName, session] of this.#sessions) {
          const surely = (session.spans.get(message.topic) ?? []).some(
            ({ surelyFrom, surelyUntil }) => surelyFrom < message.from && message.until < surelyUntil,
          )
          if (!surely || session.seen.has(`${name}:${number}`)) continue
          missing.push(
            `${sessionName}: ${name}:${number} on ${message.topic} was acknowledged at QoS ${message.qos} and never came`,
          )
          if (missing.length >= max) return missing
        }
      }
    }
    for (const [number, { fate, seen }] of this.#wills) {
      if (fate === 'must' && seen === 0) missing.push(`will ${number} of a lost connection never came`)
      if (missing.length >= max) return missing
    }
    return missing
  }
}

function mapped<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key)
  if (value === undefined) {
    value = make()
    map.set(key, value)
  }
  return value
}
