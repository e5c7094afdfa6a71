/**
 * Where changes are written before the answers that promise them leave (architecture section 4).
 *
 *   command ─▶ machine ─changed─▶ journal ─kept─▶ CONNACK, SUBACK, PUBACK, PUBREC, PUBREL, PUBCOMP
 *
 * Deliveries do not wait; answers do, each for what it promises, and an answer that promises nothing durable never does.
 * The forms are in `storage/`.
 */
import type { Command, Outcome, Session } from '@concordmq/state'

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
  /** Keeps what is left, and frees files. No changes come any more. */
  close(): Promise<void>
}
