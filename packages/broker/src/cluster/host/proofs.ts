/**
 * Proofs of positions for whoever asks this node (consensus.md section 10). A position that no checkpoint covers yet costs one
 * message in the log, which asks all nodes for a checkpoint; who asks meanwhile waits for the same one.
 */
import { hash } from 'node:crypto'
import { type Epoch, type LogProof, type OrderedBatch, ProofArchive } from '@concordmq/consensus'
import { ConcordError } from '../../errors.ts'
import type { Placement } from '../../model/ordered-log.ts'
import type { ProofFiles } from './proof-files.ts'

/** Memory for the newest part of the log, of which proofs are made. */
export const proofBytesMax = 32 * 1024 * 1024
/** Who waits for a checkpoint at once. */
export const proofsWaitingMax = 100
/** A checkpoint needs a quorum of nodes; without one there is no proof. */
const PROOF_DEADLINE_MS = 10_000

interface Waiting {
  readonly position: number
  readonly resolve: (proof: LogProof) => void
  readonly reject: (error: ConcordError) => void
  readonly timer: NodeJS.Timeout
}

export interface ProofsOptions {
  readonly genesis: Epoch
  /** Puts a message that asks for a checkpoint into the log. */
  readonly request: (done: (placement: Placement) => void) => void
  /** The log's next position. */
  readonly next: () => number
  /** What is too old for memory; undefined: it is not kept. */
  readonly files: ProofFiles | undefined
}

export class Proofs {
  readonly #archive: ProofArchive
  readonly #request: (done: (placement: Placement) => void) => void
  readonly #next: () => number
  readonly #files: ProofFiles | undefined
  #links: readonly Uint8Array[] = []
  #waiting: Waiting[] = []
  #requested = false

  constructor({ genesis, request, next, files }: ProofsOptions) {
    this.#archive = new ProofArchive(genesis, (bytes) => hash('sha256', bytes, 'buffer'), proofBytesMax)
    this.#request = request
    this.#next = next
    this.#files = files
  }

  /** From where on the disk lacks the log: a process that was killed had not written its last moments. Undefined: it keeps none. */
  get lacksFrom(): number | undefined {
    return this.#files?.endPosition
  }

  add(batch: OrderedBatch): void {
    this.#archive.add(batch)
    this.#files?.add(batch)
  }

  entered(links: readonly Uint8Array[]): void {
    this.#archive.entered(links)
    this.#links = links
  }

  certified(certificate: Uint8Array): void {
    this.#archive.certified(certificate)
    this.#files?.certified(certificate)
    this.#requested = false
    const waiting = this.#waiting
    this.#waiting = []
    for (const waiter of waiting) {
      const answer = this.#archive.prove(waiter.position)
      if (answer.type === 'uncovered') this.#waiting.push(waiter)
      else {
        clearTimeout(waiter.timer)
        if (answer.type === 'proof') waiter.resolve(answer.proof)
        else this.#older(waiter.position).then(waiter.resolve, waiter.reject)
      }
    }
    if (this.#waiting.length > 0) this.#ask()
  }

  /**
   * The proof of a position. Rejects with `CMQ_PROOF_FORGOTTEN` when this node keeps that part of the log no more, and with
   * `CMQ_PROOF_LATER`, retryable, when there is no message yet or no checkpoint in time.
   */
  prove(position: number): Promise<LogProof> {
    const answer = this.#archive.prove(position)
    if (answer.type === 'proof') return Promise.resolve(answer.proof)
    if (answer.type !== 'uncovered') return this.#older(position)
    if (this.#waiting.length >= proofsWaitingMax) {
      return Promise.reject(later(position, `${proofsWaitingMax} others wait for a checkpoint`))
    }
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#giveUp(position, resolve), PROOF_DEADLINE_MS)
      this.#waiting.push({ position, resolve, reject, timer })
      if (!this.#requested) this.#ask()
    })
  }

  /** Nobody is answered any more. */
  async stop(): Promise<void> {
    for (const { position, reject, timer } of this.#waiting) {
      clearTimeout(timer)
      reject(later(position, 'the node stops'))
    }
    this.#waiting = []
    await this.#files?.close()
  }

  /** From the disk. */
  async #older(position: number): Promise<LogProof> {
    const proof = position < this.#next() ? await this.#files?.prove(position, this.#links) : undefined
    if (proof === undefined) throw this.#refusal(position)
    return proof
  }

  #ask(): void {
    this.#requested = true
    this.#request((placement) => {
      // Not taken: the next one who wants a proof asks again.
      if (placement.type === 'refused') this.#requested = false
    })
  }

  /** Why there is no proof of a position that the archive does not have: it is not ordered yet, or lies before what is kept. */
  #refusal(position: number): ConcordError {
    const next = this.#next()
    if (position >= next) return later(position, 'nothing has it yet')
    const first = this.#files?.firstPosition ?? this.#archive.firstPosition
    const kept = first === undefined ? 'nothing of the log so far' : `the log from position ${first} on`
    const since =
      this.#files === undefined ? 'the newest 32 MiB since its start' : 'as much as cluster.proof-bytes-max allows'
    return new ConcordError(
      'CMQ_PROOF_FORGOTTEN',
      `Cannot prove position ${position}: this node keeps ${kept} (${since})`,
    )
  }

  #giveUp(position: number, resolve: Waiting['resolve']): void {
    const waiter = this.#waiting.find((candidate) => candidate.resolve === resolve)
    this.#waiting = this.#waiting.filter((candidate) => candidate !== waiter)
    this.#requested = false
    waiter?.reject(later(position, `no checkpoint within ${PROOF_DEADLINE_MS / 1000} s`))
  }
}

function later(position: number, reason: string): ConcordError {
  return new ConcordError('CMQ_PROOF_LATER', `Cannot prove position ${position} now: ${reason}`)
}
