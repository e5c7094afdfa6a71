/**
 * Documents of operators for the whole cluster (architecture section 3.1, `admin`): handed in here, in force on all nodes from one
 * place of the order on. What a document says is for whoever grants rights: he watches, and reads the text.
 *
 * ```ts
 * broker.administration?.watch((documents) => broker.reloadAccess(accessOf(documents.get('permissions')?.document.text)))
 * ```
 */
import type { AdminDocument, AdminRecord, AdminSignature, AdminSubject, Machine, Outcome } from '@concordmq/state'
import { ConcordError } from '../errors.ts'
import type { Sequencer } from '../model/sequencer.ts'

/** How long a place in the order is waited for. */
const DEADLINE_MS = 20_000

/** Documents by what they are about. */
export type AdminDocuments = ReadonlyMap<AdminSubject, Readonly<AdminRecord>>

export class Administration {
  readonly #machine: Machine
  readonly #sequencer: Sequencer
  #listener: ((documents: AdminDocuments) => void) | undefined
  readonly #waiting = new Set<{ readonly timer: NodeJS.Timeout; readonly reject: (error: ConcordError) => void }>()

  constructor(machine: Machine, sequencer: Sequencer) {
    this.#machine = machine
    this.#sequencer = sequencer
  }

  /** Those that count at this node's place in the order; withdrawn ones included, without text. */
  get documents(): AdminDocuments {
    return this.#machine.admin
  }

  /**
   * Has a document ordered; resolves when it is in force here. Rejects with `CMQ_CLUSTER_CHANGE` when operators did not sign it or a
   * later one is in force, with `CMQ_CLUSTER_CHANGE_LATER` when it has no place in time, which it may still get.
   */
  apply(document: AdminDocument, signatures: readonly AdminSignature[]): Promise<Readonly<AdminRecord>> {
    return new Promise((resolve, reject) => {
      const end = (error: ConcordError): void => {
        if (!this.#waiting.delete(waiting)) return
        clearTimeout(waiting.timer)
        reject(error)
      }
      const timer = setTimeout(() => end(later(`it has no place within ${DEADLINE_MS / 1000} s`)), DEADLINE_MS)
      const waiting = { timer, reject: end }
      this.#waiting.add(waiting)
      this.#sequencer.submit({ type: 'admin', document, signatures }, undefined, (outcome) => {
        const record = this.documents.get(document.subject)
        if (outcome.type !== 'done' || record === undefined) return end(refusal(outcome))
        this.#waiting.delete(waiting)
        clearTimeout(timer)
        resolve(record)
      })
    })
  }

  /** Calls `listener` now, and within each command that brings another document into force: what follows goes by it. */
  watch(listener: (documents: AdminDocuments) => void): void {
    this.#listener = listener
    this.changed()
  }

  /** Another document is in force, or the state was replaced by that of others. */
  changed(): void {
    this.#listener?.(this.documents)
  }

  close(): void {
    for (const { reject } of [...this.#waiting]) reject(later('the node stops'))
  }
}

function refusal(outcome: Outcome): ConcordError {
  if (outcome.type === 'rejected' || outcome.type === 'malformed')
    return new ConcordError('CMQ_CLUSTER_CHANGE', `Cannot apply the document: ${outcome.detail}`)
  return later('this node begins anew: hand it in again')
}

function later(reason: string): ConcordError {
  return new ConcordError('CMQ_CLUSTER_CHANGE_LATER', `The document was handed in, but ${reason}`)
}
