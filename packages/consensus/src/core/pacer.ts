/**
 * How often a node makes blocks, and how long it waits for slow peers (consensus.md section 5, pacing and lead). A token bucket
 * of CPU time makes a loaded node batch, while a cold message runs at network speed; the floor keeps rounds slow enough for the
 * farthest peer to get its units reported in time.
 *
 * Local only: nothing here decides what is ordered.
 */
import type { Tunables } from './tunables.ts'

const MICROSECONDS = 1_000_000
/** A peer that answers later than this does not slow the others any further, µs. */
const RTT_US_MAX = 2_000_000
/** Depth up to which the order keeps up; beyond it the lead doubles by each round. */
const DEPTH_USUAL = 5
const DOUBLINGS_MAX = 10
/** Weight of the newest round in the usual duration: 1 / 8. */
const SMOOTHING = 8

export class Pacer {
  readonly #tunables: Tunables
  readonly #reportAgeRounds: number
  #levelUs: number
  #filledAtUs = 0
  #madeAtUs = 0
  #roundUs = 0
  #rttUsMax = 0

  constructor(tunables: Tunables, reportAgeRounds: number) {
    this.#tunables = tunables
    this.#reportAgeRounds = reportAgeRounds
    this.#levelUs = tunables.roundCpuBurstUs
  }

  /** A round cost so much CPU. The level may go below zero. */
  spent(cpuUs: number): void {
    this.#levelUs -= cpuUs
  }

  /** The largest round trip among the connected peers that are not jailed; 0 if none is known. */
  set farthestRttUs(rttUs: number) {
    this.#rttUsMax = Math.min(rttUs, RTT_US_MAX)
  }

  /** A block was made, so many rounds above the one before; 0 rounds: the time between them was not for want of peers' blocks. */
  made(nowUs: number, rounds: number): void {
    const passed = (nowUs - this.#madeAtUs) / Math.max(1, rounds)
    this.#madeAtUs = nowUs
    if (rounds === 0) return
    this.#roundUs = this.#roundUs === 0 ? passed : this.#roundUs + (passed - this.#roundUs) / SMOOTHING
  }

  /** The first moment at which the next block may be made. */
  earliestUs(nowUs: number): number {
    this.#fill(nowUs)
    const floor = this.#madeAtUs + this.#roundUsMin()
    if (this.#levelUs > 0) return floor
    const wait = Math.floor((-this.#levelUs * MICROSECONDS) / this.#tunables.roundCpuUsPerSecond) + 1
    return Math.max(floor, nowUs + wait)
  }

  /** How long to wait beyond a quorum, µs; `depth` is how far the next round is ahead of the next step. */
  leadUs(depth: number): number {
    const { leadUsMin, leadUsMax, leadGrownUsMax } = this.#tunables
    const base = Math.max(leadUsMin, Math.min(leadUsMax, this.#roundUs / 2))
    if (depth <= DEPTH_USUAL) return Math.floor(base)
    return Math.floor(Math.min(base * 2 ** Math.min(depth - DEPTH_USUAL, DOUBLINGS_MAX), leadGrownUsMax))
  }

  #roundUsMin(): number {
    return Math.max(this.#tunables.roundUsMin, (2 * this.#rttUsMax) / this.#reportAgeRounds)
  }

  #fill(nowUs: number): void {
    const gained = ((nowUs - this.#filledAtUs) * this.#tunables.roundCpuUsPerSecond) / MICROSECONDS
    this.#filledAtUs = nowUs
    this.#levelUs = Math.min(this.#tunables.roundCpuBurstUs, this.#levelUs + gained)
  }
}
