/**
 * The log on this node, across epochs (consensus.md 8.6 and 10): units that have their place become messages with positions and
 * leaves of the log tree, and go to the application. What it has not applied yet is counted, so that a slow application slows
 * the making of blocks rather than filling the memory.
 */
import { blockMessages } from '../bytes/block-codec.ts'
import type { Reader } from '../bytes/reader.ts'
import type { Writer } from '../bytes/writer.ts'
import { leafBytes } from '../log/leaf.ts'
import { LogTree } from '../log/tree.ts'
import type { Block } from '../model/block.ts'
import type { Cryptography } from '../model/cryptography.ts'
import type { OrderedBatch, OrderedMessage } from '../model/effect.ts'
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
  readonly #outbox: Outbox
  #epoch: Epoch
  /** Positions below this one are the application's. */
  #applied: number
  /** Positions below this one are not emitted. */
  readonly #emitFrom: number
  #unapplied: Unapplied[] = []
  #unappliedBytes = 0

  constructor(
    epoch: Epoch,
    cryptography: Cryptography,
    outbox: Outbox,
    { applied, emitFrom = applied }: { readonly applied: number; readonly emitFrom?: number | undefined },
  ) {
    this.#epoch = epoch
    this.#outbox = outbox
    this.#applied = applied
    this.#emitFrom = Math.min(emitFrom, applied)
    this.positions = new Positions(epoch)
    this.tree = new LogTree((bytes) => cryptography.sha256(bytes))
  }

  /** The next position. */
  get next(): number {
    return this.positions.next
  }

  /** Positions below this one are the application's. */
  get appliedPosition(): number {
    return this.#applied
  }

  get unappliedBytes(): number {
    return this.#unappliedBytes
  }

  /** For the engine's snapshot. */
  write(writer: Writer): void {
    this.positions.write(writer)
    this.tree.write(writer)
    writer.u32(this.linearised)
  }

  /** What was written, in place of all there is. */
  read(reader: Reader): void {
    this.positions.read(reader)
    this.tree.read(reader)
    this.linearised = reader.u32()
  }

  /** The application was given a snapshot of everything below this position. */
  installed(position: number): void {
    this.#unapplied = []
    this.#unappliedBytes = 0
    this.#applied = position
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
    const frontier = this.tree.frontier()
    const nodes = this.tree.append(leafBytes(leaf))
    if (this.next > this.#emitFrom) this.#handOut(block, messages, { leaf, leafIndex, frontier, nodes }, at)
    this.linearised = 0
    return messages
  }

  #handOut(
    block: Block,
    messages: readonly OrderedMessage[],
    place: Pick<OrderedBatch, 'leaf' | 'leafIndex' | 'frontier' | 'nodes'>,
    at: { step: number; jailed: number },
  ): void {
    const { step, jailed } = at
    const { linearised } = this
    if (this.next > this.#applied) {
      this.#unapplied.push({ end: this.next, bytes: block.body.length })
      this.#unappliedBytes += block.body.length
    }
    this.#outbox.emit({ epoch: this.#epoch.number, step, unit: block, ...place, linearised, jailed, messages })
  }
}
