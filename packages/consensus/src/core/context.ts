/** What the parts of the engine have in common: those that outlive epochs, and those within one. */
import type { KnownBlocks } from '../bytes/block-codec.ts'
import type { Domain } from '../bytes/domain.ts'
import type { Cryptography } from '../model/cryptography.ts'
import type { Epoch } from '../model/epoch.ts'
import type { Clock } from './clock.ts'
import type { Journal } from './journal.ts'
import type { EngineOptions } from './options.ts'
import type { OrderedOutput } from './ordered-output.ts'
import type { Outbox } from './outbox.ts'
import type { Pacer } from './pacer.ts'
import type { Peers } from './peers.ts'
import type { Random } from './random.ts'
import type { Sealing } from './sealing.ts'
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
  readonly knownBlocks?: KnownBlocks | undefined
  /** Keys of all who are, or were, nodes of the network up to this epoch. */
  readonly everNodes: readonly Uint8Array[]
}

/** What a node has once, whatever the epoch. */
export interface NodeParts {
  readonly options: EngineOptions
  readonly tunables: Tunables
  readonly clock: Clock
  readonly outbox: Outbox
  readonly random: Random
  readonly submissions: Submissions
  readonly output: OrderedOutput
  readonly journal: Journal
  readonly sealing: Sealing
}
