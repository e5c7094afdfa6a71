/**
 * A part of the log as it lies on disk for proofs: units with their leaves, and the hashes of the log tree that they completed.
 *
 *   <first leaf>.units     record …   author u8 | messages u16 | leaf length u16 | header length u32 | leaf | header | signature | body
 *   <first leaf>.hashes    roots below the first leaf, largest first; then what each leaf completed, lowest first
 *   <first leaf>.index     entry …    first position u64 | offset in .units u32 | length u32        one per leaf
 *   <first leaf>.cert      the newest certificate when it was written
 *
 * A segment is written once, by the process that began it. Nothing is synced: what a crash tears is told from the files that are
 * shorter than the index says, and what lies in them is checked before it is shown (`proof-files.ts`).
 */
import { join } from 'node:path'
import {
  leafBytes,
  type NodeName,
  nodePlace,
  type OrderedBatch,
  type ProvenBlock,
  readLeaf,
} from '@concordmq/consensus'
import type { Files, LogFile } from '../../model/files.ts'

const ENTRY_BYTES = 16
const HASH_BYTES = 32
const HEAD_BYTES = 9
const SIGNATURE_BYTES = 64
const parts = ['units', 'hashes', 'index'] as const
type Part = (typeof parts)[number]

export interface SegmentPlace {
  readonly files: Files
  readonly directory: string
  readonly firstLeaf: number
}

/** What is known of a segment without reading it. */
export interface Segment {
  readonly firstLeaf: number
  /** The leaf behind its last. */
  endLeaf: number
  readonly firstPosition: number
  /** No position of it is at or above this one. */
  endPosition: number
  bytes: number
}

/** A unit of a segment. */
export interface StoredUnit {
  readonly leafIndex: number
  readonly leaf: Uint8Array
  readonly block: ProvenBlock
}

export function pathOf({ directory, firstLeaf }: SegmentPlace, part: Part | 'cert'): string {
  return join(directory, `${String(firstLeaf).padStart(16, '0')}.${part}`)
}

/** First leaves of the segments of which names are in a list. */
export function segmentsIn(names: readonly string[]): number[] {
  return names
    .flatMap((name) => (/^\d{16}\.index$/.test(name) ? [Number.parseInt(name, 10)] : []))
    .sort((a, b) => a - b)
}

export async function removeSegment(place: SegmentPlace): Promise<void> {
  for (const part of [...parts, 'cert'] as const) await place.files.remove(pathOf(place, part))
}

/** What of a segment is whole; undefined: nothing. */
export async function readSegment(place: SegmentPlace): Promise<Segment | undefined> {
  const { files, firstLeaf } = place
  const index = Buffer.from(await files.read(pathOf(place, 'index')))
  for (let count = Math.floor(index.length / ENTRY_BYTES); count > 0; count--) {
    const { position, offset, length } = entryAt(index, count - 1)
    const lastUnit = await files.readPart(pathOf(place, 'units'), offset, length)
    const hashes = hashesBefore(firstLeaf + count) - hashesBefore(firstLeaf) + ones(firstLeaf)
    const lastHash = await files.readPart(pathOf(place, 'hashes'), (hashes - 1) * HASH_BYTES, HASH_BYTES)
    const unit = lastUnit.length === length ? decodeUnit(lastUnit, firstLeaf + count - 1) : undefined
    const leaf = unit && readLeaf(unit.leaf)
    if (leaf === undefined || lastHash.length < HASH_BYTES) continue
    return {
      firstLeaf,
      endLeaf: firstLeaf + count,
      firstPosition: entryAt(index, 0).position,
      endPosition: position + leaf.count,
      bytes: offset + length + index.length + hashes * HASH_BYTES,
    }
  }
  return undefined
}

/** The unit that may have this position. */
export async function readUnit(place: SegmentPlace, { firstLeaf, endLeaf }: Segment, position: number) {
  const index = Buffer.from(await place.files.read(pathOf(place, 'index')))
  let low = 0
  let high = Math.min(endLeaf - firstLeaf, Math.floor(index.length / ENTRY_BYTES))
  while (low < high) {
    const middle = (low + high) >>> 1
    if (entryAt(index, middle).position <= position) low = middle + 1
    else high = middle
  }
  if (low === 0) return undefined
  const { offset, length } = entryAt(index, low - 1)
  const bytes = await place.files.readPart(pathOf(place, 'units'), offset, length)
  return bytes.length === length ? decodeUnit(bytes, firstLeaf + low - 1) : undefined
}

/** The hash of a complete subtree whose last leaf is in the segment; or, below its first leaf, of one of the roots there. */
export async function readHash(place: SegmentPlace, name: NodeName): Promise<Uint8Array> {
  const { files, firstLeaf } = place
  const lastLeaf = (name.index + 1) * 2 ** name.level - 1
  const at =
    lastLeaf < firstLeaf
      ? ones(Math.floor(firstLeaf / 2 ** (name.level + 1)))
      : ones(firstLeaf) + nodePlace(name) - hashesBefore(firstLeaf)
  return await files.readPart(pathOf(place, 'hashes'), at * HASH_BYTES, HASH_BYTES)
}

/** Writes a segment, in its order: a unit is in the index only when the rest of it is written. */
export class SegmentWriter {
  readonly segment: Segment
  readonly #place: SegmentPlace
  readonly #pending: Record<Part, Uint8Array[]>
  readonly #ends: Record<Part, number> = { units: 0, hashes: 0, index: 0 }
  #unitsEnd = 0
  #open: Promise<readonly LogFile[]> | undefined

  constructor(place: SegmentPlace, { frontier, leaf }: OrderedBatch) {
    const { firstLeaf } = place
    const { firstPosition } = leaf
    this.#place = place
    this.#pending = { units: [], hashes: [...frontier], index: [] }
    this.segment = { firstLeaf, endLeaf: firstLeaf, firstPosition, endPosition: firstPosition, bytes: 0 }
  }

  /** Bytes that the unit takes. */
  add({ unit, leaf, nodes }: OrderedBatch): number {
    const record = encodeUnit(unit, leafBytes(leaf))
    const entry = Buffer.alloc(ENTRY_BYTES)
    entry.writeBigUInt64BE(BigInt(leaf.firstPosition), 0)
    entry.writeUInt32BE(this.#unitsEnd, 8)
    entry.writeUInt32BE(record.length, 12)
    this.#unitsEnd += record.length
    this.#pending.units.push(record)
    this.#pending.hashes.push(...nodes)
    this.#pending.index.push(entry)
    const bytes = record.length + ENTRY_BYTES + nodes.length * HASH_BYTES
    this.segment.endLeaf++
    this.segment.endPosition = leaf.firstPosition + leaf.count
    this.segment.bytes += bytes
    return bytes
  }

  async flush(): Promise<void> {
    const batch = parts.map((part) => this.#pending[part].splice(0))
    this.#open ??= Promise.all(parts.map((part) => this.#place.files.open(pathOf(this.#place, part))))
    const files = await this.#open
    for (const [i, part] of parts.entries()) {
      const bytes = Buffer.concat(batch[i] ?? [])
      if (bytes.length > 0) await files[i]?.write(bytes, this.#ends[part])
      this.#ends[part] += bytes.length
    }
  }

  async close(): Promise<void> {
    const files = await this.#open
    for (const file of files ?? []) await file.close()
  }
}

function entryAt(index: Buffer, i: number) {
  const at = i * ENTRY_BYTES
  return {
    position: Number(index.readBigUInt64BE(at)),
    offset: index.readUInt32BE(at + 8),
    length: index.readUInt32BE(at + 12),
  }
}

function encodeUnit({ author, messageCount, header, signature, body }: ProvenBlock, leaf: Uint8Array): Uint8Array {
  const head = Buffer.alloc(HEAD_BYTES)
  head.writeUInt8(author, 0)
  head.writeUInt16BE(messageCount, 1)
  head.writeUInt16BE(leaf.length, 3)
  head.writeUInt32BE(header.length, 5)
  return Buffer.concat([head, leaf, header, signature, body])
}

function decodeUnit(bytes: Uint8Array, leafIndex: number): StoredUnit | undefined {
  if (bytes.length < HEAD_BYTES) return undefined
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, HEAD_BYTES)
  const afterLeaf = HEAD_BYTES + head.readUInt16BE(3)
  const afterHeader = afterLeaf + head.readUInt32BE(5)
  const afterSignature = afterHeader + SIGNATURE_BYTES
  if (afterSignature > bytes.length) return undefined
  return {
    leafIndex,
    leaf: bytes.subarray(HEAD_BYTES, afterLeaf),
    block: {
      author: head.readUInt8(0),
      messageCount: head.readUInt16BE(1),
      header: bytes.subarray(afterLeaf, afterHeader),
      signature: bytes.subarray(afterHeader, afterSignature),
      body: bytes.subarray(afterSignature),
    },
  }
}

/** How many hashes a tree of so many leaves has completed. */
function hashesBefore(leaves: number): number {
  return 2 * leaves - ones(leaves)
}

function ones(value: number): number {
  let count = 0
  for (let rest = value; rest > 0; rest = Math.floor(rest / 2)) count += rest % 2
  return count
}
