/**
 * PUBLISH packets of one connection into runs: which packets belong together, every rule of section 3.3 that concerns them
 * alone, topic aliases, and our Receive Maximum. Made with a connection's first PUBLISH.
 *
 * The hot path of the whole broker: what comes in the usual form (the same topic as before, no flags, no properties) is
 * recognised by comparing bytes and adds three numbers to the run; only the rest is scanned.
 */
import { readRemainingLength } from '../framing/fixed-header.ts'
import { type PublishScan, scanPublish } from '../packets/publish.ts'
import type { ProtocolVersion, QoS } from '../packets/types.ts'
import { ReasonCode } from '../reason-codes.ts'
import { type Refusal, refuse } from '../refusal.ts'
import { type PublishRun, RUN_PACKETS_MAX } from './publish-run.ts'
import type { ServerEffects, ServerSettings } from './server-interface.ts'

/** The conversation around it. */
export interface PublishHost {
  readonly version: ProtocolVersion
  /** False as soon as an effect has closed the conversation or holds it. */
  readonly reading: boolean
}

const NO_BYTES = new Uint8Array(0)
const header = { value: 0, next: 0 }

export class PublishReader {
  /** The topic of the last run, as bytes that do not change; whoever takes runs sets it to its interned copy. */
  lastTopic: Uint8Array = NO_BYTES
  /** The rule that was broken, when a call says to stop. */
  problem: Refusal | undefined
  /** Where parsing stopped because nothing more may be read now; what follows is not consumed. */
  stoppedAt = 0
  readonly #settings: ServerSettings
  readonly #effects: ServerEffects
  readonly #run: PublishRun
  readonly #host: PublishHost
  #aliases: Map<number, Uint8Array> | undefined
  #unsettled = 0

  constructor(settings: ServerSettings, effects: ServerEffects, run: PublishRun, host: PublishHost) {
    this.#settings = settings
    this.#effects = effects
    this.#run = run
    this.#host = host
  }

  /** A QoS 1 or 2 exchange that the client began is over: `count` fewer against our Receive Maximum. */
  settled(count: number): void {
    this.#unsettled = this.#unsettled > count ? this.#unsettled - count : 0
  }

  /** Adds one PUBLISH to the run, or ends the run and begins another. False: stop parsing. */
  add(buf: Uint8Array, at: number, first: number, body: number, next: number): boolean {
    const run = this.#run
    const qos = (first >> 1) & 3
    const plain = (first & 9) === 0
    const topicEnd = body + 2 + (((buf[body] as number) << 8) | (buf[body + 1] as number))
    const idAt = topicEnd
    const afterId = qos === 0 ? topicEnd : topicEnd + 2
    const v5 = this.#host.version === 5
    // What the fast path takes: same topic as last time, whole header inside, identifier not 0, no properties.
    if (
      plain &&
      qos !== 3 &&
      (v5 ? afterId < next && buf[afterId] === 0 : afterId <= next) &&
      (qos === 0 || ((buf[idAt] as number) | (buf[idAt + 1] as number)) !== 0) &&
      topicEnd > body + 2 &&
      sameBytes(
        buf,
        body + 2,
        topicEnd,
        run.count > 0 ? run.topicBuf : this.lastTopic,
        run.count > 0 ? run.topicStart : 0,
        run.count > 0 ? run.topicEnd : this.lastTopic.length,
      )
    ) {
      const payloadAt = v5 ? afterId + 1 : afterId
      if (run.count > 0) {
        if (run.qos === qos && run.count < RUN_PACKETS_MAX) {
          const i = run.count++
          run.heads[i] = at
          run.ids[i] = idAt
          run.payloads[i] = payloadAt
          return true
        }
        this.end(at)
        if (!this.#host.reading) return this.#stop(at)
        return this.#anew(buf, at, first, body, next)
      }
      if (qos > this.#settings.maximumQoS) return this.#anew(buf, at, first, body, next)
      run.buf = buf
      run.start = at
      run.version = this.#host.version
      run.qos = qos as QoS
      run.retain = false
      run.dup = false
      run.topicBuf = buf
      run.topicStart = body + 2
      run.topicEnd = topicEnd
      run.sameTopic = true
      run.hasProperties = false
      run.parts = undefined
      run.partsBytes = 0
      run.heads[0] = at
      run.ids[0] = idAt
      run.payloads[0] = payloadAt
      run.count = 1
      return true
    }
    if (run.count > 0) {
      this.end(at)
      if (!this.#host.reading) return this.#stop(at)
    }
    return this.#anew(buf, at, first, body, next)
  }

  /** Checks everything about a PUBLISH and begins a run with it. */
  #anew(buf: Uint8Array, at: number, first: number, body: number, next: number): boolean {
    const run = this.#run
    const scan = run.scan
    const problem = scanPublish(first, buf, body, next, this.#host.version, scan)
    if (problem !== undefined) {
      this.problem = problem
      return false
    }
    if (!this.#begin(buf, at, first)) return false
    run.heads[0] = at
    run.count = 1
    // What is out of the ordinary stays alone in its run.
    if (run.hasProperties || run.retain || run.dup || scan.topicAlias > 0) {
      this.end(next)
      if (!this.#host.reading) return this.#stop(next)
    }
    return true
  }

  /** Fills the run from the scan. False: refused. */
  #begin(buf: Uint8Array, at: number, first: number): boolean {
    const run = this.#run
    const scan = run.scan
    const s = this.#settings
    const qos = ((first >> 1) & 3) as QoS
    run.retain = (first & 1) !== 0
    run.dup = (first & 8) !== 0
    // Before 5.0 a client is not told of the maximum: its handshake is kept, and subscribers get the lower QoS.
    if (qos > s.maximumQoS && this.#host.version === 5) {
      this.problem = refuse(ReasonCode.qosNotSupported, 'MQTT-3.2.2-11', `QoS ${qos}, maximum is ${s.maximumQoS}`)
      return false
    }
    if (run.retain && !s.retainAvailable) {
      this.problem = refuse(ReasonCode.retainNotSupported, 'MQTT-3.2.2-14', 'retained messages are not available')
      return false
    }
    if (scan.subscriptionIdentifiers) {
      this.problem = refuse(
        ReasonCode.protocolError,
        'MQTT-3.3.4-6',
        'PUBLISH from a client with a subscription identifier',
      )
      return false
    }
    run.topicBuf = buf
    run.topicStart = scan.topicStart
    run.topicEnd = scan.topicEnd
    if (scan.topicAlias > 0 && !this.#resolveAlias(scan, buf)) return false
    run.buf = buf
    run.start = at
    run.version = this.#host.version
    run.qos = qos
    run.hasProperties = scan.propertiesEnd > scan.propertiesStart
    run.parts = undefined
    run.partsBytes = 0
    run.ids[0] = scan.topicEnd
    run.payloads[0] = scan.payloadStart
    run.sameTopic =
      this.lastTopic.length > 0 &&
      sameBytes(run.topicBuf, run.topicStart, run.topicEnd, this.lastTopic, 0, this.lastTopic.length)
    return true
  }

  /** Looks a topic alias up or sets it. False: refused. */
  #resolveAlias(scan: PublishScan, buf: Uint8Array): boolean {
    // [MQTT-3.3.2-9] an alias above the maximum announced; alias 0 was refused by the scan [MQTT-3.3.2-8]
    if (scan.topicAlias > this.#settings.topicAliasMaximum) {
      this.problem = refuse(
        ReasonCode.topicAliasInvalid,
        'MQTT-3.3.2-9',
        `topic alias ${scan.topicAlias}, maximum is ${this.#settings.topicAliasMaximum}`,
      )
      return false
    }
    this.#aliases ??= new Map()
    if (scan.topicEnd > scan.topicStart) {
      // Not `slice`: on a Buffer that is a view, which would keep the whole read buffer alive.
      this.#aliases.set(scan.topicAlias, new Uint8Array(buf.subarray(scan.topicStart, scan.topicEnd)))
      return true
    }
    const topic = this.#aliases.get(scan.topicAlias)
    if (topic === undefined) {
      this.problem = refuse(
        ReasonCode.protocolError,
        '3.3.2.3.4',
        `topic alias ${scan.topicAlias} was never set on this connection`,
      )
      return false
    }
    const run = this.#run
    run.topicBuf = topic
    run.topicStart = 0
    run.topicEnd = topic.length
    return true
  }

  /** A large PUBLISH whose header lies whole in the first piece. False: the pieces must be joined. */
  addInPieces(parts: readonly Uint8Array[]): boolean {
    const buf = parts[0] as Uint8Array
    const run = this.#run
    const scan = run.scan
    if (readRemainingLength(buf, 1, buf.length, header) !== 'ok') return false
    const body = header.next
    const topicEnd = body + 2 + (((buf[body] as number) << 8) | (buf[body + 1] as number))
    const first = buf[0] as number
    let payloadAt = (first & 6) === 0 ? topicEnd : topicEnd + 2
    if (this.#host.version === 5) {
      if (payloadAt >= buf.length || readRemainingLength(buf, payloadAt, buf.length, header) !== 'ok') return false
      payloadAt = header.next + header.value
    }
    if (payloadAt >= buf.length) return false
    const problem = scanPublish(first, buf, body, buf.length, this.#host.version, scan)
    if (problem !== undefined) {
      this.problem = problem
      return true
    }
    if (!this.#begin(buf, 0, first)) return true
    run.heads[0] = 0
    run.count = 1
    run.parts = parts.slice(1)
    run.partsBytes = 0
    for (const part of run.parts) run.partsBytes += part.length
    this.end(buf.length)
    return true
  }

  /** Hands the run on. */
  end(end: number): void {
    const run = this.#run
    if (run.count === 0) return
    run.end = end
    if (run.qos > 0 && this.#host.version === 5 && !run.dup) {
      // [MQTT-3.3.4-7] the client keeps to our Receive Maximum; a resend (DUP) is no new message
      this.#unsettled += run.count
      if (this.#unsettled > this.#settings.receiveMaximum) {
        run.clear()
        this.problem = refuse(
          ReasonCode.receiveMaximumExceeded,
          'MQTT-3.3.4-7',
          `more than ${this.#settings.receiveMaximum} QoS 1 and 2 messages unacknowledged`,
        )
        return
      }
    }
    this.#effects.publish(run)
    run.clear()
  }

  /** Parsing stops at `at`. Always false. */
  #stop(at: number): boolean {
    this.stoppedAt = at
    return false
  }
}

function sameBytes(a: Uint8Array, aFrom: number, aTo: number, b: Uint8Array, bFrom: number, bTo: number): boolean {
  if (aTo - aFrom !== bTo - bFrom) return false
  for (let i = aFrom, j = bFrom; i < aTo; i++, j++) if (a[i] !== b[j]) return false
  return true
}
