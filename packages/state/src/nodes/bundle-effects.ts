/** What the machine asks of the world in a cluster, beyond what it asks on a single node. */
import type { PublishRun } from '@concordmq/protocol'
import type { ConnectionId } from '../commands/commands.ts'
import type { Effects, Outcome } from '../effects.ts'
import type { BundleHead } from './bundle.ts'

/** What became of a run. */
export interface RunOutcome {
  readonly type: 'run'
  /** So many messages, the first ones, were published, or had been before; those behind them found no room. */
  readonly taken: number
  /** How many of those had a receipt, and were not published a second time. */
  readonly duplicates: number
}

/** The place of the first message of a run, and whose it is. */
export interface PlacedRun {
  readonly position: number
  readonly index: number
  readonly timeUs: number
  readonly connection: ConnectionId
  readonly publisher: string
}

export interface BundleEffects extends Effects {
  /**
   * Messages of one client took the places from (`position`, `index`) on; no session of this machine wants them. `run` is good
   * until this returns. Nodes route it to their own transient sessions.
   */
  run(run: PublishRun, placed: PlacedRun): void
  /** An item of a bundle is about to be applied: what follows until `answered` is its doing. */
  applying(node: number, head: BundleHead, item: number): void
  /** An item of a bundle was applied, in the order of the items: its author answers whoever waits for it. */
  answered(node: number, head: BundleHead, item: number, outcome: Outcome | RunOutcome): void
  /** A node fell: nothing of its present life counts any more. After the effects of its connections' ends. */
  nodeFell(node: number, incarnation: number): void
}
