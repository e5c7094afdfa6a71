/**
 * Places in the log (consensus.md 8.6): which messages of an emitted unit get a position, and which one. A message is skipped
 * if its (author, seq) has a position already, which makes submitting again after a crash safe. What is remembered belongs to
 * the author's public key, so it holds across epochs, where indices change.
 */
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

  /** A new epoch begins. */
  enter(epoch: Epoch): void {
    this.#epoch = epoch
    this.#authors = epoch.nodes.map((node) => {
      const key = keyText(node.publicKey)
      let window = this.#windows.get(key)
      if (window === undefined) {
        window = new SeqWindow(epoch.constants.seqWindow)
        this.#windows.set(key, window)
      }
      return window
    })
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
    for (const [i, message] of messages.entries()) {
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
}

/** A key of a map; used once per epoch. */
function keyText(publicKey: Uint8Array): string {
  return String.fromCharCode(...publicKey)
}
