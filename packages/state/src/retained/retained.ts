/**
 * Retained messages: the last one of each topic, always whole and in memory. Expired ones are never shown, also not between their deadline and the
 * command that takes them away.
 */
import { type Deadlined, NEVER } from '../deadlines/deadlines.ts'
import type { Writer } from '../encoding/writer.ts'
import { type Body, sortByPlace } from '../messages/body.ts'
import type { PlacedMessage } from '../messages/message.ts'
import { RecordKind } from '../records/kinds.ts'
import { StateRecord } from '../records/state-record.ts'
import { TopicTree } from './topic-tree.ts'

export class RetainedEntry extends StateRecord implements Deadlined {
  readonly body: Body
  dueUs = NEVER
  dueIndex = -1
  readonly dueKey: string
  readonly dueKind = 1

  constructor(body: Body) {
    super()
    this.body = body
    this.dueKey = body.message.topic
  }

  override writeKey(writer: Writer): void {
    writer.u8(RecordKind.retained)
    writer.string(this.body.message.topic)
  }

  override writeValue(writer: Writer): void {
    writer.u53(this.body.position)
    writer.u32(this.body.index)
    this.body.writeValue(writer)
  }
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

  get(topic: string, nowUs: number): PlacedMessage | undefined {
    const entry = this.#tree.get(topic)
    return entry === undefined || entry.body.expiresUs <= nowUs ? undefined : entry.body
  }

  match(filter: string, nowUs: number, visit: (placed: Body) => void): void {
    this.#tree.match(filter, (entry) => {
      if (entry.body.expiresUs > nowUs) visit(entry.body)
    })
  }

  inOrder(filter: string, nowUs: number): Body[] {
    const found: Body[] = []
    this.match(filter, nowUs, (body) => found.push(body))
    return sortByPlace(found)
  }

  entry(topic: string): RetainedEntry | undefined {
    return this.#tree.get(topic)
  }

  /** In the place of the one before, if there is one. */
  put(entry: RetainedEntry): void {
    const before = this.#tree.set(entry.dueKey, entry)
    if (before === undefined) this.count++
    this.bytes += entry.body.bytes - (before?.body.bytes ?? 0)
  }

  delete(entry: RetainedEntry): void {
    this.#tree.delete(entry.dueKey)
    this.count--
    this.bytes -= entry.body.bytes
  }
}
