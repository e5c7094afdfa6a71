/**
 * Messages that skip the order of a cluster (architecture section 3.6), from node to node:
 *
 *   submit ─▶ end of the turn ─▶ frame, numbered ─┬─▶ line of each linked node, as far as its window goes ─▶ it gives them to its clients
 *                                                 └─ with QoS 1: held until a quorum has it, this node included ◀─ taken(number) ◀─┘
 *
 * A node answers with the highest number that it took; over one link frames arrive in their order, so one number says it all.
 * When a link ends, what was on its way is lost: QoS 0 is, QoS 1 that no quorum has yet goes out anew when the node is back, and
 * is told by its number if it had come before. What a quorum has is not held for a node that is away.
 *
 * What does not fit into a node's window waits if it is QoS 1, and is dropped for that node, and counted, if it is QoS 0. A node
 * takes what comes as its budget for each peer allows; the rest waits here, and with it the sender's window. So neither a flood nor
 * a liar holds up the order, which goes over the same links.
 *
 * Absent: any memory on disk. What a quorum "has" is in the memory of its processes, on the way to whoever is connected there.
 */
import { randomInt } from 'node:crypto'
import { PublishRun } from '@concordmq/protocol'
import { BundleWriter, type OutsideChoice, type PublishCommand, type RunAuthor } from '@concordmq/state'
import type { OrderedLog } from '../model/ordered-log.ts'
import type { RelayKind, RelayReceiver } from '../model/relay.ts'
import { WorkBudget } from '../model/work-budget.ts'
import type { Counters } from '../telemetry/counters.ts'
import {
  CHOICES_MAX,
  type Choice,
  decodeTaken,
  eachRelayed,
  encodeMessages,
  encodeTaken,
  ITEMS_MAX,
  messagesHead,
  type RelayedItem,
} from './relay-frames.ts'

export interface RelayOptions {
  readonly log: Pick<OrderedLog, 'node' | 'nodes' | 'relay'>
  readonly counters: Pick<Counters, 'fastReceived' | 'fastDropped' | 'fastRepeated'>
  readonly nowMs: () => number
  /** CPU time of this thread, µs. */
  readonly cpuUs: () => number
  /** Whether messages of a topic skip the order. */
  readonly isFast: (topic: string) => boolean
  /** Gives an item of another node to whoever is connected here; `choices` are members of shared groups that get it as well. */
  readonly deliver: (item: RelayedItem, choices: readonly OutsideChoiceOf[]) => void
}

/** A choice, and for which message of the item. */
export interface OutsideChoiceOf extends OutsideChoice {
  readonly message: number
}

/** Bytes on their way to one node that it has not taken. */
export const WINDOW_BYTES = 4 * 1024 * 1024
/** A frame of this size leaves at once; with the largest packet on top it is still below what a link takes. */
const FRAME_BYTES = 32 * 1024
/** Bytes of QoS 1 that no quorum has; above, publishers wait. As many of what a quorum has are held for nodes that lag behind. */
const HELD_BYTES_MAX = 16 * 1024 * 1024
/** What the messages of one peer may cost here, without what the order costs. */
const MESSAGES_SHARE = { share: 0.3, burstUs: 300_000 }
/** A peer that sends beyond its window has this much of a frame on top, at most. */
const FRAME_BYTES_MAX = 1024 * 1024 + 1024
const LIFE_MAX = 2 ** 48 - 1

/** A frame with QoS 1. */
interface Held {
  readonly number: number
  readonly bytes: Uint8Array
  readonly messages: number
  answers: readonly (() => void)[]
}

/** What goes to one node, and what comes from it. */
interface Peer {
  readonly keyId: string
  node: number
  up: boolean
  /** Highest number that it has taken, and that was sent over the present link. */
  taken: number
  sent: number
  readonly underWay: { readonly number: number; readonly bytes: number }[]
  underWayBytes: number
  /** Of its frames: the life that it draws numbers in, the highest taken, and what has come and is not taken. */
  life: number
  highest: number
  readonly waiting: Uint8Array[]
  waitingBytes: number
  owesAnswer: boolean
  budget: WorkBudget
  timer: NodeJS.Timeout | undefined
}

export class Relay implements RelayReceiver {
  readonly #o: RelayOptions
  readonly #life = randomInt(1, LIFE_MAX)
  readonly #run = new PublishRun()
  /** By key, so that an epoch that gives nodes other numbers changes nothing. */
  readonly #peers = new Map<string, Peer>()
  #byNode: (Peer | undefined)[] = []
  /** Nodes that must have a message before it is acknowledged, without this one. */
  #others = 0
  // The open frame.
  readonly #writer = new BundleWriter()
  #number = 1
  #choices: Choice[] = []
  #messages = 0
  #answers: (() => void)[] = []
  // Frames with QoS 1, by number: those that no quorum has, and before them those that a linked node lacks.
  readonly #held: Held[] = []
  /** So many of them, the first ones, a quorum has. */
  #answered = 0
  #heldBytes = 0
  #settled = 0
  readonly #forRoom: (() => void)[] = []
  #turn: NodeJS.Immediate | undefined
  #closed = false

  constructor(options: RelayOptions) {
    this.#o = options
    this.#writer.begin(this.#life, this.#number)
    this.epochChanged()
  }

  /** Bytes of QoS 1 that wait for a quorum, or for a node. */
  get heldBytes(): number {
    return this.#heldBytes
  }

  /** As much waits for a quorum as may: publishers wait. */
  get full(): boolean {
    return this.#heldBytes > HELD_BYTES_MAX
  }

  whenRoom(goOn: () => void): void {
    this.#forRoom.push(goOn)
  }

  // ---------------------------------------------------------------- out

  /** A run at QoS 0 or 1. `taken`: a quorum has it; absent: nobody asks. The run is good only until this returns. */
  submitRun(
    run: PublishRun,
    author: RunAuthor,
    choices: readonly OutsideChoiceOf[],
    taken: (() => void) | undefined,
  ): void {
    if (taken === undefined && !this.#isAnyUp()) return
    this.#writer.run(run, author)
    this.#add(run.count, choices, taken)
  }

  /** The same for one message with whatever it carries. */
  submitMessage(command: PublishCommand, choices: readonly OutsideChoiceOf[], taken: (() => void) | undefined): void {
    if (taken === undefined && !this.#isAnyUp()) return
    this.#writer.command(command)
    this.#add(1, choices, taken)
  }

  #isAnyUp(): boolean {
    return this.#byNode.some((peer) => peer?.up)
  }

  #add(messages: number, choices: readonly OutsideChoiceOf[], taken: (() => void) | undefined): void {
    const item = this.#writer.items - 1
    for (const choice of choices) this.#choices.push({ ...choice, item })
    this.#messages += messages
    if (taken !== undefined) this.#answers.push(taken)
    const isFull = this.#writer.items === ITEMS_MAX || this.#choices.length > CHOICES_MAX / 2
    if (isFull || this.#writer.length >= FRAME_BYTES) this.#cut()
    this.#later()
  }

  #later(): void {
    if (!this.#closed) this.#turn ??= setImmediate(() => this.#endTurn())
  }

  #endTurn(): void {
    this.#turn = undefined
    this.#cut()
    for (const peer of this.#byNode) {
      if (peer?.owesAnswer !== true) continue
      peer.owesAnswer = false
      this.#o.log.relay.send(peer.node, 'taken', encodeTaken({ life: peer.life, number: peer.highest }))
    }
    this.#o.log.relay.flush()
  }

  /** The open frame goes into the lines. */
  #cut(): void {
    if (this.#writer.items === 0) return
    const number = this.#number++
    const bytes = encodeMessages(this.#writer.take(), this.#choices)
    const answers = this.#answers
    this.#writer.begin(this.#life, this.#number)
    this.#choices = []
    this.#answers = []
    if (answers.length > 0) {
      this.#held.push({ number, bytes, messages: this.#messages, answers })
      this.#heldBytes += bytes.length
    }
    for (const peer of this.#byNode) {
      if (peer?.up !== true) continue
      if (answers.length > 0) this.#catchUp(peer)
      else if (this.#mayGo(peer)) this.#send(peer, number, bytes)
      else this.#o.counters.fastDropped += this.#messages
    }
    this.#messages = 0
    // One node is a quorum of itself.
    if (answers.length > 0) this.#settle()
  }

  /** Whether a frame that nobody waits for can go now: it must not overtake those that wait for room. */
  #mayGo(peer: Peer): boolean {
    const last = this.#held.at(-1)
    return peer.underWayBytes < WINDOW_BYTES && (last === undefined || last.number <= Math.max(peer.sent, peer.taken))
  }

  #send(peer: Peer, number: number, bytes: Uint8Array): void {
    peer.sent = number
    peer.underWay.push({ number, bytes: bytes.length })
    peer.underWayBytes += bytes.length
    this.#o.log.relay.send(peer.node, 'messages', bytes)
  }

  /** Sends what a node lacks, as far as its window goes. */
  #catchUp(peer: Peer): void {
    if (peer.underWayBytes >= WINDOW_BYTES) return
    for (let i = this.#firstAbove(Math.max(peer.sent, peer.taken)); i < this.#held.length; i++) {
      const { number, bytes } = this.#held[i] as Held
      if (peer.underWayBytes >= WINDOW_BYTES) return
      this.#send(peer, number, bytes)
    }
  }

  /** Index of the first held frame with a higher number. There may be very many. */
  #firstAbove(number: number): number {
    let low = 0
    let high = this.#held.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#held[middle] as Held).number <= number) low = middle + 1
      else high = middle
    }
    return low
  }

  #taken(peer: Peer, bytes: Uint8Array): string | undefined {
    const answer = decodeTaken(bytes)
    if (answer === undefined) return 'its answer to relayed messages is malformed'
    // Of an earlier life of this process.
    if (answer.life !== this.#life) return undefined
    if (answer.number > peer.sent) return 'it took what was not sent'
    peer.taken = Math.max(peer.taken, answer.number)
    let done = 0
    for (const { number, bytes: size } of peer.underWay) {
      if (number > answer.number) break
      peer.underWayBytes -= size
      done++
    }
    peer.underWay.splice(0, done)
    this.#catchUp(peer)
    this.#settle()
    this.#later()
    return undefined
  }

  /** Answers what a quorum has, and lets go what nobody lacks. */
  #settle(): void {
    if (this.#others === 0) this.#settled = this.#number - 1
    else {
      const taken = this.#byNode.flatMap((peer) => (peer === undefined ? [] : peer.taken)).sort((a, b) => b - a)
      this.#settled = Math.max(this.#settled, taken[this.#others - 1] ?? 0)
    }
    const answered: (readonly (() => void)[])[] = []
    for (; this.#answered < this.#held.length; this.#answered++) {
      const held = this.#held[this.#answered] as Held
      if (held.number > this.#settled) break
      answered.push(held.answers)
      held.answers = NOBODY
    }
    this.#letGo()
    for (const answers of answered) for (const answer of answers) answer()
    if (this.#forRoom.length > 0 && !this.full) for (const goOn of this.#forRoom.splice(0)) goOn()
  }

  #letGo(): void {
    let gone = 0
    for (const { number, bytes, messages } of this.#held) {
      if (number > this.#settled) break
      const lacking = this.#lacking(number)
      if (lacking > 0 && this.#heldBytes <= HELD_BYTES_MAX) break
      // A node that lags too far behind goes without.
      this.#o.counters.fastDropped += lacking * messages
      this.#heldBytes -= bytes.length
      gone++
    }
    this.#held.splice(0, gone)
    this.#answered -= gone
  }

  /** How many linked nodes were not sent a frame. */
  #lacking(number: number): number {
    let nodes = 0
    for (const peer of this.#byNode) if (peer?.up === true && number > Math.max(peer.sent, peer.taken)) nodes++
    return nodes
  }

  // ---------------------------------------------------------------- in

  linked(node: number, up: boolean): void {
    const peer = this.#byNode[node]
    if (peer === undefined) return
    peer.up = up
    peer.sent = peer.taken
    peer.underWay.length = 0
    peer.underWayBytes = 0
    // What came and was not taken is sent again.
    peer.waiting.length = 0
    peer.waitingBytes = 0
    if (up) {
      this.#catchUp(peer)
      this.#later()
    } else this.#settle()
  }

  relayed(from: number, kind: RelayKind, bytes: Uint8Array): string | undefined {
    const peer = this.#byNode[from]
    if (peer === undefined || this.#closed) return undefined
    if (kind === 'taken') return this.#taken(peer, bytes)
    if (peer.waitingBytes + bytes.length > WINDOW_BYTES + FRAME_BYTES_MAX)
      return 'it relays more than its window allows'
    if (peer.timer === undefined) return this.#take(peer, bytes)
    peer.waiting.push(Uint8Array.from(bytes))
    peer.waitingBytes += bytes.length
    return undefined
  }

  /** Gives the messages of a frame to clients, and arms the timer if that was too much for one peer. */
  #take(peer: Peer, bytes: Uint8Array): string | undefined {
    const { counters, cpuUs, nowMs, isFast, deliver } = this.#o
    const head = messagesHead(bytes)
    if (head === undefined) return 'its relayed messages are malformed'
    if (head.life !== peer.life) {
      peer.life = head.life
      peer.highest = 0
    }
    peer.owesAnswer = true
    this.#later()
    if (head.number <= peer.highest) {
      counters.fastRepeated++
      return undefined
    }
    peer.highest = head.number
    const begunUs = cpuUs()
    const problem = eachRelayed(bytes, this.#run, isFast, (item, choices) => {
      counters.fastReceived += item.type === 'run' ? item.run.count : 1
      deliver(item, choices)
    })
    const pauseMs = peer.budget.spend(cpuUs() - begunUs, nowMs() * 1000)
    if (pauseMs > 0) peer.timer = setTimeout(() => this.#goOn(peer), pauseMs)
    return problem
  }

  /** Takes what had to wait. */
  #goOn(peer: Peer): void {
    peer.timer = undefined
    let done = 0
    for (const bytes of peer.waiting) {
      if (peer.timer !== undefined) break
      done++
      peer.waitingBytes -= bytes.length
      const problem = this.#take(peer, bytes)
      if (problem !== undefined && this.#byNode.includes(peer)) this.#o.log.relay.drop(peer.node, problem)
    }
    peer.waiting.splice(0, done)
  }

  /** Other nodes, or the same under other numbers. Links are down until `linked` says otherwise. */
  epochChanged(): void {
    const { log, nowMs } = this.#o
    const n = log.nodes.length
    this.#others = n - Math.floor((n - 1) / 3) - 1
    const left = new Set(this.#peers.keys())
    this.#byNode = log.nodes.map(({ keyId }, node) => {
      left.delete(keyId)
      if (node === log.node) return undefined
      const peer = this.#peers.get(keyId) ?? newPeer(keyId, nowMs() * 1000)
      this.#peers.set(keyId, peer)
      peer.node = node
      return peer
    })
    for (const keyId of left) {
      clearTimeout(this.#peers.get(keyId)?.timer)
      this.#peers.delete(keyId)
    }
    for (let node = 0; node < n; node++) this.linked(node, false)
  }

  close(): void {
    this.#closed = true
    if (this.#turn !== undefined) clearImmediate(this.#turn)
    for (const peer of this.#peers.values()) clearTimeout(peer.timer)
  }
}

const NOBODY: readonly (() => void)[] = []

function newPeer(keyId: string, nowUs: number): Peer {
  return {
    keyId,
    node: -1,
    up: false,
    taken: 0,
    sent: 0,
    underWay: [],
    underWayBytes: 0,
    life: 0,
    highest: 0,
    waiting: [],
    waitingBytes: 0,
    owesAnswer: false,
    budget: new WorkBudget(nowUs, MESSAGES_SHARE),
    timer: undefined,
  }
}
