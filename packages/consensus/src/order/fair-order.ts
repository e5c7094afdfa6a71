/**
 * The fair order (consensus.md section 8): turns the agreed reports of who received which unit when into one order of units,
 * in which no unit comes before another that every correct node received earlier (F1), and in which times decide inside a
 * cycle (F2). No clock, no author's place in the graph and no position in a block decides anything here.
 *
 *     evidence(block, r) for every linearised block of step r ─▶ step(r) ─▶ units that have their place now
 *
 * A unit becomes solid once a quorum reported it. What stands before it in all but f of its reporters' lists must be emitted
 * first, and this set is frozen then. Deliberately absent: bodies (the caller holds output back until they are here), messages
 * and their positions (`positions.ts`).
 */
import { sortFew } from '../bytes/order.ts'
import type { Reader } from '../bytes/reader.ts'
import type { Writer } from '../bytes/writer.ts'
import type { Block, BlockName } from '../model/block.ts'
import type { Epoch } from '../model/epoch.ts'
import { emissionOrder } from './emission-order.ts'
import { encodeRound, readUnits, writeUnits } from './fair-order-snapshot.ts'
import { popcount } from './popcount.ts'
import { Predecessors } from './predecessors.ts'
import { compareNames, type Unit } from './unit.ts'
import { UnitTable } from './unit-table.ts'

/** A unit that has its place, in the order of the log. */
export interface Emission extends BlockName {
  /** Consensus time (8.5), µs: never less than that of the unit before. */
  readonly consensusUs: number
  /** Another version of the same (author, round) has its place already, so no message of this one gets a position (8.6). */
  readonly superseded: boolean
}

export interface FairStep {
  readonly emissions: readonly Emission[]
  /** How many of them were emitted ahead of a unit that should have come first, since patience ended (8.3); 0 when all is well. */
  readonly cuts: number
}

/**
 * What became of a unit: `open`, it may still get a place; `emitted`; or `gone`: void, or emitted so long ago that its name is
 * forgotten (its round is H or more below the last step).
 */
export type UnitFate = 'open' | 'emitted' | 'gone'

/** So many rounds behind the step most units are emitted, and what a snapshot says of them is made ready. */
const ENCODED_BEHIND = 32

export class FairOrder {
  readonly #epoch: Epoch
  readonly #table: UnitTable
  /** Largest reception time of each author's list so far: times never decrease along a list. */
  readonly #lastUs: Float64Array<ArrayBuffer>
  /** Reported by a witness set and neither emitted nor void: only these can come before anything. */
  #candidates: Unit[] = []
  /** Reported by a quorum since the last step. */
  #fresh: Unit[] = []
  /** Solid and not emitted. */
  #waiting: Unit[] = []
  #jailed = 0
  /** Authors whose units are still to be swept out. */
  #swept = 0
  #step = 0
  #consensusUs: number

  /** At the begin of an epoch; time goes on from `consensusUs`. */
  constructor(epoch: Epoch, consensusUs: number) {
    this.#epoch = epoch
    this.#table = new UnitTable(epoch.n, epoch.constants.voidRounds + epoch.constants.reportAheadRounds + 1)
    this.#lastUs = new Float64Array(epoch.n)
    this.#consensusUs = consensusUs
  }

  /** Consensus time of the last unit emitted, µs. */
  get consensusUs(): number {
    return this.#consensusUs
  }

  /** Bit i: author i is jailed. */
  get jailed(): number {
    return this.#jailed
  }

  /**
   * The reports of a linearised block, then the block itself if it is a unit (8.2). To be called for every block of step
   * `step`, in the order of linearisation, before `step(step)`.
   */
  evidence(block: Block, step: number): void {
    const reporter = block.author
    if (((this.#jailed >>> reporter) & 1) === 1) return
    for (const reference of block.references) {
      // Reports stand first in the table.
      if (!reference.report) break
      this.#add(reference, reference.recvUs, reporter, step)
    }
    if (block.messageCount > 0) this.#add(block, block.tsUs, reporter, step)
  }

  /** The author equivocated: its reports count no more, and its units that are not solid by the next step are void. */
  jail(author: number): void {
    this.#jailed |= 1 << author
  }

  /** Every block of this step was given: what has its place now (8.3). Steps are 1, 2, 3, … */
  step(step: number): FairStep {
    this.#step = step
    this.#solidify(step)
    this.#expire(step - this.#epoch.constants.voidRounds)
    this.#sweep(step)
    encodeRound(this.#table, Math.max(1, step - ENCODED_BEHIND))
    if (this.#waiting.length === 0) return { emissions: [], cuts: 0 }
    const { units, cuts } = emissionOrder(this.#waiting, step, this.#epoch.constants.patienceSteps)
    if (units.length === 0) return { emissions: [], cuts }
    const emissions = units.map((unit) => this.#emit(unit))
    this.#waiting = this.#waiting.filter((unit) => unit.state === 'solid')
    this.#candidates = this.#candidates.filter(waits)
    return { emissions, cuts }
  }

  /** What became of a unit by the last step. */
  fate(name: BlockName): UnitFate {
    if (name.round <= this.#step - this.#epoch.constants.voidRounds) {
      const waiting = this.#waiting.some((unit) => compareNames(unit, name) === 0)
      return waiting ? 'open' : 'gone'
    }
    const unit = this.#table.find(name.author, name.round, name.digest)
    if (unit !== undefined) return unit.state === 'emitted' ? 'emitted' : 'open'
    return ((this.#jailed >>> name.author) & 1) === 1 ? 'gone' : 'open'
  }

  /** For the engine's snapshot (section 11): equal bytes on all nodes behind one step. Not to be called within a step. */
  write(writer: Writer): void {
    writer.u64(this.#step)
    writer.u64(this.#consensusUs)
    writer.u32(this.#jailed)
    for (const lastUs of this.#lastUs) writer.u64(lastUs)
    const { n, w, constants } = this.#epoch
    const below = this.#step - constants.voidRounds
    writeUnits(writer, { table: this.#table, waiting: this.#waiting, below, n, w })
  }

  /** What was written, put into an order that knows nothing yet; `reader.problem` says if it was something else. */
  read(reader: Reader): void {
    const { n, w, constants } = this.#epoch
    this.#step = reader.u64()
    this.#consensusUs = reader.u64()
    this.#jailed = reader.u32()
    // Whoever was jailed after the last step is still to be swept; sweeping the others again finds nothing.
    this.#swept = 0
    for (let author = 0; author < n; author++) this.#lastUs[author] = reader.u64()
    const alive = readUnits(reader, this.#table, n, w, this.#step - constants.voidRounds + 1)
    this.#candidates = alive.filter((unit) => popcount(unit.reporters) >= w)
    this.#waiting = alive.filter((unit) => unit.state === 'solid')
  }

  #add(name: BlockName, timeUs: number, reporter: number, step: number): void {
    const { n, q, w, constants } = this.#epoch
    if (name.round <= step - constants.voidRounds) return
    let unit = this.#table.find(name.author, name.round, name.digest)
    if (unit === undefined) {
      if (((this.#jailed >>> name.author) & 1) === 1) return
      if (this.#table.versionsBy(reporter, name.author, name.round) >= n) return
      unit = this.#table.add(name)
    } else {
      if (unit.state === 'emitted' || ((unit.reporters >>> reporter) & 1) === 1) return
      if (this.#table.versionsBy(reporter, name.author, name.round) >= n) return
    }
    const time = Math.max(timeUs, this.#lastUs[reporter] as number)
    this.#lastUs[reporter] = time
    this.#table.report(unit, reporter, time)
    const count = popcount(unit.reporters)
    if (count === w) this.#candidates.push(unit)
    if (count === q) this.#fresh.push(unit)
  }

  /** What a quorum reported by now is solid; all of them against the same lists, before anything is emitted. */
  #solidify(step: number): void {
    if (this.#fresh.length === 0) return
    const candidates = this.#candidates.slice()
    const reporters = new Int32Array(candidates.length)
    for (let i = 0; i < candidates.length; i++) reporters[i] = (candidates[i] as Unit).reporters
    for (const unit of this.#fresh) {
      unit.before = this.#predecessors(unit, candidates, reporters)
      unit.keyUs = this.#key(unit)
    }
    for (const unit of this.#fresh) {
      unit.state = 'solid'
      unit.solidStep = step
      this.#waiting.push(unit)
    }
    this.#fresh = []
  }

  /** `reporters` are those of the candidates: one array, since every pair of a step is looked at. */
  #predecessors(unit: Unit, candidates: readonly Unit[], reporters: Int32Array): Predecessors<Unit> {
    const before = new Predecessors(candidates)
    const needed = popcount(unit.reporters) - this.#epoch.f
    for (let i = 0; i < candidates.length; i++) {
      const shared = (reporters[i] as number) & unit.reporters
      if (popcount(shared) < needed) continue
      // A unit does not stand before itself.
      if (this.#table.listsWithBefore(candidates[i] as Unit, unit, shared) >= needed) before.add(i)
    }
    return before
  }

  /** The lower median of its reception times: at most f of them are false, so it lies between two true ones. */
  #key(unit: Unit): number {
    const times: number[] = []
    for (let reporter = 0; reporter < this.#epoch.n; reporter++) {
      if (((unit.reporters >>> reporter) & 1) === 1) times.push(this.#table.timeOf(unit, reporter))
    }
    sortFew(times, ascending)
    return times[(times.length - 1) >>> 1] as number
  }

  #expire(round: number): void {
    if (round < 1) return
    let voided = false
    this.#table.expire(round, (unit) => {
      if (unit.state !== 'open') return
      this.#void(unit)
      voided = true
    })
    if (voided) this.#candidates = this.#candidates.filter(waits)
  }

  /** Void what jailed authors have that is not solid. Nothing new of theirs is added later. */
  #sweep(step: number): void {
    if (this.#swept === this.#jailed) return
    const { n, constants } = this.#epoch
    for (let author = 0; author < n; author++) {
      if ((((this.#jailed & ~this.#swept) >>> author) & 1) === 0) continue
      const oldest = Math.max(step - constants.voidRounds + 1, 1)
      for (let round = oldest; round <= step + constants.reportAheadRounds; round++) {
        this.#table.drop(author, round, (unit) => {
          if (unit.state !== 'open') return false
          this.#void(unit)
          return true
        })
      }
    }
    this.#swept = this.#jailed
    this.#candidates = this.#candidates.filter(waits)
  }

  #void(unit: Unit): void {
    unit.state = 'void'
    this.#table.release(unit)
  }

  #emit(unit: Unit): Emission {
    this.#consensusUs = Math.max(unit.keyUs, this.#consensusUs)
    unit.state = 'emitted'
    this.#table.release(unit)
    this.#supersede(unit)
    const { author, round, digest, superseded } = unit
    return { author, round, digest, consensusUs: this.#consensusUs, superseded }
  }

  /** No other version of this unit gets positions from now on. */
  #supersede(emitted: Unit): void {
    const expired = emitted.round <= this.#step - this.#epoch.constants.voidRounds
    if (expired) {
      for (const unit of this.#waiting) if (isVersion(unit, emitted)) unit.superseded = true
    } else {
      let unit = this.#table.first(emitted.author, emitted.round)
      for (; unit !== undefined; unit = unit.next) if (unit !== emitted) unit.superseded = true
    }
  }
}

function ascending(a: number, b: number): number {
  return a - b
}

function waits(unit: Unit): boolean {
  return unit.state === 'open' || unit.state === 'solid'
}

function isVersion(a: Unit, b: Unit): boolean {
  return a !== b && a.author === b.author && a.round === b.round
}
