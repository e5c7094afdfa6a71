/**
 * Asks peers for blocks by name (consensus.md section 6, pull): parents that are missing, units that others report, bodies that
 * are to be emitted. Who named a block is asked first, each further one that names it at once, up to w in parallel; then by
 * turns, ever slower, as long as it is wanted: a name under which there is nothing is named by fewer than w.
 */
import { encodeFrame } from '../bytes/frames.ts'
import { sameBytes } from '../bytes/order.ts'
import { authorCount } from '../graph/vertex.ts'
import type { BlockName } from '../model/block.ts'
import { Heap } from '../order/heap.ts'
import type { EpochContext } from './context.ts'

/** Names in one request. */
export const fetchNamesMax = 64
const RETRY_US_MIN = 4000
const RETRY_US_MAX = 1_000_000
/** The same for names that only few stand for, so that there need not be anything under them. */
const RETRY_DOUBTED_US_MAX = 30_000_000
/** Names that are asked for at a time; more wait until some have come or are wanted no more. */
const WANTED_MAX = 100_000

interface Wanted extends BlockName {
  /** Bit i: peer i has named it, so has it if it is correct. */
  namers: number
  /** Bit i: peer i was asked since the last round of questions began. */
  asked: number
  /** Bit i: peer i was asked and may still answer in time. */
  inFlight: number
  /** Bit i: peer i had it, and has it no more. */
  collected: number
  waitUs: number
  dueUs: number
}

interface Due {
  readonly wanted: Wanted
  readonly atUs: number
}

/** No time: it is wanted no more. */
const GONE = -1

export class Fetcher {
  readonly #context: EpochContext
  readonly #isWanted: (name: BlockName) => boolean
  readonly #wanted = new Map<number, Wanted[]>()
  #count = 0
  readonly #collected = new Set<Wanted>()
  /** When each is to be looked at; what has another time by now is out of date. */
  readonly #due = new Heap<Due>((a, b) => a.atUs - b.atUs)
  readonly #toAsk = new Map<number, BlockName[]>()
  #nextRequest = 1

  constructor(context: EpochContext, isWanted: (name: BlockName) => boolean) {
    this.#context = context
    this.#isWanted = isWanted
  }

  /** How many names are asked for. */
  get count(): number {
    return this.#count
  }

  /** When `tick` must be called at the latest. */
  get deadlineUs(): number {
    return this.#due.first?.atUs ?? Number.POSITIVE_INFINITY
  }

  /** A block is lacking that these peers named (bit i: peer i). */
  want(name: BlockName, namers: number): void {
    if (this.#context.outbox.replaying) return
    const wanted = this.#find(name) ?? this.#add(name)
    if (wanted === undefined) return
    const news = namers & ~wanted.namers
    wanted.namers |= namers
    for (let peer = 0; news >>> peer !== 0; peer++) {
      if (((news >>> peer) & 1) === 0 || authorCount(wanted.inFlight) >= this.#context.epoch.w) continue
      // Whoever is new may well have it: not for him the long waits that silent peers have earned.
      wanted.waitUs = 0
      this.#ask(wanted, peer)
    }
  }

  /** A peer has it no more. Another one is asked at once: whoever is far behind must find out soon that only a snapshot leads on. */
  collected(name: BlockName, peer: number): void {
    const wanted = this.#find(name)
    if (wanted === undefined || ((wanted.collected >>> peer) & 1) === 1) return
    wanted.collected |= 1 << peer
    wanted.inFlight &= ~(1 << peer)
    if (authorCount(wanted.collected) >= this.#context.epoch.w) this.#collected.add(wanted)
    else this.#askOne(wanted, this.#context.peers.connected & ~wanted.collected & ~wanted.inFlight)
  }

  /** Whether something is wanted that a witness set has no more: only a snapshot leads on. */
  get isCollected(): boolean {
    return this.#collected.size > 0
  }

  /** It has come. */
  got(name: BlockName): void {
    const names = this.#wanted.get(name.round)
    if (names === undefined) return
    const at = names.findIndex((wanted) => isSame(wanted, name))
    if (at === -1) return
    this.#count--
    const [wanted] = names.slice(at, at + 1)
    if (wanted !== undefined) {
      wanted.dueUs = GONE
      this.#collected.delete(wanted)
    }
    if (names.length === 1) this.#wanted.delete(name.round)
    else names.splice(at, 1)
  }

  /** Asks again for what did not come in time. */
  tick(): void {
    const { nowUs } = this.#context.clock
    for (let due = this.#due.first; due !== undefined && due.atUs <= nowUs; due = this.#due.first) {
      this.#due.pop()
      const { wanted, atUs } = due
      if (wanted.dueUs !== atUs) continue
      if (this.#isWanted(wanted)) this.#askAgain(wanted)
      else this.got(wanted)
    }
  }

  /** Sends the questions of this input. */
  flush(): void {
    if (this.#toAsk.size === 0) return
    for (const [peer, names] of this.#toAsk) {
      for (let at = 0; at < names.length; at += fetchNamesMax) {
        const frame = encodeFrame({
          type: 'fetch',
          request: this.#nextRequest++,
          names: names.slice(at, at + fetchNamesMax),
        })
        this.#context.outbox.send(peer, frame)
      }
    }
    this.#toAsk.clear()
  }

  #find(name: BlockName): Wanted | undefined {
    return this.#wanted.get(name.round)?.find((wanted) => isSame(wanted, name))
  }

  #add(name: BlockName): Wanted | undefined {
    if (this.#count >= WANTED_MAX) return undefined
    const { author, round } = name
    const digest = name.digest.slice()
    const wanted: Wanted = {
      author,
      round,
      digest,
      namers: 0,
      asked: 0,
      inFlight: 0,
      collected: 0,
      waitUs: 0,
      dueUs: 0,
    }
    const names = this.#wanted.get(round)
    if (names === undefined) this.#wanted.set(round, [wanted])
    else names.push(wanted)
    this.#count++
    this.#lookAgain(wanted, RETRY_US_MIN)
    return wanted
  }

  #ask(wanted: Wanted, peer: number): void {
    if (!this.#context.peers.isUp(peer)) return
    wanted.asked |= 1 << peer
    wanted.inFlight |= 1 << peer
    const names = this.#toAsk.get(peer)
    if (names === undefined) this.#toAsk.set(peer, [wanted])
    else names.push(wanted)
    if (wanted.waitUs === 0) wanted.waitUs = Math.max(2 * this.#context.peers.rttUs(peer), RETRY_US_MIN)
    this.#lookAgain(wanted, wanted.waitUs)
  }

  /** Another namer that was not asked, else anyone. */
  #askAgain(wanted: Wanted): void {
    const { peers, epoch } = this.#context
    const waitUsMax = authorCount(wanted.namers) < epoch.w ? RETRY_DOUBTED_US_MAX : RETRY_US_MAX
    if (wanted.waitUs > 0) wanted.waitUs = Math.min(wanted.waitUs * 2, waitUsMax)
    wanted.inFlight = 0
    const unasked = wanted.namers & peers.connected & ~wanted.asked
    this.#askOne(wanted, unasked === 0 ? peers.connected : unasked)
    this.#lookAgain(wanted, Math.max(wanted.waitUs, RETRY_US_MIN))
  }

  /** Asks one of these peers (bit i: peer i), if there is one. */
  #askOne(wanted: Wanted, peers: number): void {
    const count = authorCount(peers)
    if (count === 0) return
    let skip = this.#context.random.below(count)
    for (let peer = 0; peers >>> peer !== 0; peer++) {
      if (((peers >>> peer) & 1) === 1 && skip-- === 0) this.#ask(wanted, peer)
    }
  }

  #lookAgain(wanted: Wanted, afterUs: number): void {
    const atUs = this.#context.clock.nowUs + afterUs
    if (wanted.dueUs === atUs) return
    wanted.dueUs = atUs
    this.#due.push({ wanted, atUs })
  }
}

function isSame(a: BlockName, b: BlockName): boolean {
  return a.author === b.author && a.round === b.round && sameBytes(a.digest, b.digest)
}
