/**
 * A bundle: the commands of one node that go through the order of a cluster as one message.
 *
 *   version u8 = 1 │ incarnation u53 │ number u53 │ items …
 *   item = kind u8 │ length u32 │ content           kind 0: a command (`commands/codec.ts`)   1: a run of publishes   2: of packets
 *   run  = flags u8: QoS, 4 with receipts │ connection counter u53 │ publisher, string │ topic, string │ count u16 │ messages …
 *   message = bytes u32 │ packet identifier u16 (QoS 2 only) │ payload
 *   packets = flags u8: QoS, 4 with receipts, 8 MQTT 5.0 │ connection counter u53 │ publisher, string │ count u16 │ packets …
 *
 * A run is what a client published in one go, as `PublishRun` has it: one topic, one QoS, no RETAIN, no properties. It is read
 * in place, since most of what goes through a cluster is this. Node and incarnation of its connection are those of the bundle.
 * Whoever reads a bundle believes nothing: it comes from another node.
 *
 * Among threads of one process a run lies as its client sent it: PUBLISH packets, one behind the other. So it is copied once,
 * whatever the number of messages, and subscribers get the very bytes. It repeats the topic in each message, and it is not
 * looked at again, so no node of a cluster makes or takes one.
 */
import {
  joinBytes,
  type PublishRun,
  type QoS,
  RUN_PACKETS_MAX,
  utf8Decode,
  utf8Length,
  utf8Problem,
} from '@concordmq/protocol'
import { encodeCommand } from '../commands/codec.ts'
import type { Command } from '../commands/commands.ts'
import { Reader } from '../encoding/reader.ts'
import { Writer } from '../encoding/writer.ts'

const VERSION = 1
const HEAD_BYTES = 17
const ITEM_HEAD_BYTES = 5
const COMMAND = 0
const RUN = 1
const QOS = 3
const PACKETS = 2
const RECEIPTS = 4
const V5 = 8

/** Whose run it is. */
export interface RunAuthor {
  /** Counter of its connection. */
  readonly counter: number
  readonly publisher: string
  /** Whether each message leaves a receipt: QoS 2 of a kept session. */
  readonly receipts: boolean
}

/** Puts bundles together, one after the other. */
export class BundleWriter {
  /** Items so far. */
  items = 0
  readonly #writer = new Writer()
  readonly #packets: boolean

  /** `packets`: whoever reads them believes this one, so runs may lie as they came. */
  constructor({ packets = false }: { readonly packets?: boolean } = {}) {
    this.#packets = packets
  }

  /** Bytes so far. */
  get length(): number {
    return this.#writer.length
  }

  begin(incarnation: number, number: number): void {
    const writer = this.#writer
    this.items = 0
    writer.clear()
    writer.u8(VERSION)
    writer.u53(incarnation)
    writer.u53(number)
  }

  command(command: Command): void {
    this.encoded(encodeCommand(command))
  }

  /** A command in its binary form. */
  encoded(bytes: Uint8Array): void {
    this.items++
    this.#writer.u8(COMMAND)
    this.#writer.bytes(bytes)
  }

  run(run: PublishRun, author: RunAuthor): void {
    if (this.#packets && isBare(run)) {
      this.#asItCame(run, author)
      return
    }
    const writer = this.#writer
    const { count, qos, topicBuf, topicStart, topicEnd, partsBytes } = run
    const perMessage = qos === 2 ? 6 : 4
    let size = 1 + 8 + 2 + utf8Length(author.publisher) + 2 + (topicEnd - topicStart) + 2 + count * perMessage
    for (let i = 0; i < count; i++) size += run.endOf(i) - (run.payloads[i] as number) + partsBytes
    this.items++
    writer.u8(RUN)
    writer.u32(size)
    writer.u8(qos | (author.receipts ? RECEIPTS : 0))
    writer.u53(author.counter)
    writer.string(author.publisher)
    writer.u16(topicEnd - topicStart)
    writer.raw(topicBuf.subarray(topicStart, topicEnd))
    writer.u16(count)
    for (let i = 0; i < count; i++) {
      const payload = run.payloads[i] as number
      const end = run.endOf(i)
      writer.u32(end - payload + partsBytes)
      if (qos === 2) writer.u16(run.packetId(i))
      writer.rawFrom(run.buf, payload, end)
      if (run.parts !== undefined) writer.raw(joinBytes([...run.parts]))
    }
  }

  take(): Uint8Array {
    return this.#writer.take()
  }

  #asItCame({ qos, version, count, buf, start, end }: PublishRun, { counter, publisher, receipts }: RunAuthor): void {
    const writer = this.#writer
    this.items++
    writer.u8(PACKETS)
    const begun = writer.begin()
    writer.u8(qos | (receipts ? RECEIPTS : 0) | (version === 5 ? V5 : 0))
    writer.u53(counter)
    writer.string(publisher)
    writer.u16(count)
    writer.raw(buf.subarray(start, end))
    writer.end(begun)
  }
}

/** Whether its packets lie whole behind each other, and say no more than topic, identifier and payload. */
function isBare(run: PublishRun): boolean {
  return run.topicBuf === run.buf && run.parts === undefined && !run.hasProperties && !run.dup && !run.retain
}

/** The head of a bundle. */
export interface BundleHead {
  readonly incarnation: number
  readonly number: number
}

/** The head, or undefined if these bytes are no bundle. */
export function readHead(bytes: Uint8Array): BundleHead | undefined {
  const reader = new Reader(bytes)
  const version = reader.u8()
  const head = { incarnation: reader.u53(), number: reader.u53() }
  return version === VERSION && reader.problem === undefined ? head : undefined
}

/** An item where it lies. */
export interface BundleItem {
  readonly isRun: boolean
  /** A run, as packets. */
  readonly isPackets: boolean
  readonly start: number
  readonly end: number
}

/** Visits the items in their order; false: what follows the last one visited is malformed. `packets`: such runs are taken. */
export function eachItem(
  bytes: Uint8Array,
  visit: (item: BundleItem) => void,
  { packets = false }: { readonly packets?: boolean } = {},
): boolean {
  const kindMax = packets ? PACKETS : RUN
  let at = HEAD_BYTES
  while (at < bytes.length) {
    const kind = bytes[at] as number
    const start = at + ITEM_HEAD_BYTES
    const end = start + u32At(bytes, at + 1)
    if (kind > kindMax || end > bytes.length) return false
    visit({ isRun: kind !== COMMAND, isPackets: kind === PACKETS, start, end })
    at = end
  }
  return true
}

/** A run as read: `run` shows its messages in place. */
export interface ReadRun extends RunAuthor {
  readonly topic: string
}

/** Reads the run at `[start, end)` of `bytes` into `run`. What is wrong with it, in words. */
export function readRun(bytes: Uint8Array, start: number, end: number, run: PublishRun): ReadRun | string {
  if (end - start < 15) return 'run is cut short'
  const flags = bytes[start] as number
  const qos = flags & QOS
  const receipts = (flags & RECEIPTS) !== 0
  if (flags > 7 || qos === QOS || (receipts && qos !== 2)) return 'flags of a run are none'
  const high = u32At(bytes, start + 1)
  if (high >= 0x20_0000) return 'counter is 2^53 or more'
  const counter = high * 0x1_0000_0000 + u32At(bytes, start + 5)
  const publisherStart = start + 11
  const publisherEnd = publisherStart + u16At(bytes, start + 9)
  if (publisherEnd + 4 > end) return 'run is cut short'
  const topicStart = publisherEnd + 2
  const topicEnd = topicStart + u16At(bytes, publisherEnd)
  if (topicEnd + 2 > end) return 'run is cut short'
  const count = u16At(bytes, topicEnd)
  if (count === 0 || count > RUN_PACKETS_MAX) return 'run has no or too many messages'
  if (utf8Problem(bytes, publisherStart, publisherEnd) !== undefined) return 'publisher is not MQTT UTF-8'
  if (utf8Problem(bytes, topicStart, topicEnd) !== undefined) return 'topic is not MQTT UTF-8'
  run.clear()
  run.buf = bytes
  run.count = count
  run.version = 4
  run.qos = qos as QoS
  run.retain = false
  run.dup = false
  run.hasProperties = false
  run.scan.expirySeconds = -1
  // Another object than `buf`: these bytes have not the form of packets.
  run.topicBuf = bytes.subarray(topicStart, topicEnd)
  run.topicStart = 0
  run.topicEnd = topicEnd - topicStart
  run.sameTopic = false
  let at = topicEnd + 2
  run.start = at
  run.end = end
  const head = qos === 2 ? 6 : 4
  for (let i = 0; i < count; i++) {
    if (at + head > end) return 'run is cut short'
    run.heads[i] = at
    run.ids[i] = at + 4
    run.payloads[i] = at + head
    if (qos === 2 && u16At(bytes, at + 4) === 0) return 'packet identifier is 0'
    at += head + u32At(bytes, at)
  }
  if (at !== end) return 'run is longer or shorter than its messages'
  return {
    counter,
    receipts,
    publisher: utf8Decode(bytes, publisherStart, publisherEnd),
    topic: utf8Decode(bytes, topicStart, topicEnd),
  }
}

/** The same for a run of packets; only what would lead out of it is looked at. */
export function readPackets(bytes: Uint8Array, start: number, end: number, run: PublishRun): ReadRun | string {
  if (end - start < 13) return 'run is cut short'
  const flags = bytes[start] as number
  const qos = (flags & QOS) as QoS
  const isV5 = (flags & V5) !== 0
  const publisherStart = start + 11
  const publisherEnd = publisherStart + u16At(bytes, start + 9)
  const count = u16At(bytes, publisherEnd)
  if (count === 0 || count > RUN_PACKETS_MAX) return 'run has no or too many messages'
  run.clear()
  run.buf = run.topicBuf = bytes
  run.count = count
  run.version = isV5 ? 5 : 4
  run.qos = qos
  run.retain = run.dup = run.hasProperties = run.sameTopic = false
  run.scan.expirySeconds = -1
  run.scan.topicAliasAt = -1
  let at = publisherEnd + 2
  run.start = at
  run.end = end
  // Behind the topic: the identifier, and in 5.0 the length of no properties.
  const behind = (qos > 0 ? 2 : 0) + (isV5 ? 1 : 0)
  for (let i = 0; i < count; i++) {
    let body = at + 1
    let length = 0
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = bytes[body++] as number
      length |= (byte & 127) << shift
      if (byte < 128) break
    }
    const ids = body + 2 + u16At(bytes, body)
    run.heads[i] = at
    run.ids[i] = ids
    run.payloads[i] = ids + behind
    if (i === 0) {
      run.topicStart = body + 2
      run.topicEnd = ids
    }
    at = body + length
    if (at > end || ids + behind > at) return 'run is cut short'
  }
  if (at !== end) return 'run is longer or shorter than its messages'
  return {
    counter: u32At(bytes, start + 1) * 0x1_0000_0000 + u32At(bytes, start + 5),
    receipts: (flags & RECEIPTS) !== 0,
    publisher: utf8Decode(bytes, publisherStart, publisherEnd),
    topic: utf8Decode(bytes, run.topicStart, run.topicEnd),
  }
}

function u16At(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number)
}

function u32At(bytes: Uint8Array, at: number): number {
  return u16At(bytes, at) * 65536 + u16At(bytes, at + 2)
}
