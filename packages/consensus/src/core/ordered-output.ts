/**
 * The log on this node, across epochs (consensus.md 8.6 and 10): units that have their place become messages with positions and
 * leaves of the log tree, and go to the application. What it has not applied yet is counted, so that a slow application slows
 * the making of blocks rather than filling the memory.
 */
import { blockMessages } from '../bytes/block-codec.ts'
import { type Leaf, leafBytes } from '../log/leaf.ts'
import { LogTree } from '../log/tree.ts'
import type { Block } from '../model/block.ts'
import type { Cryptography } from '../model/cryptography.ts'
import type { OrderedMessage } from '../model/effect.ts'
import type { Epoch } from '../model/epoch.ts'
import type { Emission } from '../order/fair-order.ts'
import { Positions } from '../order/positions.ts'
import type { Outbox } from './outbox.ts'

interface Unapplied {
  /** The first position behind the unit. */
  readonly end: number
  readonly bytes: number
}

export class OrderedOutput {
  readonly positions: Positions
  readonly tree: LogTree
  /** Authors with a block in the steps since the last batch; bit i: author i. */
  linearised = 0
  /** Bytes of bodies in the log, ever. */
  bytes = 0
  readonly #outbox: Outbox
  #epoch: Epoch
  /** Positions below this one are the application's. */
  #applied: number
  #unapplied: Unapplied[] = []
  #unappliedBytes = 0

  constructor(epoch: Epoch, cryptography: Cryptography, outbox: Outbox, applied: number) {
    this.#epoch = epoch
    this.#outbox = outbox
    this.#applied = applied
    this.positions = new Positions(epoch)
    this.tree = new LogTree((bytes) => cryptography.sha256(bytes))
  }

  /** The next position. */
  get next(): number {
    return this.positions.next
  }

  get unappliedBytes(): number {
    return this.#unappliedBytes
  }

  enter(epoch: Epoch): void {
    this.#epoch = epoch
    this.positions.enter(epoch)
  }

  /** The application keeps what is below this position. */
  applied(position: number): void {
    this.#applied = Math.max(this.#applied, position)
    let done = 0
    while (done < this.#unapplied.length && this.#unapplied[done]!.end <= position) {
      this.#unappliedBytes -= this.#unapplied[done]!.bytes
      done++
    }
    if (done > 0) this.#unapplied = this.#unapplied.slice(done)
  }

  /** Gives the messages of a unit their positions, and hands them out. */
  place(emission: Emission, block: Block, at: { step: number; jailed: number }): readonly OrderedMessage[] {
    const { messages, leaf } = this.positions.place(emission, blockMessages(block), at.jailed)
    if (leaf === undefined) return messages
    const leafIndex = this.tree.leafCount
    const nodes = this.tree.append(leafBytes(leaf))
    this.bytes += block.body.length
    if (this.next > this.#applied) this.#handOut(block, messages, { leaf, leafIndex, nodes }, at)
    this.linearised = 0
    return messages
  }

  #handOut(
    block: Block,
    messages: readonly OrderedMessage[],
    place: { leaf: Leaf; leafIndex: number; nodes: readonly Uint8Array[] },
    at: { step: number; jailed: number },
  ): void {
    const { step, jailed } = at
    const { linearised } = this
    this.#unapplied.push({ end: this.next, bytes: block.body.length })
    this.#unappliedBytes += block.body.length
    this.#outbox.emit({ epoch: this.#epoch.number, step, unit: block, ...place, linearised, jailed, messages })
  }
}
