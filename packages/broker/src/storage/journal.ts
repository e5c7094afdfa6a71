/**
 * Where commands are written before their answers leave: the seam for the log on disk (architecture section 4).
 *
 *   command ─▶ append ─▶ machine ─▶ whenKept ─▶ CONNACK, SUBACK, PUBACK, PUBREC, PUBCOMP
 *
 * Deliveries do not wait; acknowledgements do, each for what it promises. The memory form keeps nothing: what it is given
 * counts as kept at once, so sessions survive disconnects and end with the process.
 */
import type { Command } from '@concordmq/state'
import type { CommandLog } from '../model/command-log.ts'

export interface Journal {
  /** Takes a command with its place, in order of positions. */
  append(position: number, timeUs: number, command: Command): void
  /** Calls `kept` when everything up to `position` is safe, in order of positions; at once if it is already. */
  whenKept(position: number, kept: () => void): void
}

/** Keeps nothing; an observer may see every command. */
export class MemoryJournal implements Journal {
  readonly #observer: CommandLog | undefined

  constructor(observer?: CommandLog) {
    this.#observer = observer
  }

  append(position: number, timeUs: number, command: Command): void {
    this.#observer?.(position, timeUs, command)
  }

  whenKept(_position: number, kept: () => void): void {
    kept()
  }
}
