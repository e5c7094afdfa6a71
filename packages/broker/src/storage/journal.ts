/**
 * The journal of a broker without a disk: what it is told counts as kept at once, so sessions survive disconnects and end
 * with the process. The other form is `disk-journal.ts`.
 */
import type { Command, Outcome, Session } from '@concordmq/state'
import type { CommandLog } from '../model/command-log.ts'
import type { Journal } from '../model/journal.ts'

/** Keeps nothing; an observer may see every command. */
export class MemoryJournal implements Journal {
  readonly trouble = false
  onLogged: (session: Session) => void = () => {}
  readonly #observer: CommandLog | undefined

  constructor(observer?: CommandLog) {
    this.#observer = observer
  }

  observe(position: number, timeUs: number, command: Command): void {
    this.#observer?.(position, timeUs, command)
  }

  changed(): void {}

  whenKept(done: (outcome: Outcome) => void, outcome: Outcome): void {
    done(outcome)
  }

  reserve(): void {}

  marked(): void {}

  async close(): Promise<void> {}
}
