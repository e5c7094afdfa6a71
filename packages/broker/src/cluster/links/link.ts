/**
 * One link to one peer: the greeting, then frames both ways, PING and PONG, and its end. It reads what is there, gives whole
 * frames on, and writes once per turn. Whatever the peer sends, the link holds at most one unfinished frame of it and what its
 * send queue allows; a peer that says nothing for `silenceMsMax` is taken for dead.
 */
import { randomBytes } from 'node:crypto'
import { WorkBudget } from '../../model/work-budget.ts'
import type { Member, Members } from '../identity/members.ts'
import { bodyOf, encodeFrame, FRAME_HEAD_BYTES, FrameReader, FrameType } from './frames.ts'
import {
  checkHello,
  decodeChallenge,
  decodeHello,
  encodeChallenge,
  encodeHello,
  GREETING_BYTES_MAX,
  type GreetingRefusal,
  NONCE_BYTES,
  printable,
} from './hello.ts'
import { SendQueue } from './send-queue.ts'
import { SETTINGS_BYTES_MAX, settingsDifference } from './settings-difference.ts'
import type { Channel } from './transport.ts'

/** Time for the greeting, and how long a peer may be silent afterwards. */
const GREETING_MS_MAX = 5000
const SILENCE_MS_MAX = 4000
/** Share of a new measurement in the smoothed round trip. */
const RTT_SHARE = 0.25
/** What the frames of one peer may cost. */
const FRAMES_SHARE = { share: 0.5, burstUs: 400_000 }
/** What reading costs beside what frames cost: per read, per byte (decryption), per frame that the link answers itself; µs. */
const READ_COST_US = 10
const BYTE_COST_US = 0.001
const OWN_FRAME_COST_US = 4
/** How much a stream without backpressure of its own may hold while it is not read, bytes. */
const UNREAD_BYTES_MAX = 16 * 1024 * 1024
const UNREAD_CHECK_MS = 20

/** Bytes of the reason that a peer is given for its refusal, and how long it has to take it. */
const FAREWELL_BYTES_MAX = 256
const FAREWELL_MS = 500

/** Why a link ended: `refused` by this node in the greeting, `unwanted` by the peer; `broke`: the peer broke the rules. */
export type LinkEnd =
  | {
      readonly type: 'closed' | 'silent' | 'slow' | 'replaced' | 'stopped' | 'failed' | 'broke' | 'unwanted'
      readonly detail: string
    }
  | { readonly type: 'refused'; readonly refusal: GreetingRefusal }

export interface LinkEvents {
  /** The peer has greeted; frames can be sent. */
  up(link: Link): void
  /** A whole frame, head included; `arrivalUs`: when its last byte was read. */
  frame(link: Link, frame: Uint8Array, arrivalUs: number): void
  rtt(link: Link, rttUs: number): void
  /** The peer, which this node dialled, knows it as a node no more, and says what proves that. */
  removed(frame: Uint8Array): void
  /** Called once, whatever the end. */
  ended(link: Link, end: LinkEnd): void
}

export interface LinkOptions {
  readonly channel: Channel
  readonly members: Members
  readonly peer: Member
  /** Whether this node dialled. */
  readonly dialled: boolean
  readonly frameBytesMax: number
  readonly events: LinkEvents
  /** Microseconds since 1970. */
  readonly nowUs: () => number
}

export class Link {
  /** Its index changes with the epoch. */
  peer: Member
  readonly dialled: boolean
  readonly channel: Channel
  /** The version of the peer's program, when it has greeted. */
  peerVersion = ''
  /** Of the process at the other end: the same for all its links. */
  peerInstance: Uint8Array = new Uint8Array(0)
  readonly sinceUs: number
  rttUs = 0
  receivedBytes = 0
  receivedFrames = 0
  readonly #o: LinkOptions
  readonly #reader: FrameReader
  readonly #queue: SendQueue
  readonly #nonce = randomBytes(NONCE_BYTES)
  readonly #budget: WorkBudget
  #peerNonce: Uint8Array | undefined
  #up = false
  /** The peer has other settings; waits for what exactly. */
  #differing: GreetingRefusal | undefined
  #ended = false
  #heardUs: number
  #readCostUs = 0
  #resume: NodeJS.Timeout | undefined

  constructor(options: LinkOptions) {
    this.#o = options
    this.peer = options.peer
    this.dialled = options.dialled
    this.channel = options.channel
    this.sinceUs = options.nowUs()
    this.#heardUs = this.sinceUs
    // Whom this node dialled it knows; such a peer may have to tell it about epochs that it missed.
    this.#reader = new FrameReader(options.dialled ? options.frameBytesMax : GREETING_BYTES_MAX)
    this.#budget = new WorkBudget(this.sinceUs, FRAMES_SHARE)
    const { stream } = options.channel
    this.#queue = new SendQueue(stream, () => this.end({ type: 'slow', detail: 'it does not take what it is sent' }))
    stream.on('data', (chunk: Uint8Array) => this.#read(chunk))
    stream.on('error', (error: Error) => this.end({ type: 'failed', detail: error.message }))
    stream.on('end', () => this.end({ type: 'closed', detail: 'the peer closed it' }))
    stream.on('close', () => this.end({ type: 'closed', detail: 'the connection ended' }))
    if (options.dialled) this.#send(encodeChallenge(this.#nonce))
    this.flush()
  }

  get isUp(): boolean {
    return this.#up && !this.#ended
  }

  /** Figures for people. */
  get figures(): {
    readonly sentBytes: number
    readonly sentFrames: number
    readonly queuedBytes: number
    readonly droppedFrames: number
  } {
    const { sentBytes, sentFrames, queuedBytes, inFlightBytes, dropped } = this.#queue
    return { sentBytes, sentFrames, queuedBytes: queuedBytes + inFlightBytes, droppedFrames: dropped }
  }

  /** Puts a frame in its line; it leaves with `flush`. */
  send(frame: Uint8Array): void {
    if (this.#up) this.#send(frame)
  }

  flush(): void {
    if (!this.#ended) this.#queue.flush()
  }

  /**
   * Called about once a second: asks for a sign of life, and ends what gives none. For `heldUpUs` of the time since the last call
   * this process did not run, and could not have heard any.
   */
  tick(nowUs: number, heldUpUs = 0): void {
    if (this.#ended) return
    this.#heardUs += heldUpUs
    const silentMs = (nowUs - this.#heardUs) / 1000
    if (!this.#up) {
      if ((nowUs - this.sinceUs) / 1000 > GREETING_MS_MAX) this.end({ type: 'silent', detail: 'it does not greet' })
      return
    }
    if (silentMs > SILENCE_MS_MAX && this.#resume === undefined) {
      this.end({ type: 'silent', detail: `nothing was heard for ${Math.round(silentMs)} ms` })
      return
    }
    const time = Buffer.alloc(8)
    time.writeBigUInt64BE(BigInt(Math.round(performance.now() * 1000)))
    this.#send(encodeFrame(FrameType.ping, time))
    this.flush()
  }

  /** What a frame of this peer cost; a peer that costs too much is not read for a while. */
  spent(costUs: number, nowUs: number): void {
    const pauseMs = this.#budget.spend(costUs, nowUs)
    if (pauseMs === 0 || this.#ended || this.#resume !== undefined) return
    this.channel.stream.pause()
    this.#waitToRead(nowUs + pauseMs * 1000)
  }

  /** Says why this node ends the link, and ends it when that is on its way. */
  refuse(refusal: GreetingRefusal): void {
    if (this.#ended) return
    this.#ended = true
    const { channel, events } = this.#o
    this.#send(encodeFrame(FrameType.farewell, Buffer.from(refusal.detail, 'latin1').subarray(0, FAREWELL_BYTES_MAX)))
    this.#queue.flush()
    channel.stream.end()
    setTimeout(() => channel.destroy(), FAREWELL_MS).unref()
    events.ended(this, { type: 'refused', refusal })
  }

  end(end: LinkEnd): void {
    if (this.#ended) return
    this.#ended = true
    clearTimeout(this.#resume)
    this.channel.destroy()
    this.#o.events.ended(this, end)
  }

  #send(frame: Uint8Array): void {
    this.#queue.push(frame)
  }

  #read(chunk: Uint8Array): void {
    if (this.#ended) return
    const nowUs = this.#o.nowUs()
    this.#heardUs = nowUs
    this.receivedBytes += chunk.length
    this.#readCostUs = READ_COST_US + chunk.length * BYTE_COST_US
    const fault = this.#reader.push(chunk, (frame) => {
      this.receivedFrames++
      this.#take(frame, nowUs)
      return !this.#ended
    })
    if (fault !== undefined) return this.end({ type: 'broke', detail: fault })
    this.flush()
    this.spent(this.#readCostUs, nowUs)
  }

  #take(frame: Uint8Array, nowUs: number): void {
    switch (frame[0]) {
      case FrameType.farewell:
        // The peer said goodbye before it showed its settings: it cannot.
        if (this.#differing !== undefined) return this.refuse(this.#differing)
        return this.end({ type: 'unwanted', detail: printable(bodyOf(frame).subarray(0, FAREWELL_BYTES_MAX)) })
      case FrameType.settings:
        if (this.#differing !== undefined) return this.#differs(this.#differing, frame)
        break
      case FrameType.removed:
        if (!this.#up && this.dialled) return this.#removed(frame)
        break
      case FrameType.challenge:
      case FrameType.hello:
        return this.#up ? this.end({ type: 'broke', detail: 'it greets twice' }) : this.#greet(frame)
      case FrameType.ping:
      case FrameType.pong:
        if (!this.#up) break
        this.#readCostUs += OWN_FRAME_COST_US
        return frame[0] === FrameType.ping ? this.#pong(frame) : this.#measure(frame)
      default:
        if (this.#up) return this.#o.events.frame(this, frame, nowUs)
    }
    this.refuse({ event: 'protocol', detail: 'it sends something before it greets' })
  }

  #removed(frame: Uint8Array): void {
    this.#o.events.removed(frame)
    this.end({ type: 'unwanted', detail: 'it was taken out of the cluster' })
  }

  #greet(frame: Uint8Array): void {
    const { members, peer, events, frameBytesMax } = this.#o
    if (frame[0] === FrameType.challenge && this.#peerNonce === undefined) {
      const nonce = decodeChallenge(frame)
      if (nonce === undefined) return this.refuse({ event: 'protocol', detail: 'its CHALLENGE is malformed' })
      this.#peerNonce = Uint8Array.from(nonce)
      if (!this.dialled) this.#send(encodeChallenge(this.#nonce))
      this.#send(encodeHello(members, this.#nonce, this.#peerNonce))
      return
    }
    if (frame[0] !== FrameType.hello || this.#peerNonce === undefined)
      return this.refuse({ event: 'protocol', detail: 'it greets in the wrong order' })
    const hello = decodeHello(frame)
    if (hello === undefined) return this.refuse({ event: 'protocol', detail: 'its HELLO is malformed' })
    const refusal = checkHello(hello, frame, members, peer, { nonce: this.#nonce })
    if (refusal?.event === 'settings') return this.#compare(refusal)
    if (refusal !== undefined) return this.refuse(refusal)
    this.peerVersion = hello.programVersion
    this.peerInstance = hello.instance
    this.#reader.frameBytesMax = frameBytesMax
    this.#up = true
    events.up(this)
  }

  /** The peer has other settings: it is shown the own ones, and shows its. */
  #compare(refusal: GreetingRefusal): void {
    this.#differing = refusal
    this.#reader.frameBytesMax = SETTINGS_BYTES_MAX
    const text = Buffer.from(this.#o.members.settingsText, 'utf8')
    this.#send(
      encodeFrame(FrameType.settings, text.length > SETTINGS_BYTES_MAX - FRAME_HEAD_BYTES ? new Uint8Array(0) : text),
    )
  }

  /** Why the link cannot be, in as many words as are known. */
  #differs(refusal: GreetingRefusal, frame: Uint8Array): void {
    const theirs = Buffer.from(bodyOf(frame)).toString('utf8')
    const difference = settingsDifference(theirs, this.#o.members.settingsText)
    if (difference === undefined) return this.refuse(refusal)
    this.refuse({ event: 'settings', detail: `its settings of the machine differ: ${difference}` })
  }

  /** Reads on at `untilUs`, unless the peer goes on sending until then without end. */
  #waitToRead(untilUs: number): void {
    const { channel, nowUs } = this.#o
    const leftMs = (untilUs - nowUs()) / 1000
    this.#resume = setTimeout(
      () => {
        if (channel.unreadBytes(this.receivedBytes) > UNREAD_BYTES_MAX)
          return this.end({ type: 'broke', detail: 'it sends more than it may cost' })
        if (nowUs() < untilUs) return this.#waitToRead(untilUs)
        this.#resume = undefined
        this.#heardUs = nowUs()
        channel.stream.resume()
      },
      Math.max(1, Math.min(leftMs, UNREAD_CHECK_MS)),
    )
  }

  #pong(frame: Uint8Array): void {
    if (frame.length !== FRAME_HEAD_BYTES + 8) return this.end({ type: 'broke', detail: 'its PING is malformed' })
    const pong = Uint8Array.from(frame)
    pong[0] = FrameType.pong
    this.#send(pong)
  }

  #measure(frame: Uint8Array): void {
    if (frame.length !== FRAME_HEAD_BYTES + 8) return this.end({ type: 'broke', detail: 'its PONG is malformed' })
    const sentUs = Number(Buffer.from(frame.buffer, frame.byteOffset + FRAME_HEAD_BYTES, 8).readBigUInt64BE())
    const rttUs = performance.now() * 1000 - sentUs
    // A peer may answer with any time; what cannot be a round trip is none.
    if (rttUs < 0 || rttUs > SILENCE_MS_MAX * 1000) return
    this.rttUs = Math.round(this.rttUs === 0 ? rttUs : this.rttUs + RTT_SHARE * (rttUs - this.rttUs))
    this.#o.events.rtt(this, this.rttUs)
  }
}
