/**
 * Where changes are written before the answers that promise them leave (architecture section 4).
 *
 *   command ─▶ machine ─changed─▶ journal ─kept─▶ CONNACK, SUBACK, PUBACK, PUBREC, PUBREL, PUBCOMP
 *
 * Deliveries do not wait; answers do, each for what it promises, and an answer that promises nothing durable never does.
 * The forms are in `storage/`.
 */
import type { Command, Outcome, Session } from '@concordmq/state'

/** What the thread that writes the disk tells the others of its process, and hears of them. */
export interface SharedJournal {
  /** All durable changes up to this position are in the log. */
  logged(position: number): void
  /** The save taken at this position is in the state store. */
  saved(position: number): void
  /** Whether anything can be kept. */
  setTrouble(trouble: boolean): void
  /** The highest position for which another thread waits. */
  readonly wanted: number
  /** Calls back whenever another thread begins to wait for a higher position. */
  onWanted(wanted: () => void): void
  /** Puts a mark into the order: `Journal.marked` is called on all threads where it stands, on this one too. */
  mark(): void
  close(): void
}

export interface Journal {
  /** Takes every command with its place before it is applied, in order of positions: for recordings. */
  observe(position: number, timeUs: number, command: Command): void
  /** Something durable changed. */
  changed(): void
  /** Calls `done` with `outcome` when all that changed so far is kept, in order of the calls; perhaps at once. */
  whenKept(done: (outcome: Outcome) => void, outcome: Outcome): void
  /** Positions up to this one were taken, some without a command: after a restart none of them is used again. */
  reserve(position: number): void
  /** Called with every connected session of which more is kept now, and may be sent. */
  onLogged: (session: Session) => void
  /** Nothing can be kept at the moment: what would promise to be is refused. */
  readonly trouble: boolean
  /** A mark stands here in the order of several threads: all of them take what the state store gets. */
  marked(): void
  /** Keeps what is left, and frees files. No changes come any more. */
  close(): Promise<void>
}
