/**
 * Keeps the write-ahead log such that a replay of what is left of it suffices (consensus.md section 11). With each checkpoint
 * go, anew, the few things that would otherwise lie far back; so everything before an older checkpoint may go, except blocks
 * that peers may still ask for.
 *
 *     … blocks … [epochs certificate numbers submissions CHECKPOINT] blocks … [… CHECKPOINT] blocks …
 *                └── a replay starts at the newest one that the application has passed
 */
import type { WalRecord } from '../model/effect.ts'
import type { Outbox } from './outbox.ts'
import {
  type CheckpointRecord,
  checkpointRecord,
  type DoubtRecord,
  doubtRecord,
  perhapsLost,
  RecordKind,
  seqRecord,
  submissionRecord,
} from './records.ts'
import type { Submissions } from './submissions.ts'

interface Base {
  /** The application has to be here, or beyond. */
  readonly position: number
  /** Of the first record that goes with the checkpoint. */
  readonly mark: number
  /** It is on disk when this barrier is. */
  readonly barrier: number
}

export class Journal {
  readonly #outbox: Outbox
  readonly #submissions: Submissions
  /** Links to all epochs so far, in their bytes. */
  readonly links: Uint8Array[] = []
  /** Whether this node knows which blocks it made (`amnesia.ts`); `perhaps`: its log is its first one, or an earlier one was lost. */
  memory: 'whole' | 'lost' | 'perhaps' = 'whole'
  /** The newest certificate. */
  certificate: Uint8Array | undefined
  #bases: Base[] = []
  #forgotten = 0
  #durable = 0

  constructor(outbox: Outbox, submissions: Submissions) {
    this.#outbox = outbox
    this.#submissions = submissions
  }

  get inDoubt(): boolean {
    return this.memory !== 'whole'
  }

  /** A checkpoint that the log already has. */
  restored(position: number, mark: number): void {
    this.#bases.push({ position, mark, barrier: 0 })
  }

  /** An epoch begins: what came before in the log belongs to the one before. */
  epoch(link: Uint8Array): void {
    this.links.push(link)
    this.#outbox.persist([this.#outbox.record(RecordKind.epoch, link)])
  }

  /** An earlier log is lost or in doubt, or no more: then own blocks of the epoch begin with `round`. */
  doubt(record: DoubtRecord): void {
    this.restoreDoubt(record.round)
    const records: WalRecord[] = []
    const { reserved } = this.#submissions
    // In front of the end of a doubt: numbers of the life that was lost must not be given again, whatever a crash leaves of the log.
    if (!this.inDoubt && reserved > 0) records.push(this.#outbox.record(RecordKind.seq, seqRecord(reserved)))
    records.push(this.#outbox.record(RecordKind.doubt, doubtRecord(record)))
    this.#outbox.persistThen(records)
  }

  /** What a record of `doubt` says. */
  restoreDoubt(round: number): void {
    this.memory = round === 0 ? 'lost' : round === perhapsLost ? 'perhaps' : 'whole'
  }

  checkpoint(record: Omit<CheckpointRecord, 'since'>): void {
    const records: WalRecord[] = this.links.map((link) => this.#outbox.record(RecordKind.epoch, link))
    if (this.certificate !== undefined) records.push(this.#outbox.record(RecordKind.certificate, this.certificate))
    if (this.inDoubt) {
      const round = this.memory === 'lost' ? 0 : perhapsLost
      records.push(this.#outbox.record(RecordKind.doubt, doubtRecord({ epoch: record.epoch, round })))
    }
    records.push(this.#outbox.record(RecordKind.seq, seqRecord(this.#submissions.reserved)))
    for (const message of this.#submissions.kept()) {
      records.push(this.#outbox.record(RecordKind.submission, submissionRecord(message)))
    }
    const since = records[0]!.mark
    records.push(this.#outbox.record(RecordKind.checkpoint, checkpointRecord({ ...record, since })))
    this.#bases.push({ position: record.position, mark: since, barrier: this.#outbox.persistThen(records) })
  }

  /** Everything up to this barrier is on disk. */
  durable(barrier: number): void {
    this.#durable = barrier
  }

  /** A quorum agreed. */
  certified(certificate: Uint8Array): void {
    this.certificate = certificate
    this.#outbox.persist([this.#outbox.record(RecordKind.certificate, certificate)])
  }

  /**
   * Lets go of what no replay and no peer needs: the application is at `applied`, blocks from `markMin` on are served. A
   * checkpoint that is not on disk yet takes the place of nothing.
   */
  forget(applied: number, markMin: number): void {
    let newest = -1
    for (const [i, { position, barrier }] of this.#bases.entries()) {
      if (position <= applied && barrier <= this.#durable) newest = i
    }
    if (newest === -1) return
    this.#bases = this.#bases.slice(newest)
    const below = Math.min(this.#bases[0]!.mark, markMin)
    if (below <= this.#forgotten) return
    this.#forgotten = below
    this.#outbox.push({ type: 'forget', below })
  }
}
