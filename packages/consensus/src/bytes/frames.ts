/**
 * What nodes send each other (consensus.md section 16): `type u8 | length u32 | body`. Here are bytes and values only; what is
 * said by whom, and whether to believe it, is for the core. Blocks and certificates stay bytes, since they have codecs of their own.
 *
 * Beyond the table of section 16, STATUS carries the epoch's number, since hashes do not tell which epoch is newer, and the serve
 * horizon, by which a node that fell behind learns that only a snapshot helps (section 11). HELLO (type 1) is the links' own: who a
 * peer is was settled before the engine hears of it.
 */
import type { BlockName } from '../model/block.ts'
import { type Decoded, digestBytes, signatureBytes } from './block-codec.ts'
import { nodesMax } from './epoch-record.ts'
import { Reader } from './reader.ts'
import { Writer } from './writer.ts'

/** Bytes of type and length. */
export const frameHeadBytes = 5
/** What a frame may be longer than the largest block. */
export const frameBytesMore = 1024
export const fetchNamesMax = 64
export const nonceBytes = 32
/** Content of a checkpoint: bounds, not its form (`log/`). */
export const checkpointBytesMax = 512

export const FrameType = {
  status: 2,
  block: 3,
  fetch: 4,
  blocks: 5,
  checkpointVote: 6,
  certificateRequest: 7,
  certificate: 8,
  snapshotRequest: 9,
  snapshot: 10,
  ownLastRequest: 11,
  ownLast: 12,
  range: 13,
  ping: 14,
  pong: 15,
} as const
export type FrameType = (typeof FrameType)[keyof typeof FrameType]

export interface PeerStatus {
  readonly type: 'status'
  readonly epoch: number
  readonly nextStep: number
  readonly collectedRound: number
  readonly quorumRound: number
  /** Per author. */
  readonly lastRounds: readonly number[]
  /** Step of the newest checkpoint with a certificate; 0: none. */
  readonly checkpointStep: number
  /** The lowest round whose blocks are still served. */
  readonly horizonRound: number
}

/** One thing of an answer to `fetch` or `range`. */
export type BlocksEntry =
  | { readonly type: 'block'; readonly bytes: Uint8Array }
  /** Never seen here, or collected: below the serve horizon. */
  | ({ readonly type: 'unknown' | 'collected' } & BlockName)

export type Frame =
  | PeerStatus
  | { readonly type: 'block'; readonly bytes: Uint8Array }
  | { readonly type: 'fetch'; readonly request: number; readonly names: readonly BlockName[] }
  | {
      readonly type: 'blocks'
      readonly request: number
      /** No further frame answers this request. */
      readonly last: boolean
      readonly entries: readonly BlocksEntry[]
    }
  | { readonly type: 'checkpointVote'; readonly content: Uint8Array; readonly signature: Uint8Array }
  /** `step` 0: the newest. */
  | { readonly type: 'certificateRequest'; readonly step: number }
  /** A certificate, and those of the ends of the epochs before it, oldest first, as far as the asker may lack them. */
  | { readonly type: 'certificate'; readonly certificate: Uint8Array; readonly chain: readonly Uint8Array[] }
  | { readonly type: 'snapshotRequest'; readonly hash: Uint8Array; readonly chunk: number }
  /** Without bytes: not here. */
  | { readonly type: 'snapshot'; readonly hash: Uint8Array; readonly chunk: number; readonly bytes: Uint8Array }
  | { readonly type: 'ownLastRequest'; readonly nonce: Uint8Array }
  /** `block`: the answerer's newest own block; empty: it made none. Signed: `ownLastContent`. */
  | {
      readonly type: 'ownLast'
      readonly nonce: Uint8Array
      readonly asker: number
      readonly block: Uint8Array
      readonly signature: Uint8Array
    }
  | { readonly type: 'range'; readonly request: number; readonly round: number }
  | { readonly type: 'ping' | 'pong'; readonly timeUs: number }

/** A frame with its head. */
export function encodeFrame(frame: Frame): Uint8Array {
  const writer = new Writer()
  writer.u8(FrameType[frame.type])
  writer.u32(0)
  writeFrame(writer, frame)
  writer.u32At(1, writer.length - frameHeadBytes)
  return writer.take()
}

/** The bytes of a block in a frame: what `encodeFrame` makes, without the copy in between. */
export function encodeBlockFrame(block: { header: Uint8Array; signature: Uint8Array; body: Uint8Array }): Uint8Array {
  const writer = new Writer(frameHeadBytes + block.header.length + block.signature.length + block.body.length)
  writer.u8(FrameType.block)
  writer.u32(block.header.length + block.signature.length + block.body.length)
  writer.raw(block.header)
  writer.raw(block.signature)
  writer.raw(block.body)
  return writer.take()
}

/** Length of the whole frame that begins with these bytes, of which there are at least `frameHeadBytes`. */
export function frameLength(head: Uint8Array, at = 0): number {
  const reader = new Reader(head, at + 1)
  return frameHeadBytes + reader.u32()
}

/** Reads a whole frame. Byte strings are views of it. */
export function decodeFrame(bytes: Uint8Array, blockBytesMax: number): Decoded<Frame> {
  if (bytes.length > blockBytesMax + frameBytesMore) return { ok: false, problem: 'frame is too large' }
  const reader = new Reader(bytes)
  const type = reader.u8()
  if (reader.u32() !== bytes.length - frameHeadBytes) reader.fail('length of the frame is another')
  const frame = readFrame(reader, type)
  if (frame === undefined) return { ok: false, problem: 'type of frame is unknown' }
  return reader.end() ? { ok: true, value: frame } : { ok: false, problem: reader.problem ?? 'bytes follow the end' }
}

/** What a node signs with tag `ownlast`: its newest own block, if it made one, for this asker and nonce. */
export function ownLastContent(nonce: Uint8Array, asker: number, block: BlockName | undefined): Uint8Array {
  const writer = new Writer()
  writer.raw(nonce)
  writer.u8(asker)
  writer.u64(block?.round ?? 0)
  writer.raw(block?.digest ?? new Uint8Array(digestBytes))
  return writer.take()
}

function writeFrame(writer: Writer, frame: Frame): void {
  switch (frame.type) {
    case 'status':
      return writeStatus(writer, frame)
    case 'block':
      return writer.raw(frame.bytes)
    case 'fetch':
      writer.u32(frame.request)
      writer.u16(frame.names.length)
      for (const name of frame.names) writeName(writer, name)
      return
    case 'blocks':
      return writeBlocks(writer, frame)
    case 'checkpointVote':
      writer.bytes(frame.content)
      return writer.raw(frame.signature)
    case 'certificateRequest':
      return writer.u64(frame.step)
    case 'certificate':
      writer.bytes(frame.certificate)
      writer.u16(frame.chain.length)
      for (const link of frame.chain) writer.bytes(link)
      return
    case 'snapshotRequest':
      writer.raw(frame.hash)
      return writer.u32(frame.chunk)
    case 'snapshot':
      writer.raw(frame.hash)
      writer.u32(frame.chunk)
      return writer.bytes(frame.bytes)
    case 'ownLastRequest':
      return writer.raw(frame.nonce)
    case 'ownLast':
      writer.raw(frame.nonce)
      writer.u8(frame.asker)
      writer.bytes(frame.block)
      return writer.raw(frame.signature)
    case 'range':
      writer.u32(frame.request)
      return writer.u64(frame.round)
    case 'ping':
    case 'pong':
      return writer.u64(frame.timeUs)
  }
}

function readFrame(reader: Reader, type: number): Frame | undefined {
  switch (type) {
    case FrameType.status:
      return readStatus(reader)
    case FrameType.block:
      return { type: 'block', bytes: reader.raw(reader.left) }
    case FrameType.fetch:
      return { type: 'fetch', request: reader.u32(), names: readNames(reader) }
    case FrameType.blocks:
      return { type: 'blocks', request: reader.u32(), last: reader.flag(), entries: readEntries(reader) }
    case FrameType.checkpointVote:
      return {
        type: 'checkpointVote',
        content: reader.bytes(checkpointBytesMax),
        signature: reader.raw(signatureBytes),
      }
    case FrameType.certificateRequest:
      return { type: 'certificateRequest', step: reader.u64() }
    case FrameType.certificate:
      return { type: 'certificate', certificate: reader.bytes(reader.left), chain: readChain(reader) }
    case FrameType.snapshotRequest:
      return { type: 'snapshotRequest', hash: reader.raw(digestBytes), chunk: reader.u32() }
    case FrameType.snapshot:
      return { type: 'snapshot', hash: reader.raw(digestBytes), chunk: reader.u32(), bytes: reader.bytes(reader.left) }
    case FrameType.ownLastRequest:
      return { type: 'ownLastRequest', nonce: reader.raw(nonceBytes) }
    case FrameType.ownLast:
      return {
        type: 'ownLast',
        nonce: reader.raw(nonceBytes),
        asker: reader.u8(),
        block: reader.bytes(reader.left),
        signature: reader.raw(signatureBytes),
      }
    case FrameType.range:
      return { type: 'range', request: reader.u32(), round: reader.u64() }
    case FrameType.ping:
      return { type: 'ping', timeUs: reader.u64() }
    case FrameType.pong:
      return { type: 'pong', timeUs: reader.u64() }
    default:
      return undefined
  }
}

function writeStatus(writer: Writer, status: PeerStatus): void {
  writer.u32(status.epoch)
  writer.u64(status.nextStep)
  writer.u64(status.collectedRound)
  writer.u64(status.quorumRound)
  writer.u8(status.lastRounds.length)
  for (const round of status.lastRounds) writer.u64(round)
  writer.u64(status.checkpointStep)
  writer.u64(status.horizonRound)
}

function readStatus(reader: Reader): PeerStatus {
  const epoch = reader.u32()
  const nextStep = reader.u64()
  const collectedRound = reader.u64()
  const quorumRound = reader.u64()
  const count = reader.u8()
  if (count > nodesMax) reader.fail('more authors than a book has')
  const lastRounds: number[] = []
  for (let i = 0; i < count && reader.problem === undefined; i++) lastRounds.push(reader.u64())
  return {
    type: 'status',
    epoch,
    nextStep,
    collectedRound,
    quorumRound,
    lastRounds,
    checkpointStep: reader.u64(),
    horizonRound: reader.u64(),
  }
}

function writeName(writer: Writer, name: BlockName): void {
  writer.u8(name.author)
  writer.u64(name.round)
  writer.raw(name.digest)
}

function readName(reader: Reader): BlockName {
  return { author: reader.u8(), round: reader.u64(), digest: reader.raw(digestBytes) }
}

function readNames(reader: Reader): BlockName[] {
  const count = reader.u16()
  if (count > fetchNamesMax) reader.fail('too many names')
  const names: BlockName[] = []
  for (let i = 0; i < count && reader.problem === undefined; i++) names.push(readName(reader))
  return names
}

const ENTRY_BLOCK = 1
const ENTRY_UNKNOWN = 2
const ENTRY_COLLECTED = 3

function writeBlocks(writer: Writer, frame: Extract<Frame, { type: 'blocks' }>): void {
  writer.u32(frame.request)
  writer.u8(frame.last ? 1 : 0)
  writer.u16(frame.entries.length)
  for (const entry of frame.entries) {
    if (entry.type === 'block') {
      writer.u8(ENTRY_BLOCK)
      writer.bytes(entry.bytes)
    } else {
      writer.u8(entry.type === 'unknown' ? ENTRY_UNKNOWN : ENTRY_COLLECTED)
      writeName(writer, entry)
    }
  }
}

function readEntries(reader: Reader): BlocksEntry[] {
  const count = reader.u16()
  const entries: BlocksEntry[] = []
  for (let i = 0; i < count && reader.problem === undefined; i++) {
    const kind = reader.u8()
    if (kind === ENTRY_BLOCK) entries.push({ type: 'block', bytes: reader.bytes(reader.left) })
    else if (kind === ENTRY_UNKNOWN) entries.push({ type: 'unknown', ...readName(reader) })
    else if (kind === ENTRY_COLLECTED) entries.push({ type: 'collected', ...readName(reader) })
    else reader.fail('kind of entry is unknown')
  }
  return entries
}

function readChain(reader: Reader): Uint8Array[] {
  const count = reader.u16()
  const chain: Uint8Array[] = []
  for (let i = 0; i < count && reader.problem === undefined; i++) chain.push(reader.bytes(reader.left))
  return chain
}
