/**
 * This node's own messages, from `submit` until they have a place (consensus.md sections 3, 5, 8.6, 15). Each has a submission
 * number that is never used for another message; a message whose block became void is queued again under the same number.
 *
 *   submit ─▶ queue ─▶ block of a round ─▶ placed
 *               ▲            │ void, or collected undecided
 *               └────────────┘
 *
 * Numbers are reserved in ranges on the disk before a block with one leaves; a crash leaves gaps, which the window of the
 * duplicate check bridges.
 */
import type { BlockMessage, MessageKind } from '../model/block.ts'
import type { Constants } from '../model/constants.ts'
import type { Tunables } from './tunables.ts'

/** Numbers reserved at a time. */
const SEQ_RANGE = 4096
/** Taken entries at the head of the queue that are worth a copy of the rest. */
const COMPACT_MIN = 1024
/** Bytes of a message in a body beside its own: kind, seq, recvUs, length. */
export const MESSAGE_OVERHEAD_BYTES = 1 + 8 + 8 + 4

/** Names nobody's submission: those of before a restart. */
const NO_SUBMITTER = -1

/** Who submits the engine's own messages. */
export const engineItself: Submitter = { id: NO_SUBMITTER, keep: false }

export interface OwnMessage extends BlockMessage {
  /** The submitter's name for it, or `NO_SUBMITTER`. */
  readonly id: number
  /** It is in the log by itself, whatever becomes of its block. */
  kept: boolean
}

export interface Submitter {
  readonly id: number
  readonly keep: boolean
}

export class Submissions {
  readonly #tunables: Tunables
  #constants: Constants
  /** All without a place, by number; in the order of their numbers as far as they were not queued again. */
  readonly #open = new Map<number, OwnMessage>()
  /** Those in no block, by ascending number, from `#head` on. */
  #queue: OwnMessage[] = []
  #head = 0
  /** The messages of own blocks whose units are not settled, by round. */
  readonly #inBlocks = new Map<number, readonly OwnMessage[]>()
  #bytes = 0
  #nextSeq = 0
  #reserved = 0

  constructor(tunables: Tunables, constants: Constants) {
    this.#tunables = tunables
    this.#constants = constants
  }

  /** Another epoch's limits. What is in blocks of the one before is queued again. */
  enter(constants: Constants): void {
    this.#constants = constants
    this.requeueAll()
  }

  get queuedMessages(): number {
    return this.#queue.length - this.#head
  }

  get queuedBytes(): number {
    return this.#bytes
  }

  /** Messages that have no place yet, in blocks or not. */
  get openMessages(): number {
    return this.#open.size
  }

  /** Numbers below this one are on disk as perhaps used. */
  get reserved(): number {
    return this.#reserved
  }

  /** Messages that wait for a block and were promised to be kept. */
  kept(): readonly OwnMessage[] {
    return this.#queue.slice(this.#head).filter((message) => message.kept && this.#open.has(message.seq))
  }

  /** Numbers below this one were perhaps used before a restart. */
  reserve(below: number): void {
    if (below > this.#reserved) this.#reserved = below
    if (below > this.#nextSeq) this.#nextSeq = below
  }

  /** Takes a message, or says why not. The number is final. */
  submit(by: Submitter, kind: MessageKind, bytes: Uint8Array, recvUs: number): OwnMessage | 'busy' | 'tooLarge' {
    const size = bytes.length + MESSAGE_OVERHEAD_BYTES
    if (size > this.bodyBytesMax) return 'tooLarge'
    const { queueBytesMax, queueMessagesMax } = this.#tunables
    const full = this.queuedMessages >= queueMessagesMax || this.#bytes + size > queueBytesMax
    if (full && by !== engineItself) return 'busy'
    const message: OwnMessage = { id: by.id, kept: by.keep, kind, seq: this.#nextSeq++, recvUs, bytes }
    this.#open.set(message.seq, message)
    this.#queue.push(message)
    this.#bytes += size
    return message
  }

  /** The submission of this name, which is to be in the log by itself from now on; undefined: it has its place, or is there already. */
  keep(id: number): OwnMessage | undefined {
    for (const message of this.#open.values()) {
      if (message.id !== id) continue
      if (message.kept) return undefined
      message.kept = true
      return message
    }
    return undefined
  }

  /** Bytes of a body that certainly fit into a block beside the largest table of references. */
  get bodyBytesMax(): number {
    return this.#constants.blockBytesMax - 4096 - 50 * this.#constants.refsMax
  }

  /** The messages for the next own block, which is of `round`, in the order of their numbers; empty if none. */
  take(round: number): readonly OwnMessage[] {
    if (this.#head === this.#queue.length) return []
    const seqMax = this.#oldestOpenSeq() + this.#constants.seqWindow / 2
    const taken: OwnMessage[] = []
    let bytes = 0
    for (; this.#head < this.#queue.length && taken.length < this.#constants.blockMessagesMax; this.#head++) {
      const message = this.#queue[this.#head]!
      const size = message.bytes.length + MESSAGE_OVERHEAD_BYTES
      // Placed meanwhile: by another block, of before it was queued again.
      const open = this.#open.has(message.seq)
      if (open && (bytes + size > this.bodyBytesMax || message.seq >= seqMax)) break
      this.#bytes -= size
      if (!open) continue
      bytes += size
      taken.push(message)
    }
    if (this.#head > COMPACT_MIN && this.#head * 2 > this.#queue.length) this.#compact()
    if (taken.length > 0) this.#inBlocks.set(round, taken)
    return taken
  }

  /** The number range that must be on disk before the own block of this round leaves; undefined if it is there. */
  rangeForBlock(round: number): number | undefined {
    const last = this.#inBlocks.get(round)?.at(-1)
    if (last === undefined || last.seq < this.#reserved) return undefined
    this.#reserved = last.seq + SEQ_RANGE
    return this.#reserved
  }

  /** An own block from before a restart: its messages are in a block of this round. */
  restoreBlock(round: number, messages: readonly BlockMessage[]): void {
    const own = messages.map((message) => this.#open.get(message.seq) ?? { ...message, id: NO_SUBMITTER, kept: false })
    for (const message of own) {
      this.#open.set(message.seq, message)
      this.reserve(message.seq + 1)
    }
    this.#inBlocks.set(round, own)
    this.#leaveQueue(own)
  }

  /** An own message from before a restart that was in no block. */
  restoreMessage(message: BlockMessage): void {
    this.reserve(message.seq + 1)
    const inBlock = this.#open.get(message.seq)
    if (inBlock !== undefined) {
      inBlock.kept = true
      return
    }
    const own = { ...message, id: NO_SUBMITTER, kept: true }
    this.#open.set(own.seq, own)
    this.#enqueue([own])
  }

  /** A message of this node has a place; the submitter's name for it, if it has one. */
  placed(seq: number): number | undefined {
    const message = this.#open.get(seq)
    if (message === undefined) return undefined
    this.#open.delete(seq)
    return message.id === NO_SUBMITTER ? undefined : message.id
  }

  /** The own unit of this round is emitted: what of it got no place now has had one before. */
  settled(round: number): void {
    for (const { seq } of this.#inBlocks.get(round) ?? []) this.#open.delete(seq)
    this.#inBlocks.delete(round)
  }

  /** The own block of this round will not be ordered: what has no place yet is queued again. */
  requeue(round: number): void {
    const messages = this.#inBlocks.get(round)
    if (messages === undefined) return
    this.#inBlocks.delete(round)
    this.#enqueue(messages.filter((message) => this.#open.has(message.seq)))
  }

  /** Everything in blocks is queued again: their epoch has ended. */
  requeueAll(): void {
    const messages = [...this.#inBlocks.values()].flat().filter((message) => this.#open.has(message.seq))
    this.#inBlocks.clear()
    this.#enqueue(messages.sort((one, other) => one.seq - other.seq))
  }

  /** Numbers of all messages without a place, in no order that matters. */
  openSeqs(): readonly number[] {
    return [...this.#open.keys()]
  }

  /** This node is no longer heard: the submitters' names of all that waits, which gets no place. */
  abandon(): readonly number[] {
    const ids = [...this.#open.values()].map((message) => message.id).filter((id) => id !== NO_SUBMITTER)
    this.#open.clear()
    this.#inBlocks.clear()
    this.#queue = []
    this.#head = 0
    this.#bytes = 0
    return ids
  }

  #oldestOpenSeq(): number {
    for (const seq of this.#open.keys()) return seq
    return this.#nextSeq
  }

  #enqueue(messages: readonly OwnMessage[]): void {
    const [first] = messages
    if (first === undefined) return
    for (const message of messages) this.#bytes += message.bytes.length + MESSAGE_OVERHEAD_BYTES
    const last = this.#queue.at(-1)
    if (this.#head < this.#queue.length && last !== undefined && last.seq >= first.seq) {
      this.#queue = [...messages, ...this.#queue.slice(this.#head)].sort((one, other) => one.seq - other.seq)
      this.#head = 0
    } else {
      // A log is told in the order of its numbers, and may hold tens of thousands.
      for (const message of messages) this.#queue.push(message)
    }
  }

  /** Takes these messages out of the queue, as far as they are in it; their numbers ascend. */
  #leaveQueue(messages: readonly OwnMessage[]): void {
    const seqs = new Set(messages.map((message) => message.seq))
    const last = messages.at(-1)?.seq ?? 0
    const before: OwnMessage[] = []
    let at = this.#head
    for (; at < this.#queue.length; at++) {
      const message = this.#queue[at]!
      if (message.seq > last) break
      if (seqs.has(message.seq)) this.#bytes -= message.bytes.length + MESSAGE_OVERHEAD_BYTES
      else before.push(message)
    }
    this.#head = at - before.length
    for (const [i, message] of before.entries()) this.#queue[this.#head + i] = message
  }

  #compact(): void {
    this.#queue = this.#queue.slice(this.#head)
    this.#head = 0
  }
}
