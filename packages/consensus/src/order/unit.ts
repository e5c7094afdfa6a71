/**
 * A unit as the fair order sees it: who reported it, in which place of its own order, and what was frozen when it became solid.
 * Reception times and places lie in slabs of the table (`unit-table.ts`); a unit keeps the number of its row there.
 */
import type { BlockName } from '../model/block.ts'
import type { Predecessors } from './predecessors.ts'

/**
 * `open`: not solid yet. `solid`: reported by a quorum, waits for its place. `emitted`: has its place. `void`: never gets one.
 */
export type UnitState = 'open' | 'solid' | 'emitted' | 'void'

export interface Unit extends BlockName {
  state: UnitState
  /** Bit i: author i reported it. */
  reporters: number
  /** Row of its times and places; -1 once it is emitted or void. */
  row: number
  /** Lower median of the reception times at solidification, µs; 0 before. */
  keyUs: number
  /** Step in which it became solid. */
  solidStep: number
  /** What must come before it, frozen at solidification. */
  before: Predecessors<Unit> | undefined
  /** Whether another version of the same (author, round) has its place already. */
  superseded: boolean
  /** The next version of the same (author, round). */
  next: Unit | undefined
  /** Its index among the units that wait, while an emission is worked out. */
  mark: number
}

/** Ascending by (round, author, digest): the order in which section 8 iterates over units. */
export function compareNames(a: BlockName, b: BlockName): number {
  if (a.round !== b.round) return a.round - b.round
  if (a.author !== b.author) return a.author - b.author
  return compareDigests(a.digest, b.digest)
}

/** Ascending by (key, digest): the order of time. */
export function compareKeys(a: Unit, b: Unit): number {
  if (a.keyUs !== b.keyUs) return a.keyUs - b.keyUs
  return compareDigests(a.digest, b.digest)
}

/** Bytewise, of two digests of 32 bytes. */
export function compareDigests(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < 32; i++) {
    const difference = (a[i] as number) - (b[i] as number)
    if (difference !== 0) return difference
  }
  return 0
}
