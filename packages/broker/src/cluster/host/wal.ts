/**
 * The engine's write-ahead log on disk (consensus.md section 11), on the same segments as the log of sessions: groups with one
 * write and one sync each, whatever comes meanwhile in the next. A record is `kind u8 | mark u64 | length u32 | bytes`; a group
 * is a row of records.
 *
 *   append(records, barrier) ─▶ pending ─▶ one group: write, sync ─▶ durable(barrier), …
 *                └ a long checkpoint ─▶ a part of it in each group (`record-parts.ts`)
 *
 * All nodes come to a checkpoint at the same step, and its record is a hundred times as long as a block: none would make a block while
 * all of them write it. So it follows in parts, and its barrier does not mean it. A log without it leads to the same state from an
 * older one, and `forget`, which is what a checkpoint allows, waits for its last part.
 *
 * A torn tail is cut: nothing that depended on it had left. Damage before the tail means that blocks may have left which are not
 * known any more; the log is then put aside, and the node begins as after the loss of its disk.
 */
import { join } from 'node:path'
import { RecordKind, type WalRecord } from '@concordmq/consensus'
import type { Files } from '../../model/files.ts'
import { GROUP_HEADER_BYTES } from '../../storage/log-format.ts'
import { readLog } from '../../storage/log-reader.ts'
import { type ClosedSegment, SegmentLog } from '../../storage/segment-log.ts'
import type { Logger } from '../../telemetry/logger.ts'
import { PART_BYTES_MIN, PART_KIND, PartsGathered, PartsOfRecord } from './record-parts.ts'

const SEGMENT_BYTES = 64 * 1024 * 1024
const RECORD_HEAD_BYTES = 13
/** Records without a barrier wait so long for one, or until there are so many bytes of them. */
const LAZY_MS = 50
const LAZY_BYTES_MAX = 4 * 1024 * 1024

export interface WalOptions {
  readonly files: Files
  readonly directory: string
  /** False: a group is done when the operating system has it. */
  readonly sync: boolean
  readonly logger: Logger
  readonly onDurable: (barrier: number) => void
  /** Default: 64 MiB. */
  readonly segmentBytes?: number
}

export interface AppendOptions {
  /**
   * What is in the log already leads to the checkpoint among these records. It may follow later, then, and is not among what the
   * barrier says to be on disk.
   */
  readonly checkpointLater?: boolean
}

export interface OpenedWal {
  readonly wal: Wal
  /** All that the log holds, in order. */
  readonly records: Iterable<WalRecord>
  /** The log was damaged, and what it held is lost. */
  readonly damaged: boolean
  /** Nothing was in it. */
  readonly empty: boolean
}

/** A group's place, and the marks in it. */
interface Group {
  readonly file: string
  readonly offset: number
  readonly bytes: number
  readonly firstMark: number
  readonly lastMark: number
}

export class Wal {
  readonly #o: WalOptions
  readonly #log: SegmentLog
  /** In order of marks. */
  #groups: Group[]
  #pending: WalRecord[] = []
  #pendingBytes = 0
  /** Those of the group that is being written. */
  #leaving: readonly WalRecord[] = []
  #barriers: number[] = []
  #writing = false
  #timer: NodeJS.Timeout | undefined
  /** The record that is being written in parts; those so far, and those of which the last part is on disk. */
  #parts: PartsOfRecord | undefined
  #partsBegun = 0
  #partsDone = 0
  /** What may be forgotten when so many records in parts are on disk. */
  #forgets: { readonly below: number; readonly after: number }[] = []
  /** The highest so far. */
  #lastMark = 0
  #closed = false
  #idle: (() => void) | undefined

  private constructor(options: WalOptions, log: SegmentLog, groups: Group[]) {
    this.#o = options
    this.#log = log
    this.#groups = groups
    this.#lastMark = groups.at(-1)?.lastMark ?? 0
  }

  static async open(options: WalOptions): Promise<OpenedWal> {
    const { files, directory, logger } = options
    const found = await readLog(files, directory)
    if (found.damage !== undefined) {
      logger.error(
        { event: 'cluster.wal.damaged', file: found.damage.file, offset: found.damage.offset },
        `The consensus log in ${directory} is damaged (${found.damage.detail}); it is put aside, and this node learns from the others which blocks it made`,
      )
      for (const name of await files.list(directory)) {
        if (name.endsWith('.log')) await files.rename(join(directory, name), join(directory, `${name}.damaged`))
      }
      return { ...(await Wal.open(options)), damaged: true }
    }
    for (const name of found.stillborn) await files.remove(join(directory, name))
    const groups = found.groups.flatMap((payload, i) => {
      const place = found.places[i] ?? { file: '', offset: 0 }
      const marks = marksOf(recordsIn(payload))
      return marks === undefined ? [] : [{ ...place, bytes: payload.length, ...marks }]
    })
    const log = new SegmentLog(
      {
        files,
        directory,
        segmentBytes: options.segmentBytes ?? SEGMENT_BYTES,
        sync: options.sync,
        lastNumber: found.lastNumber,
        lastEnd: found.lastEnd,
        onTrouble: (trouble) => reportTrouble(logger, trouble),
      },
      tagsOf(found.segments, groups),
    )
    const wal = new Wal(options, log, groups)
    return { wal, records: recordsOf(found.groups), damaged: false, empty: found.groups.length === 0 }
  }

  /** What stands in the way of writing. */
  get trouble(): Error | undefined {
    return this.#log.trouble
  }

  /** Takes records; with a barrier, `onDurable` is called with it when they and all before are on disk. */
  append(
    records: readonly WalRecord[],
    barrier: number | undefined,
    { checkpointLater = false }: AppendOptions = {},
  ): void {
    if (this.#closed) return
    for (const record of records) {
      const isCheckpoint = record.kind === RecordKind.checkpoint
      // They have to be whole in the order in which they were taken: a replay begins at the last one that it may.
      if (isCheckpoint) this.#endParts()
      if (isCheckpoint && checkpointLater && record.bytes.length > PART_BYTES_MIN) this.#beginParts(record)
      else this.#add(record)
    }
    if (barrier !== undefined) this.#barriers.push(barrier)
    if (barrier !== undefined || this.#pendingBytes > LAZY_BYTES_MAX) void this.#write()
    else this.#writeLater()
  }

  /** The bytes of a record; undefined: it is not there any more, or went in parts. */
  async read(mark: number): Promise<Uint8Array | undefined> {
    const waiting = find(mark, [...this.#leaving, ...this.#pending])
    if (waiting !== undefined) return waiting.bytes
    const group = this.#groupOf(mark)
    if (group === undefined) return undefined
    try {
      const { files, directory } = this.#o
      const payload = await files.readPart(join(directory, group.file), group.offset + GROUP_HEADER_BYTES, group.bytes)
      return find(mark, recordsIn(payload))?.bytes
    } catch {
      // Its segment was dropped meanwhile, or cannot be read: for who asks that is the same.
    }
    return undefined
  }

  /** Segments that hold only marks below this one may go, as soon as the checkpoints so far are on disk. */
  forget(below: number): void {
    const after = this.#partsBegun
    if (this.#forgets.at(-1)?.after === after) this.#forgets.pop()
    this.#forgets.push({ below, after })
    this.#forgetReady()
  }

  #forgetReady(): void {
    for (
      let first = this.#forgets[0];
      first !== undefined && first.after <= this.#partsDone;
      first = this.#forgets[0]
    ) {
      this.#forgets.shift()
      this.#drop(first.below)
    }
  }

  #drop(below: number): void {
    this.#groups = this.#groups.filter(({ lastMark }) => lastMark >= below)
    this.#log.drop(below - 1).catch((error: unknown) => {
      this.#o.logger.warn({ event: 'cluster.wal.drop', error: String(error) }, 'Cannot remove an old consensus log')
    })
  }

  /** Writes what is left, and frees the files. */
  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#timer)
    this.#log.stopRetrying()
    if (this.#writing) await new Promise<void>((resolve) => (this.#idle = resolve))
    this.#endParts()
    if (this.#pending.length > 0) await this.#write()
    await this.#log.close()
  }

  #add(record: WalRecord): void {
    this.#pending.push(record)
    this.#pendingBytes += RECORD_HEAD_BYTES + record.bytes.length
  }

  #beginParts(record: WalRecord): void {
    this.#parts = new PartsOfRecord(record)
    this.#partsBegun++
  }

  /** What is left of them goes at once. */
  #endParts(): void {
    while (this.#parts !== undefined) this.#addPart()
  }

  #addPart(): void {
    if (this.#parts === undefined) return
    this.#add(this.#parts.next())
    if (this.#parts.isOver) this.#parts = undefined
  }

  #writeLater(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      void this.#write()
    }, LAZY_MS)
  }

  async #write(): Promise<void> {
    if (this.#writing) return
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#writing = true
    try {
      // What comes while a group is written, barriers above all, is the next group.
      do await this.#writeGroup()
      while (this.#barriers.length > 0 || this.#pending.length > 0)
    } catch (error) {
      this.#o.logger.warn(
        { event: 'cluster.wal.lost', error: String(error) },
        'The end of the consensus log was not written',
      )
    } finally {
      this.#writing = false
      if (this.#parts !== undefined && !this.#closed) this.#writeLater()
      this.#idle?.()
    }
  }

  async #writeGroup(): Promise<void> {
    this.#addPart()
    const records = this.#pending
    this.#leaving = records
    const barriers = this.#barriers
    // Those begun meanwhile are not in this group.
    const partsDone = this.#partsBegun - (this.#parts === undefined ? 0 : 1)
    const payload = encodeRecords(records, this.#pendingBytes)
    this.#pending = []
    this.#pendingBytes = 0
    this.#barriers = []
    if (records.length > 0) {
      const marks = marksOf(records)
      this.#lastMark = marks?.lastMark ?? this.#lastMark
      const place = await this.#log.write([payload], this.#lastMark)
      if (marks !== undefined) this.#groups.push({ ...place, bytes: payload.length, ...marks })
    }
    this.#leaving = []
    for (const barrier of barriers) this.#o.onDurable(barrier)
    this.#partsDone = partsDone
    this.#forgetReady()
  }

  #groupOf(mark: number): Group | undefined {
    let low = 0
    let high = this.#groups.length - 1
    while (low <= high) {
      const middle = (low + high) >> 1
      const group = this.#groups[middle]
      if (group === undefined) return undefined
      if (mark < group.firstMark) high = middle - 1
      else if (mark > group.lastMark) low = middle + 1
      else return group
    }
    return undefined
  }
}

/** The whole record with this mark. */
function find(mark: number, records: Iterable<WalRecord>): WalRecord | undefined {
  for (const record of records) if (record.mark === mark && record.kind !== PART_KIND) return record
  return undefined
}

function encodeRecords(records: readonly WalRecord[], bytes: number): Uint8Array {
  const payload = Buffer.allocUnsafe(bytes)
  let at = 0
  for (const { kind, mark, bytes: body } of records) {
    payload[at] = kind
    payload.writeBigUInt64BE(BigInt(mark), at + 1)
    payload.writeUInt32BE(body.length, at + 9)
    payload.set(body, at + RECORD_HEAD_BYTES)
    at += RECORD_HEAD_BYTES + body.length
  }
  return payload
}

function* recordsIn(payload: Uint8Array): Generator<WalRecord> {
  const view = Buffer.from(payload.buffer, payload.byteOffset, payload.length)
  for (let at = 0; at + RECORD_HEAD_BYTES <= view.length; ) {
    const end = at + RECORD_HEAD_BYTES + view.readUInt32BE(at + 9)
    yield {
      kind: view[at] ?? 0,
      mark: Number(view.readBigUInt64BE(at + 1)),
      bytes: payload.subarray(at + RECORD_HEAD_BYTES, end),
    }
    at = end
  }
}

/** May be gone through more than once. A record in parts is where its last part is. */
function recordsOf(groups: readonly Uint8Array[]): Iterable<WalRecord> {
  return {
    *[Symbol.iterator]() {
      const parts = new PartsGathered()
      for (const group of groups) {
        for (const record of recordsIn(group)) {
          const whole = record.kind === PART_KIND ? parts.take(record) : record
          if (whole !== undefined) yield whole
        }
      }
    },
  }
}

/** Of the records that are whole; undefined: there are none. */
function marksOf(records: Iterable<WalRecord>): { readonly firstMark: number; readonly lastMark: number } | undefined {
  let firstMark: number | undefined
  let lastMark = 0
  for (const { kind, mark } of records) {
    if (kind === PART_KIND) continue
    firstMark ??= mark
    lastMark = mark
  }
  return firstMark === undefined ? undefined : { firstMark, lastMark }
}

/** The highest mark in each segment or before it: parts have the marks of groups before. */
function tagsOf(segments: readonly string[], groups: readonly Group[]): ClosedSegment[] {
  let tag = 0
  let at = 0
  return segments.map((name) => {
    for (; groups[at]?.file === name; at++) tag = Math.max(tag, groups[at]?.lastMark ?? 0)
    return { name, tag }
  })
}

function reportTrouble(logger: Logger, trouble: Error | undefined): void {
  if (trouble === undefined) logger.info({ event: 'cluster.wal.healed' }, 'The consensus log can be written again')
  else {
    logger.error(
      { event: 'cluster.wal.trouble', error: trouble.message },
      'Cannot write the consensus log: this node makes no blocks until it can',
    )
  }
}
