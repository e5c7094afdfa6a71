/**
 * Changes of the book that this node was asked to have ordered (consensus.md section 13): what cannot follow the current epoch is
 * refused with a reason before it costs a message of the log; the one that can is followed until its epoch begins.
 *
 * Absent: keys of operators. Whoever asks has signed. The time is this node's clock here, and the order's where it counts.
 */
import {
  authorityProblem,
  type Cryptography,
  decodeReconfiguration,
  type Epoch,
  type Reconfiguration,
  reconfigurationContent,
  reconfigurationProblem,
} from '@concordmq/consensus'
import { ConcordError } from '../../errors.ts'
import type { Placement } from '../../model/ordered-log.ts'

/** An epoch ends when a quorum has signed its last checkpoint. */
const CHANGE_DEADLINE_MS = 20_000

export interface ChangesOptions {
  readonly cryptography: Pick<Cryptography, 'verify' | 'certifies'>
  /** Keys of all who are, or were, nodes. */
  readonly everNodes: () => readonly Uint8Array[]
  readonly nowUs: () => number
  /** A change is ordered already, and its epoch has not begun. */
  readonly isEnding: () => boolean
  readonly submit: (bytes: Uint8Array, done: (placement: Placement) => void) => void
}

interface Waiting {
  readonly change: Reconfiguration
  readonly resolve: (epoch: Epoch) => void
  readonly reject: (error: ConcordError) => void
  readonly timer: NodeJS.Timeout
}

export class Changes {
  readonly #o: ChangesOptions
  #waiting: Waiting | undefined

  constructor(options: ChangesOptions) {
    this.#o = options
  }

  /** Resolves with the epoch that the change made. */
  order(bytes: Uint8Array, epoch: Epoch): Promise<Epoch> {
    const change = decodeReconfiguration(bytes)
    if (change === undefined) return Promise.reject(refused('it cannot be read'))
    const { cryptography, everNodes, nowUs } = this.#o
    const context = { cryptography, atUs: nowUs(), everNodes: everNodes() }
    const problem =
      reconfigurationProblem(epoch, change) ?? authorityProblem(epoch, change, context) ?? this.#underWay()
    if (problem !== undefined) return Promise.reject(refused(problem))
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => this.#end((waiting) => waiting.reject(later(`it is not in force within ${CHANGE_DEADLINE_MS / 1000} s`))),
        CHANGE_DEADLINE_MS,
      )
      this.#waiting = { change, resolve, reject, timer }
      this.#o.submit(bytes, (placement) => {
        if (placement.type === 'placed') return
        const error =
          placement.why === 'busy' ? later('too much waits for a place') : refused('this node orders nothing')
        this.#end((waiting) => waiting.reject(error))
      })
    })
  }

  /** An epoch began. */
  began(epoch: Epoch): void {
    const { change } = this.#waiting ?? {}
    if (change === undefined || epoch.number < change.number) return
    const isIts = Buffer.compare(reconfigurationContent(epoch), reconfigurationContent(change)) === 0
    this.#end(({ resolve, reject }) => {
      if (isIts) resolve(epoch)
      else reject(refused(`another change was ordered before it, epoch is ${epoch.number} now`))
    })
  }

  stop(): void {
    this.#end((waiting) => waiting.reject(later('the node stops')))
  }

  #underWay(): string | undefined {
    return this.#waiting !== undefined || this.#o.isEnding() ? 'another change is under way' : undefined
  }

  #end(tell: (waiting: Waiting) => void): void {
    const waiting = this.#waiting
    if (waiting === undefined) return
    clearTimeout(waiting.timer)
    this.#waiting = undefined
    tell(waiting)
  }
}

function refused(reason: string): ConcordError {
  return new ConcordError('CMQ_CLUSTER_CHANGE', `Cannot change the cluster: ${reason}`)
}

function later(reason: string): ConcordError {
  return new ConcordError('CMQ_CLUSTER_CHANGE_LATER', `The change of the cluster was handed in, but ${reason}`)
}
