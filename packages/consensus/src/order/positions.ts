/**
 * Places in the log (consensus.md 8.6): which messages of an emitted unit get a position, and which one. A message is skipped
 * if its (author, seq) has a position already, which makes submitting again after a crash safe. What is remembered belongs to
 * the author's public key, so it holds across epochs, where indices change.
 */
import { publicKeyBytes } from '../bytes/epoch-record.ts'
import type { Reader } from '../bytes/reader.ts'
import type { Writer } from '../bytes/writer.ts'
import type { Leaf } from '../log/leaf.ts'
import type { BlockMessage } from '../model/block.ts'
import type { OrderedMessage } from '../model/effect.ts'
import type { Epoch } from '../model/epoch.ts'
import type { Emission } from './fair-order.ts'
import { SeqWindow } from './seq-window.ts'

/** What a unit added to the log. */
export interface Placed {
  /** In body order; without those that were skipped. */
  readonly messages: readonly OrderedMessage[]
  /** What goes into the log tree; undefined if every message was skipped. */
  readonly leaf: Leaf | undefined
}

export class Positions {
  #epoch: Epoch
  #next = 0
  /** By public key. */
  readonly #windows = new Map<string, SeqWindow>()
  /** The windows of this epoch's authors, by index. */
  #authors: SeqWindow[] = []

  constructor(epoch: Epoch) {
    this.#epoch = epoch
    this.enter(epoch)
  }

  /** The next position: how many messages the log has. */
  get next(): number {
    return this.#next
  }

  /** Highest submission number of an author of this epoch that has a position; -1 if none has. */
  highestSeq(author: number): number {
    return (this.#authors[author] as SeqWindow).highest
  }

  /** Whether a message of an author of this epoch has a position, or is too old to get one. */
  has(author: number, seq: number): boolean {
    return (this.#authors[author] as SeqWindow).has(seq)
  }

  /** A new epoch begins. What authors that left had is kept: operators decide how often that happens, and they may return. */
  enter(epoch: Epoch): void {
    this.#epoch = epoch
    const size = epoch.constants.seqWindow
    for (const [key, window] of this.#windows) if (window.size !== size) this.#windows.set(key, window.resized(size))
    this.#authors = epoch.nodes.map((node) => this.#windowOf(keyText(node.publicKey)))
  }

  #windowOf(key: string): SeqWindow {
    let window = this.#windows.get(key)
    if (window === undefined) {
      window = new SeqWindow(this.#epoch.constants.seqWindow)
      this.#windows.set(key, window)
    }
    return window
  }

  /**
   * Give positions to the messages of an emitted unit, whose body is `messages`. A unit that is superseded, or whose author was
   * jailed before this (`jailed`, bit i for author i), gets none.
   */
  place(unit: Emission, messages: readonly BlockMessage[], jailed: number): Placed {
    const ordered: OrderedMessage[] = []
    if (unit.superseded || ((jailed >>> unit.author) & 1) === 1) return { messages: ordered, leaf: undefined }
    const window = this.#authors[unit.author] as SeqWindow
    const mask = new Uint8Array((messages.length + 7) >>> 3)
    const firstPosition = this.#next
    for (let i = 0; i < messages.length; i++) {
      const message = messages[i] as BlockMessage
      if (!window.take(message.seq)) continue
      mask[i >>> 3] = (mask[i >>> 3] as number) | (1 << (i & 7))
      ordered.push({
        position: this.#next++,
        author: unit.author,
        seq: message.seq,
        consensusUs: unit.consensusUs,
        kind: message.kind,
        bytes: message.bytes,
      })
    }
    if (ordered.length === 0) return { messages: ordered, leaf: undefined }
    const leaf: Leaf = {
      firstPosition,
      count: ordered.length,
      epoch: this.#epoch.number,
      unitDigest: unit.digest,
      consensusUs: unit.consensusUs,
      messageCount: messages.length,
      mask,
    }
    return { messages: ordered, leaf }
  }

  /** For the engine's snapshot (section 11): by public key, ascending. */
  write(writer: Writer): void {
    writer.u64(this.#next)
    writer.u32(this.#windows.size)
    const keys = [...this.#windows.keys()].sort((a, b) => (a < b ? -1 : 1))
    for (const key of keys) {
      writer.raw(Uint8Array.from(key, (letter) => letter.charCodeAt(0)))
      this.#windowOf(key).write(writer)
    }
  }

  /** What was written, in place of all there is; `reader.problem` says if it was something else. */
  read(reader: Reader): void {
    this.#next = reader.u64()
    this.#windows.clear()
    const count = reader.u32()
    for (let i = 0; i < count && reader.problem === undefined; i++) {
      const key = keyText(reader.raw(publicKeyBytes))
      this.#windowOf(key).read(reader)
    }
    this.enter(this.#epoch)
  }
}

/** A key of a map; used once per epoch. */
function keyText(publicKey: Uint8Array): string {
  return String.fromCharCode(...publicKey)
}
