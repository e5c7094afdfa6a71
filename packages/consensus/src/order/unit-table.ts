/**
 * All units that can still be reported or wait for a place, and the names of those emitted within the last H rounds.
 *
 *     ring of rounds    (round mod size, author) ─▶ unit ─▶ another version ─▶ …
 *     row of a unit     times [n]   places [n]      by reporter
 *
 * A unit is found by its (author, round), then by its digest along the versions. A reporter counts for at most n versions of
 * one (author, round), since whoever lies may name as many as it likes and every search walks them; correct nodes together
 * never report more than n (a version that nobody correct received first has no witness set, section 6), see
 * docs/internals/consensus.md.
 *
 * `list[i]` of section 8 is kept as the place of each unit in it, ascending over all lists; "not in the list" is no place.
 */
import { EncodedRounds } from '../bytes/encoded-rounds.ts'
import type { BlockName } from '../model/block.ts'
import { compareDigests, type Unit } from './unit.ts'

const ROWS_MIN = 256
/** What a snapshot says of a unit: author, round, digest, state, superseded. */
export const UNIT_BYTES = 1 + 8 + 32 + 1 + 1

export class UnitTable {
  /** What snapshots say of rounds all of whose units are emitted. */
  readonly encoded: EncodedRounds
  /** No unit is of a higher round. */
  roundMax = 0
  readonly #n: number
  readonly #rounds: number
  readonly #ring: (Unit | undefined)[]
  #times: Float64Array<ArrayBuffer>
  #places: Float64Array<ArrayBuffer>
  #rows = 0
  readonly #free: number[] = []
  #nextPlace = 1

  /** For rounds of which at most `span` are looked at together. */
  constructor(n: number, span: number) {
    this.#n = n
    this.#rounds = 1 << (32 - Math.clz32(span))
    this.encoded = new EncodedRounds(span, n * UNIT_BYTES)
    this.#ring = new Array<Unit | undefined>(this.#rounds * n).fill(undefined)
    this.#times = new Float64Array(ROWS_MIN * n)
    this.#places = new Float64Array(ROWS_MIN * n)
  }

  /** The first version of (author, round); the others hang on its `next`. */
  first(author: number, round: number): Unit | undefined {
    return this.#ring[(round & (this.#rounds - 1)) * this.#n + author]
  }

  find(author: number, round: number, digest: Uint8Array): Unit | undefined {
    let unit = this.first(author, round)
    while (unit !== undefined && compareDigests(unit.digest, digest) !== 0) unit = unit.next
    return unit
  }

  /** How many versions of (author, round) that wait for a place this reporter named. */
  versionsBy(reporter: number, author: number, round: number): number {
    let count = 0
    for (let unit = this.first(author, round); unit !== undefined; unit = unit.next) {
      if (unit.row !== -1 && ((unit.reporters >>> reporter) & 1) === 1) count++
    }
    return count
  }

  /** The units of a round that can be found, in no order. */
  ofRound(round: number): Unit[] {
    const units: Unit[] = []
    for (let author = 0; author < this.#n; author++) {
      for (let unit = this.first(author, round); unit !== undefined; unit = unit.next) units.push(unit)
    }
    return units
  }

  /**
   * A new unit that nobody reported yet. The digest is copied: what it is part of may be large. Not `linked`, it cannot be found:
   * its round has expired.
   */
  add(name: BlockName, { linked }: { readonly linked: boolean } = { linked: true }): Unit {
    const at = (name.round & (this.#rounds - 1)) * this.#n + name.author
    const head = this.#ring[at]
    const unit: Unit = {
      author: name.author,
      round: name.round,
      digest: new Uint8Array(name.digest),
      state: 'open',
      reporters: 0,
      row: this.#takeRow(),
      keyUs: 0,
      solidStep: 0,
      before: undefined,
      superseded: false,
      next: linked ? head : undefined,
      mark: -1,
    }
    if (!linked) return unit
    this.encoded.forget(name.round)
    this.roundMax = Math.max(this.roundMax, name.round)
    for (let other = head; other !== undefined; other = other.next) {
      if (other.state === 'emitted') unit.superseded = true
    }
    this.#ring[at] = unit
    return unit
  }

  /** Append to the reporter's list. */
  report(unit: Unit, reporter: number, timeUs: number): void {
    unit.reporters |= 1 << reporter
    this.#times[unit.row * this.#n + reporter] = timeUs
    this.#places[unit.row * this.#n + reporter] = this.#nextPlace++
  }

  timeOf(unit: Unit, reporter: number): number {
    return this.#times[unit.row * this.#n + reporter] as number
  }

  placeOf(unit: Unit, reporter: number): number {
    return this.#places[unit.row * this.#n + reporter] as number
  }

  /**
   * In how many lists of `reporters`, whose bits both units have, `a` stands before `b`.
   */
  listsWithBefore(a: Unit, b: Unit, reporters: number): number {
    const places = this.#places
    const rowA = a.row * this.#n
    const rowB = b.row * this.#n
    let count = 0
    for (let rest = reporters; rest !== 0; rest &= rest - 1) {
      const reporter = 31 - Math.clz32(rest & -rest)
      if ((places[rowA + reporter] as number) < (places[rowB + reporter] as number)) count++
    }
    return count
  }

  /** Its times and places are needed no more. */
  release(unit: Unit): void {
    this.#free.push(unit.row)
    unit.row = -1
    unit.before = undefined
  }

  /** Forget the names of a round; hands out each unit that was there, by author, then newest version first. */
  expire(round: number, seen: (unit: Unit) => void): void {
    const row = (round & (this.#rounds - 1)) * this.#n
    for (let author = 0; author < this.#n; author++) {
      for (let unit = this.#ring[row + author]; unit !== undefined; unit = unit.next) seen(unit)
      this.#ring[row + author] = undefined
    }
  }

  /** Forget the versions of an author in one round for which `gone` says so. */
  drop(author: number, round: number, gone: (unit: Unit) => boolean): void {
    const at = (round & (this.#rounds - 1)) * this.#n + author
    this.encoded.forget(round)
    const kept: Unit[] = []
    for (let unit = this.#ring[at]; unit !== undefined; unit = unit.next) if (!gone(unit)) kept.push(unit)
    this.#ring[at] = undefined
    for (const unit of kept.reverse()) {
      unit.next = this.#ring[at]
      this.#ring[at] = unit
    }
  }

  #takeRow(): number {
    const row = this.#free.pop()
    if (row !== undefined) return row
    if (this.#rows * this.#n === this.#times.length) {
      this.#times = doubled(this.#times)
      this.#places = doubled(this.#places)
    }
    return this.#rows++
  }
}

function doubled(values: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer> {
  const more = new Float64Array(values.length * 2)
  more.set(values)
  return more
}
