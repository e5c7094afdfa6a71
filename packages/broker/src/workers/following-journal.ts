/**
 * The journal of a thread that does not write: all threads apply the same commands, so what the writing one has put on disk up to
 * a position is what this one has changed up to there.
 *
 *   machine ─whenKept▶ answers │ 12 │ 12 │ 15 │ 17 │ ─▶ leave as far as the log has come (`shared-disk.ts`)
 *           ─changed─▶ bounds  │ 12 │ 17 │           ─▶ sessions here may send so much more
 *           ─marked──▶ saves   │ 9 │                 ─▶ messages are let go
 */
import type { Machine, Outcome, PassedSave, Session, SessionBound } from '@concordmq/state'
import type { Journal } from '../model/journal.ts'
import { releaseAnswer } from '../storage/release-answer.ts'
import type { Logger } from '../telemetry/logger.ts'
import type { DiskReader } from './shared-disk.ts'

interface Waiting {
  readonly position: number
  readonly done: (outcome: Outcome) => void
  readonly outcome: Outcome
}

interface Passed {
  readonly position: number
  readonly bounds: readonly SessionBound[]
}

export class FollowingJournal implements Journal {
  readonly #machine: Machine
  readonly #disk: DiskReader
  readonly #logger: Logger
  readonly #answers: Waiting[] = []
  readonly #passed: Passed[] = []
  readonly #saves: PassedSave[] = []
  /** Where the last durable change is that was not passed on. */
  #changedAt = 0
  #immediate: NodeJS.Immediate | undefined
  onLogged: (session: Session) => void = () => {}

  constructor(machine: Machine, disk: DiskReader, logger: Logger) {
    this.#machine = machine
    this.#disk = disk
    this.#logger = logger
  }

  get trouble(): boolean {
    return this.#disk.trouble
  }

  observe(): void {}

  changed(): void {
    this.#changedAt = this.#machine.position
    this.#soon()
  }

  whenKept(done: (outcome: Outcome) => void, outcome: Outcome): void {
    this.#answers.push({ position: this.#machine.position, done, outcome })
    this.#soon()
  }

  reserve(): void {}

  marked(): void {
    this.#pass()
    this.#saves.push(this.#machine.passSave())
    this.#soon()
  }

  async close(): Promise<void> {
    clearImmediate(this.#immediate)
    this.#disk.close()
  }

  /** At the end of the turn. */
  #soon(): void {
    this.#immediate ??= setImmediate(() => {
      this.#immediate = undefined
      if (this.#machine.hasUnlogged) this.#pass()
      const last = this.#answers.at(-1)
      if (last !== undefined && last.position > this.#disk.logged) this.#disk.want(last.position)
      this.#disk.watch(() => this.#look())
    })
  }

  #pass(): void {
    const bounds = this.#machine.passDelta()
    if (bounds.length > 0) this.#passed.push({ position: this.#changedAt, bounds })
  }

  /** Whether something is still waited for. */
  #look(): boolean {
    const { logged, saved } = this.#disk
    for (const { bounds } of takeUpTo(this.#passed, logged)) this.#machine.passedLogged(bounds, this.onLogged)
    for (const { done, outcome } of takeUpTo(this.#answers, logged)) releaseAnswer(done, outcome, this.#logger)
    for (const save of takeUpTo(this.#saves, saved)) this.#machine.saved(save)
    return this.#answers.length + this.#passed.length + this.#saves.length > 0
  }
}

/** Takes the first ones out, up to a position. */
function takeUpTo<T extends { readonly position: number }>(waiting: T[], position: number): T[] {
  let count = 0
  while (count < waiting.length && (waiting[count] as T).position <= position) count++
  return waiting.splice(0, count)
}
