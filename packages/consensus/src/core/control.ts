/**
 * Messages of the log that are for the engine itself (consensus.md sections 7, 10, 13): evidence of a fork, a change of the
 * book, the wish for a checkpoint. They take effect at their place in the order, so equally on all nodes; whether one is valid
 * follows from its bytes and the epoch alone. Signatures are checked by the host, and the step waits for that.
 */
import { signedBlockBytes } from '../bytes/domain.ts'
import { decodeEvidence } from '../bytes/evidence.ts'
import { MessageKind } from '../model/block.ts'
import type { OrderedMessage } from '../model/effect.ts'
import type { EpochContext } from './context.ts'

/** What the control messages of one unit did. */
export interface Controlled {
  /** Authors that are convicted; bit i: author i. */
  convicted: number
  checkpointRequested: boolean
}

/** Carries out the control messages among these, and calls `done` once all signatures in them are checked. */
export function control(
  context: EpochContext,
  messages: readonly OrderedMessage[],
  jailed: number,
  done: (controlled: Controlled) => void,
): void {
  const result: Controlled = { convicted: 0, checkpointRequested: false }
  let checks = 1
  const finished = (): void => {
    checks--
    if (checks === 0) done(result)
  }
  for (const { kind, bytes } of messages) {
    if (kind === MessageKind.checkpointRequest) result.checkpointRequested = true
    else if (kind === MessageKind.evidence) {
      checks++
      checkEvidence(context, bytes, jailed, (author) => {
        if (author !== undefined) result.convicted |= 1 << author
        finished()
      })
    }
  }
  finished()
}

/** Calls back with the author that the evidence convicts; undefined: it convicts nobody, or nobody who is not jailed yet. */
function checkEvidence(
  context: EpochContext,
  bytes: Uint8Array,
  jailed: number,
  checked: (author: number | undefined) => void,
): void {
  const decoded = decodeEvidence(bytes, context.epoch, context.domain)
  if (!decoded.ok || ((jailed >>> decoded.value.author) & 1) === 1) return checked(undefined)
  const { author, blocks } = decoded.value
  const { publicKey } = context.epoch.nodes[author]!
  let left = blocks.length
  let good = true
  for (const { digest, signature } of blocks) {
    context.outbox.verify(publicKey, signedBlockBytes(digest), signature, (ok) => {
      good &&= ok
      left--
      if (left === 0) checked(good ? author : undefined)
    })
  }
}
