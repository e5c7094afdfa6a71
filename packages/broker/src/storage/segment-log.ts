/**
 * Writes the log: one group at a time, one synchronised write each; what arrives meanwhile is the next group.
 *
 *   write(payload) ─▶ room in the segment? ─no─▶ next segment (a spare one, or new)
 *                          └─▶ write and sync ─▶ done
 *
 * Files are allocated ahead, because a sync that must also record a new length costs several times as much. A group that
 * cannot be written is tried again, behind the last group that is safe, until it succeeds: in a new segment, unless the disk
 * is full, since nobody knows what became of the old one's pages. Meanwhile `trouble` says what is wrong.
 */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { Files, LogFile } from '../model/files.ts'
import {
  encodeSegmentHeader,
  GROUP_HEADER_BYTES,
  GROUPS_START,
  groupBytes,
  sealGroup,
  segmentName,
} from './log-format.ts'
import type { LogPlace } from './log-reader.ts'

export interface SegmentLogOptions {
  readonly files: Files
  readonly directory: string
  /** Segments are at least so long, bytes. */
  readonly segmentBytes: number
  /** False: a group is done when the operating system has it (`--durability os`). */
  readonly sync: boolean
  /** The last segment that there is, and where its groups end. */
  readonly lastNumber: number
  readonly lastEnd: number
  /** `undefined`: it works again. Called at each change. */
  readonly onTrouble: (trouble: Error | undefined) => void
}

/**
 * A file grows by zeros, ahead of what is written: by so many groups as they were since it grew last, on the average, within these
 * bounds. Whoever waits for the next group waits for the zeros, too: 4 MiB of them are 30 to 60 ms, 256 KiB are 3.
 */
const AHEAD_GROUPS = 64
const AHEAD_BYTES_MIN = 256 * 1024
const AHEAD_BYTES_MAX = 4 * 1024 * 1024
const RETRY_MS_MIN = 50
const RETRY_MS_MAX = 2000
const SPARES_MAX = 1
/** A group up to so long is put together where the one before was: memory outside the heap costs the engine (`read-memory.ts`). */
const GROUP_KEPT_BYTES = 1 << 20

/** A segment that is written no more; `tag`: the highest of its groups. */
export interface ClosedSegment {
  readonly name: string
  readonly tag: number
}

interface Open {
  readonly number: number
  readonly path: string
  readonly file: LogFile
  readonly salt: Uint8Array
  sequence: number
  /** Where the next group goes; all before it is safe. */
  end: number
  allocated: number
  /** The sequence and the end when it grew last. */
  grown: { readonly sequence: number; readonly end: number }
}

export class SegmentLog {
  readonly #o: SegmentLogOptions
  #open: Open | undefined
  #lastNumber: number
  #lastEnd: number
  readonly #closed: ClosedSegment[]
  /** Files of deleted segments, to be used again: they are allocated already. */
  readonly #spares: string[] = []
  #spareCount = 0
  #tag = 0
  #trouble: Error | undefined
  #ended = false
  #wake: (() => void) | undefined
  #group = Buffer.allocUnsafeSlow(4096)

  constructor(options: SegmentLogOptions, segments: readonly ClosedSegment[]) {
    this.#o = options
    this.#lastNumber = options.lastNumber
    this.#lastEnd = options.lastEnd
    this.#closed = [...segments]
  }

  /** What stands in the way of the group that is being written. */
  get trouble(): Error | undefined {
    return this.#trouble
  }

  /**
   * Resolves with its place when the payload, in parts that the caller may use again at once, is safe. Tags ascend. One call at
   * a time. Rejects only after `stopRetrying`.
   */
  async write(parts: readonly Uint8Array[], tag: number): Promise<LogPlace> {
    let payloadBytes = 0
    for (const part of parts) payloadBytes += part.length
    const group = this.#room(groupBytes(payloadBytes))
    let at = GROUP_HEADER_BYTES
    for (const part of parts) {
      group.set(part, at)
      at += part.length
    }
    for (let delayMs = RETRY_MS_MIN; ; delayMs = Math.min(delayMs * 2, RETRY_MS_MAX)) {
      try {
        const place = await this.#tryToWrite(group, payloadBytes)
        this.#tag = tag
        if (this.#trouble !== undefined) this.#setTrouble(undefined)
        return place
      } catch (error) {
        if (this.#ended) throw error
        this.#setTrouble(error instanceof Error ? error : new Error(String(error)))
        await this.#pause(delayMs)
        if (this.#ended) throw error
      }
    }
  }

  /** Groups from now on go into a new segment, so that those before it can be dropped once they are not needed. */
  async rotate(): Promise<void> {
    const open = this.#open
    if (open === undefined) return
    this.#open = undefined
    this.#lastNumber = open.number
    this.#lastEnd = open.end
    this.#closed.push({ name: segmentName(open.number), tag: this.#tag })
    await open.file.close()
  }

  /** Removes the closed segments, oldest first, that hold no tag above `tag`. */
  async drop(tag: number): Promise<void> {
    const { files, directory } = this.#o
    for (let first = this.#closed[0]; first !== undefined && first.tag <= tag; first = this.#closed[0]) {
      const path = join(directory, first.name)
      if (this.#spares.length < SPARES_MAX) {
        const spare = join(directory, `spare-${++this.#spareCount}`)
        await files.rename(path, spare)
        this.#spares.push(spare)
      } else await files.remove(path)
      this.#closed.shift()
    }
  }

  /** From now on a group that cannot be written is not tried again: its `write` rejects. */
  stopRetrying(): void {
    this.#ended = true
    this.#wake?.()
  }

  async close(): Promise<void> {
    this.stopRetrying()
    const open = this.#open
    this.#open = undefined
    await open?.file.close()
    for (const spare of this.#spares.splice(0)) await this.#o.files.remove(spare)
  }

  /** Room for a group: one is written at a time. */
  #room(bytes: number): Buffer {
    if (bytes > GROUP_KEPT_BYTES) return Buffer.allocUnsafeSlow(bytes)
    if (bytes > this.#group.length) this.#group = Buffer.allocUnsafeSlow(Math.min(2 * bytes, GROUP_KEPT_BYTES))
    return this.#group.subarray(0, bytes)
  }

  async #tryToWrite(group: Buffer, payloadBytes: number): Promise<LogPlace> {
    const bytes = group.length
    if (this.#open !== undefined && this.#open.sequence > 0 && this.#open.end + bytes > this.#o.segmentBytes) {
      await this.rotate()
    }
    this.#open ??= await this.#begin()
    const open = this.#open
    sealGroup(group, payloadBytes, open.sequence, open.salt)
    await this.#allocate(open, bytes)
    try {
      await open.file.write(group, open.end)
    } catch (error) {
      // What a failed sync left in the cache may be lost though a second one succeeds: nothing more goes into this file. A full
      // disk wrote nothing, and would get a new file at every try.
      if (this.#o.sync && !isFull(error)) await this.rotate().catch(() => {})
      throw error
    }
    const place = { file: segmentName(open.number), offset: open.end }
    open.sequence++
    open.end += bytes
    return place
  }

  async #begin(): Promise<Open> {
    const { files, directory, sync } = this.#o
    const number = this.#lastNumber + 1
    const path = join(directory, segmentName(number))
    const spare = this.#spares.pop()
    if (spare !== undefined) await this.#takeSpare(spare, path)
    const file = sync ? await openSynced(files, path) : await files.open(path)
    try {
      const salt = randomBytes(16)
      await file.write(encodeSegmentHeader({ number, previousEnd: this.#lastEnd, salt }), 0)
      if (sync) await files.syncDirectory(directory)
      const allocated = spare === undefined ? GROUPS_START : this.#o.segmentBytes
      const grown = { sequence: 0, end: GROUPS_START }
      return { number, path, file, salt, sequence: 0, end: GROUPS_START, allocated, grown }
    } catch (error) {
      await file.close().catch(() => {})
      throw error
    }
  }

  /**
   * The first group of its earlier life goes before the file becomes a segment: with a header that a power cut tore, it would be
   * taken for a segment that holds groups and lost its header.
   */
  async #takeSpare(spare: string, path: string): Promise<void> {
    const { files, sync } = this.#o
    const file = sync ? await openSynced(files, spare) : await files.open(spare)
    try {
      await file.write(new Uint8Array(GROUP_HEADER_BYTES), GROUPS_START)
    } finally {
      await file.close()
    }
    await files.rename(spare, path)
  }

  /** Room for a group of so many bytes. */
  async #allocate(open: Open, bytes: number): Promise<void> {
    const end = open.end + bytes
    if (end <= open.allocated) return
    const { allocated: from, grown, sequence } = open
    const usual = (end - grown.end) / (sequence + 1 - grown.sequence)
    const ahead = Math.min(AHEAD_BYTES_MAX, Math.max(AHEAD_BYTES_MIN, Math.ceil(AHEAD_GROUPS * usual)))
    const to = Math.max(end, Math.min(from + ahead, this.#o.segmentBytes))
    await open.file.write(new Uint8Array(to - from), from)
    open.allocated = to
    open.grown = { sequence: sequence + 1, end }
  }

  #setTrouble(trouble: Error | undefined): void {
    const changed = (trouble === undefined) !== (this.#trouble === undefined)
    this.#trouble = trouble
    if (changed) this.#o.onTrouble(trouble)
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}

/** A file whose writes are on the disk when they resolve. */
async function openSynced(files: Files, path: string): Promise<LogFile> {
  if (files.openSynced !== undefined) return await files.openSynced(path)
  const file = await files.open(path)
  return {
    async write(bytes, position) {
      await file.write(bytes, position)
      await file.sync()
    },
    sync: () => file.sync(),
    close: () => file.close(),
  }
}

function isFull(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOSPC'
}
