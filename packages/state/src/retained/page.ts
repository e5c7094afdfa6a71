/**
 * Where small retained messages lie: one behind the other in pages, so that one of a million costs the engine's collector two
 * objects, the entry and its topic, in place of ten.
 *
 *   place │ time f64 │ position f64 │ index u32 │ QoS u8 │ payload's length u16 │ topic's length u16 │ topic │ payload │
 *
 * What is in a page never changes, since whoever is being sent an older message may still read it. A page of which less than
 * half is in use is let go: the entries that have something there move to the page that is written now.
 */
import { type QoS, utf8Decode, utf8Length, utf8Write } from '@concordmq/protocol'
import type { Body } from '../messages/body.ts'
import type { Message, PackedMessage } from '../messages/message.ts'

export const PAGE_BYTES = 65_536
/** Topic and payload of a message in a page: what is larger is not worth it. */
export const PACKED_BYTES_MAX = 1024

const POSITION = 8
const INDEX = 16
const QOS = 20
const PAYLOAD_BYTES = 21
const TOPIC_BYTES = 23
const TOPIC = 25
/** Payloads up to which a loop is faster than a view. */
const BY_HAND_BYTES_MAX = 128

/** Who has a message in a page, or as an object. */
export interface Tenant {
  store: Page | Body
  at: number
  /** It is retained no more. */
  readonly gone: boolean
}

export class Page {
  readonly bytes = new Uint8Array(PAGE_BYTES)
  readonly #view = new DataView(this.bytes.buffer)
  /** Bytes written. */
  used = 0
  /** Those of messages that are still retained. */
  live = 0
  /** All who came here; some have moved, or are retained no more. */
  readonly tenants: Tenant[] = []

  get isSparse(): boolean {
    return this.live * 2 < this.used
  }

  timeUs(at: number): number {
    return this.#view.getFloat64(at)
  }

  position(at: number): number {
    return this.#view.getFloat64(at + POSITION)
  }

  index(at: number): number {
    return this.#view.getUint32(at + INDEX)
  }

  payloadBytes(at: number): number {
    return this.#view.getUint16(at + PAYLOAD_BYTES)
  }

  sizeAt(at: number): number {
    return TOPIC + this.#view.getUint16(at + TOPIC_BYTES) + this.payloadBytes(at)
  }

  /** As it lies here. */
  packed(at: number): PackedMessage {
    const payloadAt = at + TOPIC + this.#view.getUint16(at + TOPIC_BYTES)
    const end = payloadAt + this.payloadBytes(at)
    return { bytes: this.bytes, topicAt: at + TOPIC_BYTES, payloadAt, end, qos: this.bytes[at + QOS] as QoS }
  }

  message(at: number, publisher: string): Message {
    const { bytes, payloadAt, end, qos } = this.packed(at)
    const topic = utf8Decode(bytes, at + TOPIC, payloadAt)
    return { topic, payload: bytes.slice(payloadAt, end), qos, retain: true, publisher }
  }

  /** Appends a message that fits; returns where. */
  write({ message, position, index, timeUs }: Body, topicBytes: number): number {
    const view = this.#view
    const { bytes, used: at } = this
    const { topic, payload, qos } = message
    view.setFloat64(at, timeUs)
    view.setFloat64(at + POSITION, position)
    view.setUint32(at + INDEX, index)
    view.setUint16(at + PAYLOAD_BYTES, payload.length)
    view.setUint16(at + TOPIC_BYTES, topicBytes)
    bytes[at + QOS] = qos
    const payloadAt = utf8Write(topic, bytes, at + TOPIC)
    if (payload.length > BY_HAND_BYTES_MAX) bytes.set(payload, payloadAt)
    else for (let i = 0; i < payload.length; i++) bytes[payloadAt + i] = payload[i] as number
    this.used = payloadAt + payload.length
    return at
  }

  /** Appends one of another page; returns where. */
  copy({ bytes }: Page, from: number, size: number): number {
    const at = this.used
    this.bytes.set(bytes.subarray(from, from + size), at)
    this.used += size
    return at
  }
}

export class Pages {
  #open = new Page()

  /** Takes the message of a tenant that has it as an object; nothing happens if it is too large. */
  take(tenant: Tenant, body: Body): void {
    const { topic, payload } = body.message
    const topicBytes = utf8Length(topic)
    if (topicBytes + payload.length > PACKED_BYTES_MAX) return
    const page = this.#room(TOPIC + topicBytes + payload.length)
    enter(tenant, page, page.write(body, topicBytes))
  }

  /** A tenant is retained no more, or will have its message as an object. */
  leave({ store, at }: Tenant): void {
    if (!(store instanceof Page)) return
    store.live -= store.sizeAt(at)
    if (store !== this.#open && store.isSparse) this.#empty(store)
  }

  #room(size: number): Page {
    const full = this.#open
    if (full.used + size <= PAGE_BYTES) return full
    this.#open = new Page()
    // One that was full before all this would be looked at no more if nobody left it again.
    if (full.isSparse) this.#empty(full)
    return this.#open
  }

  /** Its tenants fit into half a page. */
  #empty(page: Page): void {
    for (const tenant of page.tenants) {
      if (tenant.store !== page || tenant.gone) continue
      const size = page.sizeAt(tenant.at)
      const to = this.#room(size)
      enter(tenant, to, to.copy(page, tenant.at, size))
    }
    page.tenants.length = 0
  }
}

function enter(tenant: Tenant, page: Page, at: number): void {
  tenant.store = page
  tenant.at = at
  page.live += page.used - at
  page.tenants.push(tenant)
}
