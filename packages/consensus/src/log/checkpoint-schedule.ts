/**
 * When a checkpoint is due (consensus.md section 10): a matter of the log alone, so all nodes take it behind the same step. After
 * enough steps or bytes, if anything was emitted; sooner when somebody asked, so that a quiet log can be proven as well; and
 * at the end of an epoch.
 */
import type { Reader } from '../bytes/reader.ts'
import type { Writer } from '../bytes/writer.ts'
import type { Constants } from '../model/constants.ts'

/** Steps between a checkpoint and one that somebody asked for. */
const REQUESTED_STEPS_MIN = 16

export class CheckpointSchedule {
  readonly #constants: Constants
  #lastStep = 0
  /** Bytes of bodies emitted since then. */
  #bytes = 0
  #units = 0
  #requested = false

  /** At the begin of an epoch. */
  constructor(constants: Constants) {
    this.#constants = constants
  }

  /** Step of the last checkpoint of this epoch; 0: none yet. */
  get lastStep(): number {
    return this.#lastStep
  }

  /** Whether somebody asked for one that is not due yet: steps must go on until it is. */
  get pending(): boolean {
    return this.#requested
  }

  /** A unit was emitted. */
  emitted(bodyBytes: number): void {
    this.#units++
    this.#bytes += bodyBytes
  }

  /** A message of kind 7 was emitted. */
  request(): void {
    this.#requested = true
  }

  /** Whether one is due behind `step`, whose units are all emitted. */
  due(step: number, { epochEnds }: { readonly epochEnds: boolean }): boolean {
    if (epochEnds) return true
    const age = step - this.#lastStep
    if (this.#requested && age >= REQUESTED_STEPS_MIN) return true
    if (this.#units === 0) return false
    return age >= this.#constants.checkpointSteps || this.#bytes >= this.#constants.checkpointBytes
  }

  /** One is taken behind this step: its snapshot is written after this call. */
  taken(step: number): void {
    this.#lastStep = step
    this.#bytes = 0
    this.#units = 0
    this.#requested = false
  }

  write(writer: Writer): void {
    writer.u64(this.#lastStep)
    writer.u64(this.#bytes)
    writer.u64(this.#units)
    writer.u8(this.#requested ? 1 : 0)
  }

  read(reader: Reader): void {
    this.#lastStep = reader.u64()
    this.#bytes = reader.u64()
    this.#units = reader.u64()
    this.#requested = reader.flag()
  }
}
