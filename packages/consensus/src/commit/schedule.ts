/**
 * Who has slots (consensus.md section 7): all but at most f, namely the jailed, and of the others those whose blocks found too few
 * voters in the last window, worst first. A demoted author loses no message by that; its blocks are linearised as parents.
 */

import type { Reader } from '../bytes/reader.ts'
import type { Writer } from '../bytes/writer.ts'
import { authorCount } from '../graph/vertex.ts'
import type { Epoch } from '../model/epoch.ts'

export class Schedule {
  /** Masks of authors. */
  active: number
  jailed = 0
  /** Authors whose last window was bad, worst first; as many as leave f to remove are demoted. */
  slow: readonly number[] = []
  readonly #epoch: Epoch

  constructor(epoch: Epoch) {
    this.#epoch = epoch
    this.active = 2 ** epoch.n - 1
  }

  /** Masked out for slowness. */
  get demoted(): number {
    return (2 ** this.#epoch.n - 1) & ~this.active & ~this.jailed
  }

  /** More have lied than the fault model allows. */
  get broken(): boolean {
    return authorCount(this.jailed) > this.#epoch.f
  }

  /** `good`: per author, rounds of the window in which its block found a quorum of voters. */
  judge(good: readonly number[]): void {
    const { goodRoundsMin } = this.#epoch.constants
    const slow = good.flatMap((rounds, author) => (rounds < goodRoundsMin ? [author] : []))
    this.slow = slow.sort((a, b) => (good[a] as number) - (good[b] as number) || a - b)
  }

  /** Whether other authors are active than before. */
  update(): boolean {
    const before = this.active
    let room = this.#epoch.f - authorCount(this.jailed)
    this.active = (2 ** this.#epoch.n - 1) & ~this.jailed
    for (const author of this.slow) {
      if (room <= 0) break
      if ((this.jailed & (1 << author)) !== 0) continue
      this.active &= ~(1 << author)
      room--
    }
    return this.active !== before
  }

  write(writer: Writer): void {
    writer.u32(this.jailed)
    writer.u8(this.slow.length)
    for (const author of this.slow) writer.u8(author)
  }

  read(reader: Reader): void {
    const everyone = 2 ** this.#epoch.n - 1
    const jailed = reader.u32()
    if ((jailed & ~everyone) !== 0) reader.fail('jailed author is not in the book')
    const slow = Array.from({ length: reader.u8() }, () => reader.u8())
    if (slow.some((author) => author >= this.#epoch.n) || new Set(slow).size < slow.length) {
      reader.fail('slow author is unknown or named twice')
    }
    this.jailed = jailed & everyone
    this.slow = slow
    this.update()
  }
}
