/**
 * Reads the log at start, and for `data check`. What was cut off by a crash is left out: it was never acknowledged. What is
 * damaged before the end is no crash, and is refused with its place: acknowledged changes would be lost in silence.
 */
import { join } from 'node:path'
import type { Files } from '../model/files.ts'
import {
  decodeGroup,
  decodeSegmentHeader,
  GROUPS_START,
  groupBytes,
  hasGroupAt,
  type SegmentHeader,
  segmentNumber,
} from './log-format.ts'

/** One segment as it lies in the directory. */
interface Segment {
  readonly name: string
  readonly number: number
  readonly bytes: Uint8Array
  readonly header: SegmentHeader
}

export interface LogDamage {
  readonly file: string
  /** Byte offset of the first group that cannot be read. */
  readonly offset: number
  readonly detail: string
}

/** A group's file, and the offset in it. */
export interface LogPlace {
  readonly file: string
  readonly offset: number
}

export interface LogContents {
  /** Payloads, oldest first; all before the damage, if there is any. */
  readonly groups: readonly Uint8Array[]
  /** Where each begins. */
  readonly places: readonly LogPlace[]
  readonly damage: LogDamage | undefined
  /** Files that hold them, oldest first. */
  readonly segments: readonly string[]
  /** Segment files that never came to be: their header is not whole. */
  readonly stillborn: readonly string[]
  readonly lastNumber: number
  /** Where the groups of the last segment end. */
  readonly lastEnd: number
  /** Bytes behind that end which a crash left unfinished. */
  readonly tornBytes: number
}

/** `files` are read one after the other; a log is as large as what was written since the last save. */
export async function readLog(files: Files, directory: string): Promise<LogContents> {
  const { segments, stillborn, damage } = await findSegments(files, directory)
  const groups: Uint8Array[] = []
  const places: LogPlace[] = []
  let lastEnd = 0
  let tornBytes = 0
  let found: LogDamage | undefined = damage
  for (const [i, segment] of segments.entries()) {
    if (found !== undefined) break
    const next = segments[i + 1]
    const end = readGroups(segment, groups, places)
    lastEnd = end
    if (next !== undefined) {
      if (end < next.header.previousEnd) found = { file: segment.name, offset: end, detail: 'a group is damaged' }
      // What lies behind the end that the next segment names was given up before it was acknowledged.
      else if (end > next.header.previousEnd) dropBehind(segment, next.header.previousEnd, groups)
      places.length = groups.length
      continue
    }
    const later = findLaterGroup(segment, end)
    if (later !== undefined) {
      found = { file: segment.name, offset: end, detail: `a group is damaged, and one at ${later} behind it is whole` }
    } else tornBytes = unfinishedBytes(segment.bytes, end)
  }
  return {
    groups,
    places,
    damage: found,
    segments: segments.map(({ name }) => name),
    stillborn,
    lastNumber: segments.at(-1)?.number ?? 0,
    lastEnd,
    tornBytes,
  }
}

async function findSegments(
  files: Files,
  directory: string,
): Promise<{ segments: Segment[]; stillborn: string[]; damage: LogDamage | undefined }> {
  const names = (await files.list(directory))
    .map((name) => ({ name, number: segmentNumber(name) }))
    .filter((one): one is { name: string; number: number } => one.number !== undefined)
    .sort((a, b) => a.number - b.number)
  const segments: Segment[] = []
  const stillborn: string[] = []
  let damage: LogDamage | undefined
  for (const [i, { name, number }] of names.entries()) {
    const bytes = await files.read(join(directory, name))
    const header = decodeSegmentHeader(bytes)
    if (header === undefined || header.number !== number) {
      // The last one may have been under way when the process ended.
      if (i === names.length - 1 && (header !== undefined || !hasGroupAt(bytes, GROUPS_START))) stillborn.push(name)
      else damage ??= { file: name, offset: 0, detail: 'the header is damaged' }
      continue
    }
    const before = segments.at(-1)
    if (before !== undefined && before.number + 1 !== number) {
      damage ??= { file: name, offset: 0, detail: `the segment before it, ${before.number + 1}, is missing` }
    }
    segments.push({ name, number, bytes, header })
  }
  return { segments, stillborn, damage }
}

/** Appends the payloads of a segment; returns where they end. */
function readGroups({ name, bytes, header }: Segment, groups: Uint8Array[], places: LogPlace[]): number {
  let at = GROUPS_START
  for (let sequence = 0; ; sequence++) {
    const payload = decodeGroup(bytes, at, { sequence, salt: header.salt })
    if (payload === undefined) return at
    groups.push(payload)
    places.push({ file: name, offset: at })
    at += groupBytes(payload.length)
  }
}

function dropBehind({ bytes, header }: Segment, end: number, groups: Uint8Array[]): void {
  let at = GROUPS_START
  let whole = 0
  let all = 0
  for (let sequence = 0; ; sequence++) {
    const payload = decodeGroup(bytes, at, { sequence, salt: header.salt })
    if (payload === undefined) break
    all++
    at += groupBytes(payload.length)
    if (at <= end) whole++
  }
  groups.length -= all - whole
}

/** Offset of a whole group behind `end`, of any sequence. */
function findLaterGroup({ bytes, header }: Segment, end: number): number | undefined {
  for (let at = end + 8; at < bytes.length; at += 8) {
    if (bytes[at] !== 0x47 || bytes[at + 1] !== 0x52) continue
    if (decodeGroup(bytes, at, { sequence: undefined, salt: header.salt }) !== undefined) return at
  }
  return undefined
}

/** How much of what lies behind the end is not empty; a recycled file has remains of its former life there. */
function unfinishedBytes(bytes: Uint8Array, end: number): number {
  let last = bytes.length
  while (last > end && bytes[last - 1] === 0) last--
  return last - end
}
