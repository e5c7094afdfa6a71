/**
 * The engine's write-ahead log on disk (consensus.md section 11), on the same segments as the log of sessions: groups with one
 * write and one sync each, whatever comes meanwhile in the next. A record is `kind u8 | mark u64 | length u32 | bytes`; a group
 * is a row of records.
 *
 *   append(records, barrier) ─▶ pending ─▶ one group: write, sync ─▶ durable(barrier), …
 *
 * A torn tail is cut: nothing that depended on it had left. Damage before the tail means that blocks may have left which are not
 * known any more; the log is then put aside, and the node begins as after the loss of its disk.
 */
import { join } from 'node:path'
import type { WalRecord } from '@concordmq/consensus'
import type { Files } from '../../model/files.ts'
import { GROUP_HEADER_BYTES } from '../../storage/log-format.ts'
import { readLog } from '../../storage/log-reader.ts'
import { SegmentLog } from '../../storage/segment-log.ts'
import type { Logger } from '../../telemetry/logger.ts'

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
  #closed = false
  #idle: (() => void) | undefined

  private constructor(options: WalOptions, log: SegmentLog, groups: Group[]) {
    this.#o = options
    this.#log = log
    this.#groups = groups
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
    const groups = found.groups.map((payload, i) => {
      const place = found.places[i] ?? { file: '', offset: 0 }
      const { firstMark, lastMark } = marksOf(payload)
      return { ...place, bytes: payload.length, firstMark, lastMark }
    })
    const log = new SegmentLog(
      {
        files,
        directory,
        segmentBytes: SEGMENT_BYTES,
        sync: options.sync,
        lastNumber: found.lastNumber,
        lastEnd: found.lastEnd,
        onTrouble: (trouble) => reportTrouble(logger, trouble),
      },
      found.segments.map((name) => ({ name, tag: lastMarkOf(groups, name) })),
    )
    const wal = new Wal(options, log, groups)
    return { wal, records: recordsOf(found.groups), damaged: false, empty: found.groups.length === 0 }
  }

  /** What stands in the way of writing. */
  get trouble(): Error | undefined {
    return this.#log.trouble
  }

  /** Takes records; with a barrier, `onDurable` is called with it when they and all before are on disk. */
  append(records: readonly WalRecord[], barrier: number | undefined): void {
    if (this.#closed) return
    for (const record of records) {
      this.#pending.push(record)
      this.#pendingBytes += RECORD_HEAD_BYTES + record.bytes.length
    }
    if (barrier !== undefined) this.#barriers.push(barrier)
    if (barrier !== undefined || this.#pendingBytes > LAZY_BYTES_MAX) void this.#write()
    else this.#timer ??= setTimeout(() => void this.#write(), LAZY_MS)
  }

  /** The bytes of a record; undefined: it is not there any more. */
  async read(mark: number): Promise<Uint8Array | undefined> {
    const waiting = [...this.#leaving, ...this.#pending].find((record) => record.mark === mark)
    if (waiting !== undefined) return waiting.bytes
    const group = this.#groupOf(mark)
    if (group === undefined) return undefined
    try {
      const { files, directory } = this.#o
      const payload = await files.readPart(join(directory, group.file), group.offset + GROUP_HEADER_BYTES, group.bytes)
      for (const record of recordsIn(payload)) if (record.mark === mark) return record.bytes
    } catch {
      // Its segment was dropped meanwhile, or cannot be read: for who asks that is the same.
    }
    return undefined
  }

  /** Segments that hold only marks below this one may go. */
  forget(below: number): void {
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
    if (this.#pending.length > 0) await this.#write()
    await this.#log.close()
  }

  async #write(): Promise<void> {
    if (this.#writing) return
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#writing = true
    try {
      // What comes while a group is written, barriers above all, is the next group.
      while (this.#barriers.length > 0 || this.#pending.length > 0) await this.#writeGroup()
    } catch (error) {
      this.#o.logger.warn(
        { event: 'cluster.wal.lost', error: String(error) },
        'The end of the consensus log was not written',
      )
    } finally {
      this.#writing = false
      this.#idle?.()
    }
  }

  async #writeGroup(): Promise<void> {
    const records = this.#pending
    this.#leaving = records
    const barriers = this.#barriers
    const payload = encodeRecords(records, this.#pendingBytes)
    this.#pending = []
    this.#pendingBytes = 0
    this.#barriers = []
    const firstMark = records[0]?.mark
    const lastMark = records.at(-1)?.mark
    if (firstMark !== undefined && lastMark !== undefined) {
      const place = await this.#log.write([payload], lastMark)
      this.#groups.push({ ...place, bytes: payload.length, firstMark, lastMark })
    }
    this.#leaving = []
    for (const barrier of barriers) this.#o.onDurable(barrier)
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

/** May be gone through more than once. */
function recordsOf(groups: readonly Uint8Array[]): Iterable<WalRecord> {
  return {
    *[Symbol.iterator]() {
      for (const group of groups) yield* recordsIn(group)
    },
  }
}

function marksOf(payload: Uint8Array): { readonly firstMark: number; readonly lastMark: number } {
  let firstMark = -1
  let lastMark = -1
  for (const { mark } of recordsIn(payload)) {
    if (firstMark < 0) firstMark = mark
    lastMark = mark
  }
  return { firstMark, lastMark }
}

function lastMarkOf(groups: readonly Group[], file: string): number {
  let last = 0
  for (const group of groups) if (group.file === file) last = Math.max(last, group.lastMark)
  return last
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
