/**
 * A form: one or more messages encoded for one protocol generation and one QoS, ready to be given to any number of
 * subscribers. At QoS 0 the bytes go out as they are, by reference. At QoS 1 and 2 they are a template: each subscriber
 * gets one copy, in which only the packet identifiers are patched.
 *
 *   run of 3 at QoS 1:   │30 4a 00 09 topic… ID ID payload…│30 …│30 …│
 *                        ▲ start = heads[0]      ▲ ids[0]         ▲ end
 *
 * 3.1 and 3.1.1 share one generation; 5.0 differs by the property length. A run that came in as its subscriber wants it is
 * its own form: nothing is encoded at all.
 */
import { Buffer } from 'node:buffer'
import type { PublishRun, QoS } from '@concordmq/protocol'
import type { HookMessage } from '../hooks/hooks.ts'

/** Encoded messages. Offsets are relative to `buf`. */
export interface Form {
  readonly buf: Uint8Array
  /** `buf` is written into again when the run is over: whoever needs its bytes later copies them. */
  readonly lent: boolean
  readonly start: number
  readonly end: number
  readonly count: number
  readonly qos: QoS
  /** First byte of each message. */
  readonly heads: Int32Array
  /** Packet identifier of each message (QoS 1 and 2). */
  readonly ids: Int32Array
  /** Payload pieces that follow the bytes of a single large message. */
  readonly parts: readonly Uint8Array[] | undefined
  readonly partsBytes: number
  /** Message expiry of a single message: when it ends (broker's monotonic ms) and where its 4 bytes lie; -1: none. */
  readonly expiresAtMs: number
  readonly expiryAt: number
  /** The bytes as one piece, made at the first use. */
  slice: Uint8Array | undefined
  /** A form that outlives the run, made at the first use. */
  kept: Form | undefined
  /** Its messages as hooks see them, made when a hook first asks. */
  messages?: readonly HookMessage[]
  /** Lines that a kept form waits in. */
  waiting: number
}

const NO_OFFSETS = new Int32Array(0)

/** Bytes needed by a remaining length. */
function lengthBytes(value: number): number {
  return value < 128 ? 1 : value < 16384 ? 2 : value < 2097152 ? 3 : 4
}

function writeLength(buf: Uint8Array, at: number, value: number): number {
  let rest = value
  let p = at
  while (rest >= 128) {
    buf[p++] = (rest & 127) | 128
    rest >>>= 7
  }
  buf[p++] = rest
  return p
}

/** The forms of the run at hand, made when first asked for. One instance serves the process; `begin` starts a new run. */
export class RunForms {
  #run: PublishRun | undefined
  #nowMs = 0
  #extra: Uint8Array | undefined
  /** Index: (5.0 ? 3 : 0) + qos. */
  readonly #forms: (Form | undefined)[] = [undefined, undefined, undefined, undefined, undefined, undefined]

  /** `extra`: a property more for 5.0 clients, encoded. */
  begin(run: PublishRun, nowMs: number, extra?: Uint8Array): void {
    this.#run = run
    this.#nowMs = nowMs
    this.#extra = extra
    const forms = this.#forms
    for (let i = 0; i < 6; i++) forms[i] = undefined
  }

  /** Forgets the run, so that its buffers are not kept alive. */
  end(): void {
    this.#run = undefined
    const forms = this.#forms
    for (let i = 0; i < 6; i++) forms[i] = undefined
  }

  /** The run for a 5.0 client or an earlier one, at `qos` (at most the run's own). */
  form(v5: boolean, qos: QoS): Form {
    const index = (v5 ? 3 : 0) + qos
    return this.#forms[index] ?? this.#make(index, v5, qos)
  }

  #make(index: number, v5: boolean, qos: QoS): Form {
    const run = this.#run as PublishRun
    const sameGeneration = (run.version === 5) === v5
    // DUP and RETAIN of the publisher's packet do not travel [MQTT-3.3.1-3] [MQTT-3.3.1-12]; an alias is the publisher's own.
    const isBare = !run.dup && !run.retain && !run.hasProperties && (this.#extra === undefined || !v5)
    const asIs = sameGeneration && qos === run.qos && isBare && run.topicBuf === run.buf
    const form = asIs
      ? {
          buf: run.buf,
          lent: run.lent,
          start: run.start,
          end: run.end,
          count: run.count,
          qos,
          heads: run.heads,
          ids: run.ids,
          parts: run.parts,
          partsBytes: run.partsBytes,
          expiresAtMs: -1,
          expiryAt: -1,
          slice: undefined,
          kept: undefined,
          waiting: 0,
        }
      : encodeRun(run, v5, qos, {
          nowMs: this.#nowMs,
          retain: false,
          subscriptionIds: NO_IDS,
          alias: 0,
          aliasOnly: false,
          extra: this.#extra,
        })
    this.#forms[index] = form
    return form
  }
}

const NO_IDS: readonly number[] = []

/** What differs from subscriber to subscriber. */
export interface EncodeTerms {
  readonly nowMs: number
  readonly retain: boolean
  readonly subscriptionIds: readonly number[]
  /** Topic alias to set (5.0); 0: none. */
  readonly alias: number
  /** The client knows the alias: no topic name. */
  readonly aliasOnly: boolean
  /** A property more, encoded. */
  readonly extra?: Uint8Array | undefined
}

/** Encodes a run anew. Large payloads in `parts` stay where they are. */
export function encodeRun(run: PublishRun, v5: boolean, qos: QoS, terms: EncodeTerms): Form {
  const topicBytes = terms.aliasOnly ? 0 : run.topicEnd - run.topicStart
  const idBytes = qos > 0 ? 2 : 0
  const scan = run.scan
  // Properties that travel: all but the topic alias.
  const carried = v5 && run.hasProperties
  const carriedBytes = carried ? scan.propertiesEnd - scan.propertiesStart - (scan.topicAliasAt >= 0 ? 3 : 0) : 0
  let ownBytes = (terms.alias > 0 ? 3 : 0) + (terms.extra?.length ?? 0)
  for (const id of terms.subscriptionIds) ownBytes += 1 + lengthBytes(id)
  const propertyBytes = v5 ? carriedBytes + ownBytes : 0
  const fixed = 2 + topicBytes + idBytes + (v5 ? lengthBytes(propertyBytes) + propertyBytes : 0)
  let total = 0
  for (let i = 0; i < run.count; i++) {
    const inBuf = run.endOf(i) - (run.payloads[i] as number)
    const remaining = fixed + inBuf + run.partsBytes
    total += 1 + lengthBytes(remaining) + fixed + inBuf
  }
  const buf = Buffer.allocUnsafeSlow(total)
  const heads = new Int32Array(run.count)
  const ids = idBytes > 0 ? new Int32Array(run.count) : NO_OFFSETS
  let expiryAt = -1
  let p = 0
  for (let i = 0; i < run.count; i++) {
    const payloadAt = run.payloads[i] as number
    const inBuf = run.endOf(i) - payloadAt
    heads[i] = p
    buf[p++] = 0x30 | (qos << 1) | (terms.retain ? 1 : 0)
    p = writeLength(buf, p, fixed + inBuf + run.partsBytes)
    buf[p++] = topicBytes >> 8
    buf[p++] = topicBytes & 255
    if (topicBytes > 0) {
      buf.set(run.topicBuf.subarray(run.topicStart, run.topicEnd), p)
      p += topicBytes
    }
    if (idBytes > 0) {
      ids[i] = p
      buf[p++] = 0
      buf[p++] = 0
    }
    if (v5) {
      p = writeLength(buf, p, propertyBytes)
      if (carried) {
        const from = scan.propertiesStart
        const to = scan.propertiesEnd
        if (scan.expiryAt >= 0) {
          expiryAt =
            p + (scan.expiryAt - from) + 1 - (scan.topicAliasAt >= 0 && scan.topicAliasAt < scan.expiryAt ? 3 : 0)
        }
        if (scan.topicAliasAt >= 0) {
          buf.set(run.buf.subarray(from, scan.topicAliasAt), p)
          p += scan.topicAliasAt - from
          buf.set(run.buf.subarray(scan.topicAliasAt + 3, to), p)
          p += to - scan.topicAliasAt - 3
        } else {
          buf.set(run.buf.subarray(from, to), p)
          p += to - from
        }
      }
      for (const id of terms.subscriptionIds) {
        buf[p++] = 0x0b
        p = writeLength(buf, p, id)
      }
      if (terms.extra !== undefined) {
        buf.set(terms.extra, p)
        p += terms.extra.length
      }
      if (terms.alias > 0) {
        buf[p++] = 0x23
        buf[p++] = terms.alias >> 8
        buf[p++] = terms.alias & 255
      }
    }
    buf.set(run.buf.subarray(payloadAt, payloadAt + inBuf), p)
    p += inBuf
  }
  return {
    buf,
    lent: false,
    start: 0,
    end: total,
    count: run.count,
    qos,
    heads,
    ids,
    parts: run.parts,
    partsBytes: run.partsBytes,
    expiresAtMs: scan.expirySeconds >= 0 && run.hasProperties ? terms.nowMs + scan.expirySeconds * 1000 : -1,
    expiryAt,
    slice: undefined,
    kept: undefined,
    waiting: 0,
  }
}

/** End of message `i` of a form, without `parts`. */
export function endOf(form: Form, i: number): number {
  return i + 1 < form.count ? (form.heads[i + 1] as number) : form.end
}

/** Bytes of a form, `parts` included. */
export function bytesOf(form: Form): number {
  return form.end - form.start + form.partsBytes
}

/**
 * A form that may be kept: offsets of its own, and bytes that do not hold on to a much larger read buffer. Made once for
 * all subscribers that must wait.
 */
export function keep(form: Form): Form {
  if (form.kept !== undefined) return form.kept
  const bytes = form.end - form.start
  const isCopied = form.lent || bytes * 4 < form.buf.buffer.byteLength
  const shift = isCopied ? form.start : 0
  const kept: Form = {
    ...form,
    buf: isCopied ? copyOf(form) : form.buf,
    lent: false,
    start: form.start - shift,
    end: form.end - shift,
    heads: offsets(form.heads, form.count, shift),
    ids: form.qos > 0 ? offsets(form.ids, form.count, shift) : NO_OFFSETS,
    expiryAt: form.expiryAt < 0 ? -1 : form.expiryAt - shift,
    slice: undefined,
    kept: undefined,
    waiting: 0,
  }
  kept.kept = kept
  form.kept = kept
  return kept
}

/** Not `slice`: on a Buffer that is a view, which keeps the read buffer alive and must not be written to. */
function copyOf(form: Form): Uint8Array {
  return new Uint8Array(form.buf.subarray(form.start, form.end))
}

function offsets(from: Int32Array, count: number, shift: number): Int32Array {
  const copy = from.slice(0, count)
  if (shift !== 0) for (let i = 0; i < count; i++) copy[i] = (copy[i] as number) - shift
  return copy
}

/** The same message with what is left of its lifetime, in bytes of its own; undefined: it has expired. */
export function withRemainingExpiry(form: Form, nowMs: number): Form | undefined {
  if (form.expiresAtMs < 0) return form
  const leftMs = form.expiresAtMs - nowMs
  if (leftMs <= 0) return undefined
  const buf = copyOf(form)
  // [MQTT-3.3.2-6] the value received less the time spent waiting here
  const seconds = Math.ceil(leftMs / 1000)
  const at = form.expiryAt - form.start
  if (form.expiryAt >= 0) {
    buf[at] = seconds >>> 24
    buf[at + 1] = (seconds >>> 16) & 255
    buf[at + 2] = (seconds >>> 8) & 255
    buf[at + 3] = seconds & 255
  }
  return {
    ...form,
    buf,
    lent: false,
    start: 0,
    end: buf.length,
    heads: offsets(form.heads, form.count, form.start),
    ids: form.qos > 0 ? offsets(form.ids, form.count, form.start) : NO_OFFSETS,
    expiryAt: at,
    slice: undefined,
    kept: undefined,
    waiting: 0,
  }
}
