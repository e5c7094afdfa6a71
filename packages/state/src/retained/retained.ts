/**
 * Retained messages: the last one of each topic, always whole and in memory. Expired ones are never shown, also not between their deadline and the
 * command that takes them away.
 */
import { type Deadlined, NEVER } from '../deadlines/deadlines.ts'
import type { Writer } from '../encoding/writer.ts'
import { Body, sortByPlace } from '../messages/body.ts'
import type { Message, PackedMessage, PlacedMessage } from '../messages/message.ts'
import { RecordKind } from '../records/kinds.ts'
import { StateRecord } from '../records/state-record.ts'
import { Page, Pages, type Tenant } from './page.ts'
import { endsInLevel, lastLevel, type Topical, TopicTree } from './topic-tree.ts'

/** The message of a topic: in a page (`page.ts`), or as the object that queues refer to as well. */
export class RetainedEntry extends StateRecord implements PlacedMessage, Tenant, Topical {
  readonly topic: string
  readonly publisher: string
  /** Set by `Retained` alone, like `at`. */
  store: Page | Body
  /** Where in the page. */
  at = 0

  constructor(body: Body) {
    super()
    const { topic, publisher } = body.message
    this.topic = topic
    this.publisher = publisher
    this.store = body
  }

  get levelText(): string {
    return lastLevel(this.topic)
  }

  isLevel(text: string, start: number, end: number): boolean {
    return endsInLevel(this.topic, text, start, end)
  }

  get message(): Message {
    const { store } = this
    return store instanceof Page ? store.message(this.at, this.publisher) : store.message
  }

  get packed(): PackedMessage | undefined {
    const { store } = this
    return store instanceof Page ? store.packed(this.at) : undefined
  }

  get position(): number {
    const { store } = this
    return store instanceof Page ? store.position(this.at) : store.position
  }

  get index(): number {
    const { store } = this
    return store instanceof Page ? store.index(this.at) : store.index
  }

  get timeUs(): number {
    const { store } = this
    return store instanceof Page ? store.timeUs(this.at) : store.timeUs
  }

  /** What expires is in no page. */
  get expiresUs(): number {
    const { store } = this
    return store instanceof Page ? NEVER : store.expiresUs
  }

  /** What it counts for under a maximum of bytes. */
  get bytes(): number {
    const { store } = this
    return store instanceof Page ? this.topic.length + store.payloadBytes(this.at) : store.bytes
  }

  override writeKey(writer: Writer): void {
    writer.u8(RecordKind.retained)
    writer.string(this.topic)
  }

  override writeValue(writer: Writer): void {
    writer.u53(this.position)
    writer.u32(this.index)
    bodyOf(this).writeValue(writer)
  }
}

/** One that expires. */
export class ExpiringEntry extends RetainedEntry implements Deadlined {
  dueUs = NEVER
  dueIndex = -1
  readonly dueKind = 1

  get dueKey(): string {
    return this.topic
  }
}

/** As an object, which is the entry's own only if it has one. */
function bodyOf({ store, at, publisher }: RetainedEntry): Body {
  if (!(store instanceof Page)) return store
  const place = { position: store.position(at), index: store.index(at), timeUs: store.timeUs(at) }
  return new Body(store.message(at, publisher), place)
}

/** What drivers may ask. `nowUs` is the time of the order at the moment of asking, microseconds since 1970. */
export interface RetainedView {
  readonly count: number
  readonly bytes: number
  get(topic: string, nowUs: number): PlacedMessage | undefined
  /** Visits in no defined order. */
  match(filter: string, nowUs: number, visit: (placed: PlacedMessage) => void): void
  /** Those that the filter matches, ascending by position. */
  inOrder(filter: string, nowUs: number): PlacedMessage[]
}

export class Retained implements RetainedView {
  count = 0
  bytes = 0
  readonly #tree = new TopicTree<RetainedEntry>()
  readonly #pages = new Pages()

  get(topic: string, nowUs: number): PlacedMessage | undefined {
    const entry = this.#tree.get(topic)
    return entry === undefined || entry.expiresUs <= nowUs ? undefined : entry
  }

  match(filter: string, nowUs: number, visit: (entry: RetainedEntry) => void): void {
    this.#tree.match(filter, (entry) => {
      if (entry.expiresUs > nowUs) visit(entry)
    })
  }

  inOrder(filter: string, nowUs: number): RetainedEntry[] {
    const found: RetainedEntry[] = []
    this.match(filter, nowUs, (entry) => found.push(entry))
    return sortByPlace(found)
  }

  entry(topic: string): RetainedEntry | undefined {
    return this.#tree.get(topic)
  }

  /** Puts an entry in the place of the one before, which it returns. */
  put(entry: RetainedEntry): RetainedEntry | undefined {
    const before = this.#tree.set(entry)
    if (before === undefined) this.count++
    this.bytes += entry.bytes - (before?.bytes ?? 0)
    return before
  }

  delete(entry: RetainedEntry): void {
    this.#tree.delete(entry.topic)
    this.count--
    this.bytes -= entry.bytes
  }

  /** The message of an entry goes to a page, if nothing else refers to it and it carries only topic and payload. */
  pack(entry: RetainedEntry): void {
    const { store } = entry
    if (store instanceof Page || store.references > 0 || store.marks !== 0) return
    const { retain, properties, expirySeconds } = store.message
    if (retain && properties === undefined && expirySeconds === undefined) this.#pages.take(entry, store)
  }

  /** The message of an entry as the one object that queues refer to. */
  unpack(entry: RetainedEntry): Body {
    const { store } = entry
    if (!(store instanceof Page)) return store
    const body = bodyOf(entry)
    this.#pages.leave(entry)
    entry.store = body
    return body
  }

  /** An entry is part of the state no more. Whoever is being sent its message can go on reading it. */
  end(entry: RetainedEntry): void {
    this.#pages.leave(entry)
  }
}
