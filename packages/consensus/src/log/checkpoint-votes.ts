/**
 * Votes for checkpoints of one epoch, outside the graph (consensus.md section 10). Equal votes of a quorum make a certificate.
 * A witness set of other nodes that agree with each other and not with this one is a divergence: the caller halts, since at
 * least one of them is correct. Fewer prove nothing, and are counted.
 *
 * Votes of nodes that are ahead wait here, some per author; signatures were checked before (`wants` says whether that pays).
 */
import { sameBytes } from '../bytes/order.ts'
import type { Epoch } from '../model/epoch.ts'
import {
  type Certificate,
  type Checkpoint,
  type CheckpointSignature,
  checkpointBytes,
  readCheckpoint,
} from './checkpoint.ts'

/** Votes of one author that wait for others; of more, the lowest steps are forgotten. */
export const votesPerAuthorMax = 8
/** Own votes that wait for a certificate. */
export const ownVotesMax = 16

export type VoteOutcome =
  | { readonly type: 'counted' }
  /** A quorum agrees, and nothing newer was certified. */
  | { readonly type: 'certified'; readonly certificate: Certificate }
  /** A witness set of others says other than this node about a step. */
  | { readonly type: 'divergence'; readonly step: number }

/** A vote of this node, to be sent again when a peer connects. */
export interface OwnVote {
  readonly step: number
  readonly content: Uint8Array
  readonly signature: Uint8Array
}

interface Vote extends CheckpointSignature {
  readonly checkpoint: Checkpoint
  readonly content: Uint8Array
}

const COUNTED: VoteOutcome = { type: 'counted' }

export class CheckpointVotes {
  readonly #epoch: Epoch
  readonly #self: number
  /** By author, ascending by step. */
  readonly #votes: Vote[][]
  #own: OwnVote[] = []
  #newest: Certificate | undefined
  /** Votes of others that differ from this node's. */
  #differing = 0

  /** `self` is this node's index, -1 if it is none of this epoch. */
  constructor(epoch: Epoch, self: number) {
    this.#epoch = epoch
    this.#self = self
    this.#votes = epoch.nodes.map(() => [])
  }

  /** The newest checkpoint of this epoch with a certificate. */
  get newest(): Certificate | undefined {
    return this.#newest
  }

  /** How many votes of others contradicted this node's. */
  get differing(): number {
    return this.#differing
  }

  /** Own votes without a certificate, ascending by step. */
  get pending(): readonly OwnVote[] {
    return this.#own
  }

  /** This node's own checkpoint, signed over `signedCheckpointBytes`. */
  own(checkpoint: Checkpoint, signature: Uint8Array): VoteOutcome {
    const content = checkpointBytes(checkpoint)
    const diverged = this.#compareAll(checkpoint.step, content)
    if (diverged !== undefined) return diverged
    if (checkpoint.step <= this.#certifiedStep()) return COUNTED
    this.#own.push({ step: checkpoint.step, content, signature })
    if (this.#own.length > ownVotesMax) this.#own.shift()
    return this.#count({ author: this.#self, signature, checkpoint, content })
  }

  /** Whether a vote could still matter: whether its signature is worth a check. */
  wants(author: number, content: Uint8Array): boolean {
    const checkpoint = readCheckpoint(content)
    const votes = this.#votes[author]
    if (checkpoint === undefined || votes === undefined || author === this.#self) return false
    if (checkpoint.epoch !== this.#epoch.number || checkpoint.step <= this.#certifiedStep()) return false
    if (votes.some((vote) => vote.checkpoint.step === checkpoint.step)) return false
    return votes.length < votesPerAuthorMax || (votes[0] as Vote).checkpoint.step < checkpoint.step
  }

  /** A vote of another node whose signature holds. */
  vote(author: number, content: Uint8Array, signature: Uint8Array): VoteOutcome {
    const checkpoint = readCheckpoint(content)
    if (checkpoint === undefined || !this.wants(author, content)) return COUNTED
    const vote: Vote = { author, signature, checkpoint, content }
    const own = this.#own.find(({ step }) => step === checkpoint.step)
    if (own !== undefined && !sameBytes(own.content, content)) this.#differing++
    const outcome = this.#count(vote)
    if (own === undefined) return outcome
    return this.#compareAll(own.step, own.content) ?? outcome
  }

  /** A certificate that came whole, and whose signatures hold. */
  adopt(certificate: Certificate): VoteOutcome {
    const { step } = certificate.checkpoint
    const own = this.#own.find((vote) => vote.step === step)
    if (own !== undefined && !sameBytes(own.content, certificate.content)) return { type: 'divergence', step }
    if (step <= this.#certifiedStep()) return COUNTED
    return this.#certify(certificate)
  }

  #certifiedStep(): number {
    return this.#newest?.checkpoint.step ?? 0
  }

  #count(vote: Vote): VoteOutcome {
    const { step } = vote.checkpoint
    if (step <= this.#certifiedStep()) return COUNTED
    const votes = this.#votes[vote.author] as Vote[]
    votes.push(vote)
    votes.sort((a, b) => a.checkpoint.step - b.checkpoint.step)
    if (votes.length > votesPerAuthorMax) votes.shift()
    const equal = this.#equalTo(step, vote.content)
    if (equal.length < this.#epoch.q) return COUNTED
    const signatures = equal.map(({ author, signature }) => ({ author, signature }))
    return this.#certify({ checkpoint: vote.checkpoint, content: vote.content, signatures })
  }

  #certify(certificate: Certificate): VoteOutcome {
    this.#newest = certificate
    const { step } = certificate.checkpoint
    for (const [author, votes] of this.#votes.entries()) {
      this.#votes[author] = votes.filter((vote) => vote.checkpoint.step > step)
    }
    this.#own = this.#own.filter((vote) => vote.step > step)
    return { type: 'certified', certificate }
  }

  /** Votes for this content, by author. */
  #equalTo(step: number, content: Uint8Array): Vote[] {
    return this.#votes
      .map((votes) => votes.find((vote) => vote.checkpoint.step === step))
      .filter((vote) => vote !== undefined && sameBytes(vote.content, content)) as Vote[]
  }

  /** Whether a witness set of others agrees on something else than `content`. */
  #compareAll(step: number, content: Uint8Array): VoteOutcome | undefined {
    const certified = this.#newest
    if (certified?.checkpoint.step === step && !sameBytes(certified.content, content))
      return { type: 'divergence', step }
    for (const votes of this.#votes) {
      const vote = votes.find((candidate) => candidate.checkpoint.step === step)
      if (vote === undefined || vote.author === this.#self || sameBytes(vote.content, content)) continue
      if (this.#equalTo(step, vote.content).length >= this.#epoch.w) return { type: 'divergence', step }
    }
    return undefined
  }
}
