/**
 * The write-ahead log of a simulated node. Records are appended in order, and a synchronisation makes all that was appended before
 * it durable, some time later. A crash keeps what is durable and a drawn part of the rest, from the front: whatever byte the tail is
 * cut at, the log's reader drops the torn record. A lost disk keeps nothing.
 *
 *     ├── durable ──┤├── written, not synchronised ──┤
 *                          ▲ a crash cuts here
 *
 * A checkpoint may follow later, as the broker's log writes it in parts: it is in the log when so many records came behind it, and
 * nothing that it allows to forget goes before.
 */
import { RecordKind } from '../../../../packages/consensus/src/core/records.ts'
import type { WalRecord } from '../../../../packages/consensus/src/model/effect.ts'
import type { Agenda } from './agenda.ts'
import type { Draws } from './draws.ts'

export interface DiskFaults {
  /** What a synchronisation takes, µs: from about half of it to twice. */
  readonly syncUs: number
  /** Records that come in front of a checkpoint that was appended before them. Default: 0. */
  readonly checkpointLag?: number
}

export class Disk {
  /** Whether anything was ever durable here, though it may be lost since. */
  wasUsed = false
  readonly #agenda: Agenda
  readonly #draws: Draws
  readonly #faults: DiskFaults
  #records: WalRecord[] = []
  #durable = 0
  /** Counts up with each crash: a synchronisation that was under way answers nobody. */
  #life = 0
  #isSyncing = false
  /** A checkpoint that follows. */
  #late: { readonly record: WalRecord; left: number } | undefined
  /** What is forgotten when this checkpoint is durable. */
  #forgets: { readonly below: number; readonly after: WalRecord }[] = []
  /** Who waits for the next synchronisation. */
  #asked: ((fresh: readonly WalRecord[]) => void)[] = []

  constructor(agenda: Agenda, draws: Draws, faults: DiskFaults) {
    this.#agenda = agenda
    this.#draws = draws
    this.#faults = faults
  }

  get size(): number {
    return this.#records.length
  }

  /** `checkpointNow`: nothing that is here already leads to the checkpoint among them. */
  append(records: readonly WalRecord[], { checkpointNow = false } = {}): void {
    const { checkpointLag = 0 } = this.#faults
    for (const record of records) {
      const isCheckpoint = record.kind === RecordKind.checkpoint
      if (isCheckpoint) this.#endLate()
      if (isCheckpoint && checkpointLag > 0 && !checkpointNow) this.#late = { record, left: checkpointLag }
      else {
        this.#records.push(record)
        if (this.#late !== undefined && --this.#late.left <= 0) this.#endLate()
      }
    }
  }

  #endLate(): void {
    if (this.#late !== undefined) this.#records.push(this.#late.record)
    this.#late = undefined
  }

  /**
   * Makes durable what has been appended, then says so, with the records that became so; never after a crash. One synchronisation
   * at a time: those that are asked for meanwhile are one, which begins when it ends.
   */
  sync(done: (fresh: readonly WalRecord[]) => void): void {
    this.#asked.push(done)
    if (!this.#isSyncing) this.#begin()
  }

  /** The machine stops, and only what was durable is sure to be there again. Says what else is, and how many records are cut off. */
  crash(): { readonly kept: readonly WalRecord[]; readonly cut: number } {
    this.#stop()
    const loose = this.#records.length - this.#durable
    const end = this.#durable + this.#draws.between(0, loose)
    const kept = this.#records.slice(this.#durable, end)
    const cut = this.#records.length - end
    this.#records.length = end
    this.#durable = end
    return { kept, cut }
  }

  lose(): void {
    this.#stop()
    this.#records = []
    this.#durable = 0
  }

  read(mark: number): WalRecord | undefined {
    return this.#records.find((record) => record.mark === mark)
  }

  all(): readonly WalRecord[] {
    return this.#records
  }

  /** Drops what lies below the mark, as far as it is durable. */
  forget(below: number): void {
    const isLate = (this.#faults.checkpointLag ?? 0) > 0
    const newest = isLate ? this.#records.findLast(({ kind }) => kind === RecordKind.checkpoint) : undefined
    const after = this.#late?.record ?? newest
    if (after === undefined || this.#isDurable(after)) this.#drop(below)
    else this.#forgets.push({ below, after })
  }

  #isDurable(record: WalRecord): boolean {
    const at = this.#records.indexOf(record)
    return at >= 0 && at < this.#durable
  }

  #drop(below: number): void {
    let end = 0
    while (end < this.#durable && (this.#records[end] as WalRecord).mark < below) end++
    this.#records.splice(0, end)
    this.#durable -= end
  }

  #begin(): void {
    const life = this.#life
    const done = this.#asked
    this.#asked = []
    this.#isSyncing = true
    // Counted from the end, since `forget` shortens the front.
    const last = this.#records.at(-1)
    this.#agenda.after(this.#faults.syncUs * (0.5 + 1.5 * this.#draws.fraction()), () => {
      if (life !== this.#life) return
      const end = last === undefined ? 0 : this.#records.lastIndexOf(last) + 1
      const fresh = this.#records.slice(this.#durable, end)
      this.#durable = Math.max(this.#durable, end)
      if (end > 0) this.wasUsed = true
      while (this.#forgets[0] !== undefined && this.#isDurable(this.#forgets[0].after)) {
        this.#drop((this.#forgets.shift() as { readonly below: number }).below)
      }
      this.#isSyncing = false
      if (this.#asked.length > 0) this.#begin()
      for (const [i, answer] of done.entries()) answer(i === 0 ? fresh : [])
    })
  }

  #stop(): void {
    this.#life++
    this.#late = undefined
    this.#forgets = []
    this.#isSyncing = false
    this.#asked = []
  }
}
