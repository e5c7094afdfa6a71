/**
 * The order of a single node: arrival. A command is applied to the ordered machine before `submit` returns; its time is a
 * never-decreasing reading of the wall clock. When a deadline of the machine passes and nothing else moves time on, a
 * `tick` is submitted.
 */
import type { Command, Effects, Machine, Outcome } from '@concordmq/state'
import type { Sequencer } from '../model/sequencer.ts'
import type { Journal } from '../storage/journal.ts'

/** Longest timer; a later deadline is looked at again then. */
const TIMER_MS_MAX = 60_000

interface Submission {
  readonly command: Command
  readonly done: ((outcome: Outcome) => void) | undefined
}

export class LocalSequencer implements Sequencer {
  /** Position of the last command or message. */
  position = 0
  readonly #machine: Machine
  readonly #effects: Effects
  readonly #journal: Journal
  #timeUs = 0
  #timer: NodeJS.Timeout | undefined
  #timerUs = Number.POSITIVE_INFINITY
  #applying = false
  readonly #waiting: Submission[] = []

  constructor(machine: Machine, effects: Effects, journal: Journal) {
    this.#machine = machine
    this.#effects = effects
    this.#journal = journal
  }

  submit(command: Command, done?: (outcome: Outcome) => void): void {
    if (this.#applying) {
      // An effect led to a further command: it has its place after the one being applied.
      this.#waiting.push({ command, done })
      return
    }
    this.#apply(command, done)
    while (this.#waiting.length > 0) {
      const next = this.#waiting.shift() as Submission
      this.#apply(next.command, next.done)
    }
    this.#arm()
  }

  take(count: number): void {
    this.position += count
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

  #apply(command: Command, done: ((outcome: Outcome) => void) | undefined): void {
    const position = ++this.position
    const timeUs = this.nowUs()
    this.#journal.append(position, timeUs, command)
    this.#applying = true
    let outcome: Outcome
    try {
      outcome = this.#machine.apply(command, position, timeUs, this.#effects)
    } finally {
      this.#applying = false
    }
    if (done !== undefined) this.#journal.whenKept(position, () => done(outcome))
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
