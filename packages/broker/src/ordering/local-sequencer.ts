/**
 * The order of a single node: arrival. A command is applied to the ordered machine before `submit` returns; its time is a
 * never-decreasing reading of the wall clock. When a deadline of the machine passes and nothing else moves time on, a
 * `tick` is submitted.
 */
import type { Command, Effects, Machine, Outcome } from '@concordmq/state'
import type { Journal } from '../model/journal.ts'
import type { Sequencer } from '../model/sequencer.ts'

/** Longest timer; a later deadline is looked at again then. */
const TIMER_MS_MAX = 60_000
/** How often the journal hears of positions that no command took. */
const RESERVE_STEP = 65_536

interface Submission {
  readonly command: Command
  readonly kept: ((outcome: Outcome) => void) | undefined
  readonly applied: ((outcome: Outcome) => void) | undefined
}

export class LocalSequencer implements Sequencer {
  /** Position of the last command or message. */
  position: number
  readonly #machine: Machine
  readonly #effects: Effects
  readonly #journal: Journal
  #timeUs: number
  /** The journal is told again at this position. */
  #reserveAt = 0
  #timer: NodeJS.Timeout | undefined
  #timerUs = Number.POSITIVE_INFINITY
  #applying = false
  readonly #waiting: Submission[] = []

  /** `position`: all up to it may have been used before. */
  constructor(
    machine: Machine,
    effects: Effects,
    journal: Journal,
    { position = 0 }: { readonly position?: number } = {},
  ) {
    this.position = position
    this.#timeUs = machine.timeUs
    this.#machine = machine
    this.#effects = effects
    this.#journal = journal
  }

  submit(command: Command, kept?: (outcome: Outcome) => void, applied?: (outcome: Outcome) => void): void {
    if (this.#applying) {
      // An effect led to a further command: it has its place after the one being applied.
      this.#waiting.push({ command, kept, applied })
      return
    }
    this.#apply(command, kept, applied)
    while (this.#waiting.length > 0) {
      const next = this.#waiting.shift() as Submission
      this.#apply(next.command, next.kept, next.applied)
    }
    this.#arm()
  }

  take(count: number): void {
    this.position += count
    if (this.position >= this.#reserveAt) {
      this.#reserveAt = this.position + RESERVE_STEP
      this.#journal.reserve(this.position)
    }
  }

  get trouble(): boolean {
    return this.#journal.trouble
  }

  nowUs(): number {
    const wall = Date.now() * 1000
    if (wall > this.#timeUs) this.#timeUs = wall
    return this.#timeUs
  }

  close(): void {
    clearTimeout(this.#timer)
    this.#timerUs = Number.NEGATIVE_INFINITY
  }

  #apply(
    command: Command,
    kept: ((outcome: Outcome) => void) | undefined,
    applied: ((outcome: Outcome) => void) | undefined,
  ): void {
    const position = ++this.position
    const timeUs = this.nowUs()
    this.#journal.observe(position, timeUs, command)
    const before = this.#machine.durableVersion
    this.#applying = true
    let outcome: Outcome
    try {
      outcome = this.#machine.apply(command, position, timeUs, this.#effects)
    } finally {
      this.#applying = false
    }
    applied?.(outcome)
    if (this.#machine.durableVersion === before) {
      // It promises nothing that a disk would have to keep.
      kept?.(outcome)
      return
    }
    if (kept === undefined) this.#journal.changed()
    else this.#journal.whenKept(kept, outcome)
  }

  #arm(): void {
    const deadline = this.#machine.nextDeadlineUs
    if (deadline === undefined || deadline >= this.#timerUs) return
    clearTimeout(this.#timer)
    this.#timerUs = deadline
    const inMs = Math.min(Math.max(0, Math.ceil((deadline - this.nowUs()) / 1000)), TIMER_MS_MAX)
    this.#timer = setTimeout(() => {
      this.#timerUs = Number.POSITIVE_INFINITY
      const next = this.#machine.nextDeadlineUs
      if (next !== undefined && next <= this.nowUs()) this.submit({ type: 'tick' })
      else this.#arm()
    }, inMs)
    this.#timer.unref()
  }
}
