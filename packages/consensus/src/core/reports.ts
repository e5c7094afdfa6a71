/**
 * The report queue (consensus.md sections 5 and 6): units in the order in which they were received, each with its time, until
 * an own block says so. The order of this queue is what fairness is about: nothing is reported ahead of what came before it.
 *
 * The first version of an (author, round) is reported on arrival; another one only when enough others stand for it, since a
 * split fork could otherwise hold up the order of everybody's units.
 */
import { authorCount } from '../graph/vertex.ts'
import type { Epoch } from '../model/epoch.ts'
import type { BlockTable, Known } from './block-table.ts'
import type { Clock } from './clock.ts'
import type { EpochContext } from './context.ts'

export interface QueuedReport {
  readonly known: Known
  readonly recvUs: number
}

export class Reports {
  readonly #epoch: Epoch
  readonly #self: number
  readonly #table: BlockTable
  readonly #clock: Clock
  #queue: QueuedReport[] = []
  /** Reports in own blocks that no step has included yet, by round of the block. */
  readonly #inBlocks = new Map<number, readonly QueuedReport[]>()
  /** Reports queued again because their block was collected, in all. */
  late = 0

  constructor({ epoch, self, clock }: EpochContext, table: BlockTable) {
    this.#epoch = epoch
    this.#self = self
    this.#clock = clock
    this.#table = table
  }

  get length(): number {
    return this.#queue.length
  }

  /** A unit of a peer is here. `arrivalUs`: when its last byte came, wall clock. */
  received(known: Known, arrivalUs: number): void {
    if (!this.#isReportable(known)) return
    if (known.first || this.#hasWitnesses(known)) this.#append(known, arrivalUs)
  }

  /** A block that came reports a unit; `held` units that were not the first version may be reported now. */
  witnessed(known: Known, nowUs: number): void {
    if (known.held && this.#isReportable(known) && this.#hasWitnesses(known)) this.#append(known, nowUs)
  }

  /** Takes the reports for an own block of `round`, at most `max`. What left the window is dropped. */
  take(round: number, max: number): readonly QueuedReport[] {
    const { reportAgeRounds, reportAheadRounds } = this.#epoch.constants
    const taken: QueuedReport[] = []
    const kept: QueuedReport[] = []
    for (const report of this.#queue) {
      const { known } = report
      if (known.settled) continue
      if (known.round < round - reportAgeRounds) {
        // Nobody waits for this node's report; if enough others made theirs the unit has its place all the same.
        this.#table.settle(known)
      } else if (taken.length < max && known.round <= round + reportAheadRounds) {
        known.report = 'made'
        taken.push(report)
      } else kept.push(report)
    }
    this.#queue = kept
    if (taken.length > 0) this.#inBlocks.set(round, taken)
    return taken
  }

  /** An own block of before a restart reports this. */
  restore(round: number, reports: readonly QueuedReport[]): void {
    for (const { known } of reports) {
      if (known.report === 'none' && !known.settled) {
        known.report = 'made'
        this.#table.opened(known)
      }
      known.report = 'made'
    }
    if (reports.length > 0) this.#inBlocks.set(round, reports)
    const made = new Set(reports.map((report) => report.known))
    this.#queue = this.#queue.filter((report) => !made.has(report.known))
  }

  /** All blocks of the log were told: what none of the own ones reports came in the order of arrival, and counts from now on. */
  resume(): void {
    const queue = this.#queue.sort((one, other) => one.known.arrivalUs - other.known.arrivalUs)
    this.#queue = queue.map(({ known }) => ({ known, recvUs: this.#clock.stamp(known.arrivalUs) }))
  }

  /** The own block of this round is part of the order. */
  included(round: number): void {
    this.#inBlocks.delete(round)
  }

  /** The own block of this round was collected and no step included it: its reports are made again. */
  lost(round: number): void {
    const reports = this.#inBlocks.get(round)
    if (reports === undefined) return
    this.#inBlocks.delete(round)
    const again = reports.filter(({ known }) => !known.settled)
    for (const { known } of again) known.report = 'queued'
    this.late += again.length
    this.#queue = [...again, ...this.#queue].sort((one, other) => one.recvUs - other.recvUs)
  }

  #append(known: Known, arrivalUs: number): void {
    known.report = 'queued'
    this.#table.opened(known)
    this.#queue.push({ known, recvUs: this.#clock.stamp(arrivalUs) })
  }

  /** Own units are not reported, also those that this node forgot it made. */
  #isReportable(known: Known): boolean {
    return known.author !== this.#self && known.report === 'none' && !known.settled
  }

  /** Its author and those whose blocks report it are at least w. */
  #hasWitnesses(known: Known): boolean {
    return authorCount(known.reporters | (1 << known.author)) >= this.#epoch.w
  }
}
