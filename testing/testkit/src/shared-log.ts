/**
 * A log for several brokers of one process, in the place of the consensus engine: an array that each node reads at its own pace.
 * What is random (how long a submission is under way, how far behind each node is, in which order the bundles of one node arrive)
 * comes from a seed. It keeps the promises of `OrderedLog` and shows what they leave open, in no time.
 */

import type {
  OrderedApplication,
  OrderedLog,
  OrderedLogNode,
  Placement,
  RelayKind,
  RelayLinks,
  SealedVerdict,
} from '@concordmq/broker'
import { MessageKind, type OrderedMessage, type Status } from '@concordmq/consensus'
import type { Judge } from '@concordmq/state'
import { type Random, randomFrom } from './random.ts'

interface Entry {
  readonly message: OrderedMessage
  readonly linearised: number
  readonly jailed: number
  readonly done: ((placement: Placement) => void) | undefined
  readonly by: NodeLog
  /** Behind this entry a sealed message has its verdict. */
  readonly verdict?: SealedVerdict | undefined
}

/** As much as surely fits into a block of the order, whatever it refers to. */
const BYTES_MAX = (1024 - 16) * 1024
/** Shares that are put into the log until a sealed message has its verdict. */
const SHARES = 2

export interface SharedLogOptions {
  readonly seed?: number
  /** Turns of the event loop that a submission is under way, at most. */
  readonly turnsMax?: number
  /** Turns that a node is behind, at most. */
  readonly lagMax?: number
}

export class SharedLog {
  readonly nodes: NodeLog[]
  readonly entries: Entry[] = []
  readonly random: Random
  readonly turnsMax: number
  readonly lagMax: number
  /** Added to the wall clock: time passes as tests say. */
  aheadUs = 0
  /** Bit i: node i reaches the others. */
  reachable: number
  jailed = 0
  /** Nothing is ordered any more. */
  stalled = false
  /** Sealed messages cannot be opened: their verdict is that they are void. */
  unopenable = false
  /** Links that ended since an end broke the rules. */
  readonly dropped: { readonly by: number; readonly of: number; readonly why: string }[] = []
  readonly #links = new Map<string, object>()
  /** Who tells whether operators signed; nobody is one unless a test says so. */
  judge: Judge = () => 'there are no operators'
  #lastUs = 0
  #order: (() => void)[] = []

  constructor(nodes: number, { seed = 1, turnsMax = 4, lagMax = 4 }: SharedLogOptions = {}) {
    this.random = randomFrom(seed)
    this.turnsMax = turnsMax
    this.lagMax = lagMax
    this.reachable = 2 ** nodes - 1
    this.nodes = Array.from({ length: nodes }, (_, node) => new NodeLog(this, node, nodes))
  }

  /** A node is cut off: what it submits waits, and it reads nothing, until `join`. */
  cut(node: number): void {
    this.reachable &= ~(1 << node)
    this.unlink(node)
    this.#tell()
  }

  join(node: number): void {
    this.reachable |= 1 << node
    this.link(node)
    this.#tell()
    this.nodes[node]?.resume()
  }

  /** The process of a node ended, and this is the log of the next one; `from`: it begins with a snapshot of that node. */
  restarted(node: number, { from }: { readonly from?: number } = {}): NodeLog {
    const next = new NodeLog(this, node, this.nodes.length, from)
    next.sequence = this.nodes[node]?.sequence ?? 0
    this.nodes[node] = next
    return next
  }

  /** Links a node with all others that run and are reachable. */
  link(node: number): void {
    for (const other of this.nodes) {
      if (other.node === node || other.application === undefined) continue
      if (!other.isReachable || this.nodes[node]?.isReachable !== true) continue
      this.#links.set(nameOf(node, other.node), {})
      this.nodes[node]?.application?.relay.linked(other.node, true)
      other.application.relay.linked(node, true)
    }
  }

  unlink(node: number): void {
    for (const other of this.nodes) if (other.node !== node) this.#cutLink(node, other.node)
  }

  /** One end found that the other broke the rules. */
  drop(by: number, of: number, why: string): void {
    this.dropped.push({ by, of, why })
    this.#cutLink(by, of)
  }

  /** Names a link as long as it lasts; undefined: there is none. */
  linkOf(one: number, other: number): object | undefined {
    return this.#links.get(nameOf(one, other))
  }

  #cutLink(one: number, other: number): void {
    if (!this.#links.delete(nameOf(one, other))) return
    this.nodes[one]?.application?.relay.linked(other, false)
    this.nodes[other]?.application?.relay.linked(one, false)
  }

  stall(): void {
    this.stalled = true
    this.#tell()
  }

  heal(): void {
    this.stalled = false
    this.#tell()
    for (const order of this.#order.splice(0)) order()
  }

  pass(seconds: number): void {
    this.aheadUs += seconds * 1_000_000
  }

  /** Gives bytes of a node their place, now or when the log goes on. */
  enter(by: NodeLog, bytes: Uint8Array, done: ((placement: Placement) => void) | undefined): void {
    if (this.stalled) this.#order.push(() => this.enter(by, bytes, done))
    else this.#add(by, MessageKind.payload, bytes, { done })
  }

  /** The same for what is sealed: what was in it comes behind the shares that follow. */
  enterSealed(by: NodeLog, content: Uint8Array, done: ((placement: Placement) => void) | undefined): void {
    if (this.stalled) {
      this.#order.push(() => this.enterSealed(by, content, done))
      return
    }
    const position = this.entries.length
    this.#add(by, MessageKind.sealed, new Uint8Array(16).fill(position), { done })
    const share = (left: number): void => {
      if (this.stalled) {
        this.#order.push(() => share(left))
        return
      }
      const verdict = left > 1 ? undefined : { position, content: this.unopenable ? undefined : content }
      this.#add(by, MessageKind.share, new Uint8Array(2), { verdict })
      if (left > 1) this.#inTurns(() => share(left - 1))
    }
    this.#inTurns(() => share(SHARES))
  }

  #inTurns(act: () => void): void {
    let turns = 1 + this.random.below(this.turnsMax)
    const wait = (): void => void (turns-- > 0 ? setImmediate(wait) : act())
    wait()
  }

  #add(
    by: NodeLog,
    kind: MessageKind,
    bytes: Uint8Array,
    more: { readonly done?: Entry['done']; readonly verdict?: Entry['verdict'] },
  ): void {
    this.#lastUs = Math.max(this.#lastUs, Date.now() * 1000 + this.aheadUs)
    const position = this.entries.length
    const message = {
      ...{ position, author: by.node, seq: by.sequence++, consensusUs: this.#lastUs },
      ...{ kind, bytes },
    }
    this.entries.push({ message, linearised: this.reachable, jailed: this.jailed, done: undefined, ...more, by })
    for (const node of this.nodes) node.wake()
  }

  #tell(): void {
    for (const node of this.nodes) node.tell()
  }
}

export class NodeLog implements OrderedLog {
  readonly node: number
  readonly nodes: readonly OrderedLogNode[]
  /** Beside the log: what is under way there is lost with the link. */
  readonly relay: RelayLinks
  /** What comes beside the log waits until `hear`. */
  deaf = false
  readonly unheard: (() => void)[] = []
  sequence = 0
  /** It reads no further than this position until it is set free: it lags behind the others, and reaches them. */
  heldAt: number | undefined
  /** Positions below are kept by the application. */
  appliedBelow = 0
  readonly #log: SharedLog
  #application: OrderedApplication | undefined
  #next = 0
  #awake = false
  #waiting: (() => void)[] = []

  readonly #from: number | undefined

  constructor(log: SharedLog, node: number, nodes: number, from?: number) {
    this.#log = log
    this.#from = from
    this.node = node
    this.nodes = Array.from({ length: nodes }, (_, i) => ({
      publicKey: new Uint8Array(65).fill(i),
      keyId: `${i}`.padStart(16, '0'),
      address: `127.0.0.1:${19_793 + i}`,
    }))
    this.relay = {
      send: (to, kind, bytes) => this.#relay(to, kind, Uint8Array.from(bytes)),
      flush() {},
      drop: (to, why) => this.#log.drop(this.node, to, why),
    }
  }

  readonly judge: Judge = (content, signatures) => this.#log.judge(content, signatures)

  async start(application: OrderedApplication): Promise<void> {
    this.#application = application
    this.#next = application.nextPosition
    const source = this.#from === undefined ? undefined : this.#log.nodes[this.#from]
    if (source?.application !== undefined) {
      const position = source.position
      const snapshot = source.application.checkpoint(0, position)
      const { length } = await snapshot.hashes()
      await application.install({ position, consensusUs: 0, chunks: length, read: (chunk) => snapshot.read(chunk) })
      snapshot.release()
      this.#next = position
    }
    const last = this.#log.entries[this.#next - 1]
    // Whether the application kept it is not known.
    if (last?.verdict !== undefined) application.opened(last.verdict)
    this.tell()
    this.#log.link(this.node)
    this.wake()
  }

  /** One turn for all, so that frames keep their order. */
  #relay(to: number, kind: RelayKind, bytes: Uint8Array): void {
    const link = this.#log.linkOf(this.node, to)
    setImmediate(() => {
      const there = this.#log.nodes[to]
      if (link === undefined || link !== this.#log.linkOf(this.node, to) || there === undefined) return
      if (there.deaf) there.unheard.push(() => this.#arrive(to, kind, bytes))
      else this.#arrive(to, kind, bytes)
    })
  }

  #arrive(to: number, kind: RelayKind, bytes: Uint8Array): void {
    const problem = this.#log.nodes[to]?.application?.relay.relayed(this.node, kind, bytes)
    if (problem !== undefined) this.#log.drop(to, this.node, problem)
  }

  hear(): void {
    this.deaf = false
    for (const arrive of this.unheard.splice(0)) arrive()
  }

  submit(bytes: Uint8Array, done?: (placement: Placement) => void, kept?: () => void): number {
    if (bytes.length > BYTES_MAX) {
      queueMicrotask(() => done?.({ type: 'refused', why: 'tooLarge' }))
      return 0
    }
    const own = new Uint8Array(bytes)
    kept?.()
    this.#travel(() => this.#log.enter(this, own, done))
    return 0
  }

  /** What was given to it is kept at once. */
  keep(_submission: number, kept: () => void): void {
    setImmediate(kept)
  }

  submitSealed(bytes: Uint8Array, done?: (placement: Placement) => void): void {
    const own = new Uint8Array(bytes)
    this.#travel(() => this.#log.enterSealed(this, own, done))
  }

  #travel(enter: () => void): void {
    let turns = 1 + this.#log.random.below(this.#log.turnsMax)
    const travel = (): void => {
      if (!this.isReachable) this.#waiting.push(travel)
      else if (turns-- > 0) setImmediate(travel)
      else if (this.#application === undefined) return
      else enter()
    }
    travel()
  }

  applied(position: number): void {
    this.appliedBelow = position
  }

  get status(): Status {
    const { reachable, stalled, entries, jailed } = this.#log
    const connected = this.isReachable ? reachable : 1 << this.node
    return {
      ...{ mode: stalled || !this.isReachable ? 'stalled' : 'active', epoch: 0, round: 0, nextStep: entries.length },
      ...{ position: this.#next, consensusUs: 0, checkpointStep: 0, connected, jailed, demoted: 0 },
      ...{ fairCuts: 0, fairLate: 0, queuedMessages: this.#waiting.length, queuedBytes: 0 },
    }
  }

  async stop(): Promise<void> {
    this.#log.unlink(this.node)
    this.#application = undefined
  }

  // ---------------------------------------------------------------- for the log

  get isReachable(): boolean {
    return (this.#log.reachable & (1 << this.node)) !== 0
  }

  /** The next position that its application is handed. */
  get position(): number {
    return this.#next
  }

  get application(): OrderedApplication | undefined {
    return this.#application
  }

  tell(): void {
    this.#application?.statusChanged(this.status)
  }

  resume(): void {
    for (const travel of this.#waiting.splice(0)) travel()
    this.wake()
  }

  wake(): void {
    if (this.#awake) return
    this.#awake = true
    let turns = this.#log.random.below(this.#log.lagMax + 1)
    const read = (): void => {
      if (turns-- > 0) setImmediate(read)
      else this.#read()
    }
    setImmediate(read)
  }

  #read(): void {
    this.#awake = false
    if (!this.isReachable) return
    while (
      this.#application !== undefined &&
      this.#next < Math.min(this.#log.entries.length, this.heldAt ?? Infinity)
    ) {
      const { message, linearised, jailed, done, by, verdict } = this.#log.entries[this.#next] as Entry
      this.#next++
      this.#application.ordered({ step: message.position, linearised, jailed, messages: [message] })
      const { position, consensusUs } = message
      if (by === this) done?.({ type: 'placed', position, consensusUs })
      if (verdict !== undefined) this.#application?.opened(verdict)
    }
  }
}

function nameOf(one: number, other: number): string {
  return `${Math.min(one, other)}-${Math.max(one, other)}`
}
