/** What the parts of the engine that live in one epoch have in common. */
import type { Domain } from '../bytes/domain.ts'
import type { Cryptography } from '../model/cryptography.ts'
import type { Epoch } from '../model/epoch.ts'
import type { Clock } from './clock.ts'
import type { Outbox } from './outbox.ts'
import type { Pacer } from './pacer.ts'
import type { Peers } from './peers.ts'
import type { Random } from './random.ts'
import type { Submissions } from './submissions.ts'
import type { Tunables } from './tunables.ts'

export interface EpochContext {
  readonly epoch: Epoch
  readonly domain: Domain
  /** This node's index in the book. */
  readonly self: number
  readonly clock: Clock
  readonly outbox: Outbox
  readonly peers: Peers
  readonly pacer: Pacer
  readonly random: Random
  readonly submissions: Submissions
  readonly tunables: Tunables
  readonly cryptography: Cryptography
}
