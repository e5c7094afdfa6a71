/**
 * F1 and F2 of section 8.4, from what really arrived where and when, which no node knows and the simulator does.
 *
 *   F1  all correct nodes received b before a  ⇒  a is not before b in the log, except inside one cycle of majorities
 *   F2  all correct clocks showed less when b came than any showed when a came  ⇒  b is before a, always
 *
 * Left out, since the premise cannot be known: second versions of a forked block, units that came too far ahead to be reported at
 * once or whose signature was being checked while the node made a unit of its own, and what a node had received and not seen
 * ordered when it crashed. Pairs are compared within a window of the log.
 */
import type { Block } from '../../../../packages/consensus/src/model/block.ts'
import { digestKey, slotKey } from './keys.ts'
import { violated } from './violation.ts'

interface UnitRecord {
  readonly block: Block
  /** By node: the how-manieth arrival at that node; 0: none yet. */
  readonly order: Float64Array
  /** By node: its clock at the arrival, µs. */
  readonly clock: Float64Array
  /** By node: 1 if the arrival says nothing of what the node reports. */
  readonly unclear: Uint8Array
  emitted: boolean
}

interface EmittedUnit {
  readonly unit: UnitRecord
  readonly step: number
  readonly consensusUs: number
}

/** Emitted units on both sides of which a unit is compared. */
const windowUnits = 60
/** What the engine's clock may be ahead of the wall clock's highest reading, µs: one per reading without progress. */
const clockSlackUs = 5_000

export interface FairnessFigures {
  readonly pairs: number
  /** Pairs turned round inside a cycle: allowed, and few. */
  readonly turnedInCycles: number
}

export class Fairness {
  readonly #n: number
  readonly #correct: readonly number[]
  readonly #units = new Map<number, UnitRecord>()
  /** First version of each (author, round) at a node. */
  readonly #first: Map<number, UnitRecord>[]
  readonly #arrivals: Float64Array
  /** By node: arrived, and not sure to be in its report queue. */
  readonly #unchecked: UnitRecord[][]
  readonly #clocks: Float64Array
  /** Units in the order of the log, with their steps. */
  readonly #emitted: EmittedUnit[] = []

  constructor(n: number, correct: readonly number[]) {
    this.#n = n
    this.#correct = correct
    this.#first = Array.from({ length: n }, () => new Map())
    this.#arrivals = new Float64Array(n)
    this.#unchecked = Array.from({ length: n }, () => [])
    this.#clocks = new Float64Array(n)
  }

  /** A unit arrived at a node, or was made there. `ahead`: too far for a report at once. */
  arrived(node: number, block: Block, clockUs: number, { ahead }: { readonly ahead: boolean }): void {
    const unit = this.#unitOf(block)
    if (unit.order[node] !== 0) return
    const order = (this.#arrivals[node] as number) + 1
    const clock = Math.max(clockUs, (this.#clocks[node] as number) + 1)
    this.#arrivals[node] = order
    this.#clocks[node] = clock
    unit.order[node] = order
    unit.clock[node] = clock
    const slot = slotKey(block.epoch, block.round, block.author)
    const first = this.#first[node]?.get(slot)
    if (first === undefined) this.#first[node]?.set(slot, unit)
    if (first !== undefined || ahead) unit.unclear[node] = 1
    if (block.author !== node) this.#unchecked[node]?.push(unit)
  }

  /** What arrived is in the node's report queue now, if its signature is good. */
  checked(node: number): void {
    this.#unchecked[node] = []
  }

  /** The node made a unit, which stands before what was being checked meanwhile, or behind it. */
  made(node: number): void {
    for (const unit of this.#unchecked[node] as UnitRecord[]) unit.unclear[node] = 1
    this.#unchecked[node] = []
  }

  emitted(block: Block, step: number, consensusUs: number): void {
    const unit = this.#unitOf(block)
    if (unit.emitted) return
    unit.emitted = true
    this.#emitted.push({ unit, step, consensusUs })
  }

  /** What the node had received is not sure to be in its reports. */
  crashed(node: number): void {
    for (const unit of this.#units.values()) if (!unit.emitted && unit.order[node] !== 0) unit.unclear[node] = 1
  }

  /**
   * Compares all pairs; at the end, since a premise may come true late. Where clocks jump, what an engine makes of its clock is
   * not known here, and times are left alone.
   */
  check(f: number, { clocksJump }: { readonly clocksJump: boolean }): FairnessFigures {
    let pairs = 0
    let turnedInCycles = 0
    if (!clocksJump) this.#checkTimes()
    // Most pairs came in the order of the log at the first node already.
    const [node = 0] = this.#correct
    const orders = Float64Array.from(this.#emitted, ({ unit }) => unit.order[node] as number)
    for (let later = 0; later < this.#emitted.length; later++) {
      const b = this.#emitted[later] as EmittedUnit
      const first = Math.max(0, later - windowUnits)
      pairs += later - first
      for (let earlier = first; earlier < later; earlier++) {
        if ((orders[earlier] as number) < (orders[later] as number)) continue
        const a = this.#emitted[earlier] as EmittedUnit
        if (!this.#cameFirstEverywhere(b.unit, a.unit)) continue
        const names = `${nameOf(b.unit.block)} came before ${nameOf(a.unit.block)} at all correct nodes, and is behind it in the log`
        if (!clocksJump && this.#wasEarlierEverywhere(b.unit, a.unit)) violated(`F2: ${names}, with clocks to show it`)
        if (a.step !== b.step || !this.#areInCycle(earlier, later, f)) violated(`F1: ${names}`)
        turnedInCycles++
      }
    }
    return { pairs, turnedInCycles }
  }

  /**
   * The time of a unit lies between what two correct clocks showed at its arrival, unless the unit before it was later. That may be
   * one of a liar whose messages had their places already: it leaves nothing but its time in the log.
   */
  #checkTimes(): void {
    const silent = [...this.#units.values()].filter(
      ({ block, emitted }) => !emitted && !this.#correct.includes(block.author),
    )
    const isOfSilent = (us: number): boolean =>
      silent.some(({ clock }) => {
        const clocks = this.#correct.map((node) => clock[node] as number).filter((shown) => shown !== 0)
        return us >= Math.min(...clocks) - clockSlackUs && us <= Math.max(...clocks) + clockSlackUs
      })
    let beforeUs = 0
    for (const { unit, consensusUs } of this.#emitted) {
      const correct = this.#correct.filter((node) => unit.order[node] !== 0)
      const isClear = correct.length > 0 && correct.every((node) => unit.unclear[node] === 0)
      const clocks = correct.map((node) => unit.clock[node] as number)
      const isLow = consensusUs < Math.min(...clocks) - clockSlackUs
      const isHigh = consensusUs > Math.max(beforeUs, ...clocks) + clockSlackUs
      if (isClear && (isLow || (isHigh && !isOfSilent(consensusUs)))) {
        violated(`Time of ${nameOf(unit.block)} is ${consensusUs}, no correct clock's; they showed ${clocks.join(' ')}`)
      }
      beforeUs = consensusUs
    }
  }

  #cameFirstEverywhere(b: UnitRecord, a: UnitRecord): boolean {
    for (const node of this.#correct) {
      const orderA = a.order[node] as number
      const orderB = b.order[node] as number
      if (orderA === 0 || orderB === 0 || orderB > orderA) return false
      if (a.unclear[node] === 1 || b.unclear[node] === 1) return false
    }
    return true
  }

  #wasEarlierEverywhere(b: UnitRecord, a: UnitRecord): boolean {
    let latestB = 0
    let earliestA = Number.POSITIVE_INFINITY
    for (const node of this.#correct) {
      latestB = Math.max(latestB, b.clock[node] as number)
      earliestA = Math.min(earliestA, a.clock[node] as number)
    }
    return latestB + clockSlackUs < earliestA
  }

  /**
   * Whether units of this step lead from the earlier to the later one, each seen before the next by enough correct nodes that a
   * quorum of reporters can have agreed on it. Necessary for a cycle, not sufficient: what is exact is compared with the oracle.
   */
  #areInCycle(earlier: number, later: number, f: number): boolean {
    const { step } = this.#emitted[earlier] as EmittedUnit
    let from = earlier
    let to = later
    while (this.#emitted[from - 1]?.step === step) from--
    while (this.#emitted[to + 1]?.step === step) to++
    const reached = new Set([earlier])
    for (const at of reached) {
      for (let next = from; next <= to; next++)
        if (!reached.has(next) && this.#mayPrecede(at, next, f)) reached.add(next)
    }
    return reached.has(later)
  }

  #mayPrecede(one: number, other: number, f: number): boolean {
    const a = (this.#emitted[one] as EmittedUnit).unit
    const b = (this.#emitted[other] as EmittedUnit).unit
    let supporters = 0
    for (const node of this.#correct) {
      const orderA = a.order[node] as number
      const orderB = b.order[node] as number
      const unclear = a.unclear[node] === 1 || b.unclear[node] === 1
      if (unclear || (orderA !== 0 && (orderB === 0 || orderA < orderB))) supporters++
    }
    return supporters >= this.#n - 3 * f
  }

  #unitOf(block: Block): UnitRecord {
    const key = digestKey(block.digest)
    let unit = this.#units.get(key)
    if (unit === undefined) {
      const n = this.#n
      unit = {
        block,
        order: new Float64Array(n),
        clock: new Float64Array(n),
        unclear: new Uint8Array(n),
        emitted: false,
      }
      this.#units.set(key, unit)
    }
    return unit
  }
}

function nameOf({ author, round }: Block): string {
  return `unit ${author}/${round}`
}
