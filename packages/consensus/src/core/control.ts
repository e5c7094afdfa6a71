/**
 * Messages of the log that are for the engine itself (consensus.md sections 7, 10, 13): evidence of a fork, a change of the
 * book, the wish for a checkpoint. They take effect at their place in the order, so equally on all nodes; whether one is valid
 * follows from its bytes and the epoch alone.
 */
import { authorityProblem } from '../bytes/authority.ts'
import { signedBlockBytes } from '../bytes/domain.ts'
import { decodeEvidence } from '../bytes/evidence.ts'
import { decodeReconfiguration, type Reconfiguration, reconfigurationProblem } from '../bytes/reconfiguration.ts'
import { MessageKind } from '../model/block.ts'
import type { OrderedMessage } from '../model/effect.ts'
import type { EpochContext } from './context.ts'

/** What the control messages of one unit did. */
export interface Controlled {
  /** Authors that are convicted; bit i: author i. */
  readonly convicted: number
  readonly checkpointRequested: boolean
  /** A valid change of the book: the epoch ends with this step. */
  readonly reconfiguration: Reconfiguration | undefined
}

const NOTHING: Controlled = { convicted: 0, checkpointRequested: false, reconfiguration: undefined }

/** Carries out the control messages among these. `jailed`: authors that need no further evidence; bit i: author i. */
export function control(context: EpochContext, messages: readonly OrderedMessage[], jailed: number): Controlled {
  let result = NOTHING
  for (const { kind, bytes, consensusUs } of messages) {
    if (kind === MessageKind.checkpointRequest) result = { ...result, checkpointRequested: true }
    else if (kind === MessageKind.evidence) {
      result = { ...result, convicted: result.convicted | convictedBy(context, bytes, jailed | result.convicted) }
    } else if (kind === MessageKind.reconfiguration && result.reconfiguration === undefined) {
      result = { ...result, reconfiguration: validReconfiguration(context, bytes, consensusUs) }
    }
  }
  return result
}

/** The author that the evidence convicts, as a mask; 0: it convicts nobody, or nobody who is not jailed yet. */
function convictedBy(context: EpochContext, bytes: Uint8Array, jailed: number): number {
  const decoded = decodeEvidence(bytes, context.epoch, context.domain)
  if (!decoded.ok || ((jailed >>> decoded.value.author) & 1) === 1) return 0
  const { author, blocks } = decoded.value
  const { publicKey } = context.epoch.nodes[author]!
  const signed = blocks.every(({ digest, signature }) =>
    context.cryptography.verify(publicKey, signedBlockBytes(digest), signature),
  )
  return signed ? 1 << author : 0
}

/** A change that somebody stands behind who may, to a book that may follow this one. */
function validReconfiguration(context: EpochContext, bytes: Uint8Array, atUs: number): Reconfiguration | undefined {
  const { epoch, cryptography, everNodes } = context
  const change = decodeReconfiguration(bytes)
  if (change === undefined || reconfigurationProblem(epoch, change) !== undefined) return undefined
  return authorityProblem(epoch, change, { cryptography, atUs, everNodes }) === undefined ? change : undefined
}
