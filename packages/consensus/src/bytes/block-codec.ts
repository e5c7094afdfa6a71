/**
 * A block in bytes (consensus.md sections 3 and 4). Decoding checks all of well-formedness but the signature, which costs a
 * hundred times as much and is checked elsewhere:
 *
 *     header  "CQB1" epoch author round tsUs flags | references | messageCount bodyLength bodyHash
 *     block   header | signature 64 | body
 *
 * One block has one encoding; whatever else is refused with a word that says why, never thrown.
 */
import { type Block, type BlockMessage, MessageKind, type Reference } from '../model/block.ts'
import type { Epoch } from '../model/epoch.ts'
import type { Domain } from './domain.ts'
import { compareBytes, sameBytes } from './order.ts'
import { Reader } from './reader.ts'
import { hasRepeated } from './repeated.ts'
import { Writer } from './writer.ts'

export const digestBytes = 32
export const signatureBytes = 64

const MAGIC = 0x43514231 // CQB1
const FIXED_HEADER_BYTES = 4 + 4 + 1 + 8 + 8 + 1 + 2 + 2 + 4 + 32
const PARENT_BYTES = 1 + 1 + 8 + 32
const REPORT_BYTES = PARENT_BYTES + 8
const MESSAGE_BYTES_MIN = 1 + 8 + 8 + 4
const KIND_PARENT = 1
const KIND_REPORT = 2
const KIND_BOTH = 3
const MESSAGE_KIND_MAX: number = MessageKind.checkpointRequest
const NO_HASH = new Uint8Array(digestBytes)

/** What an author puts into a block. `references` in the order of the table (section 3). */
export interface BlockContent {
  readonly author: number
  readonly round: number
  readonly tsUs: number
  readonly references: readonly Reference[]
  readonly messages: readonly BlockMessage[]
}

/** Either a block, or why the bytes are none. */
export type Decoded<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problem: string }

/**
 * Blocks that were well-formed before, by their bytes, for several engines in one process: each block is decoded once in place of once
 * per engine. What is found must have been added with equal bytes by an engine of the same network.
 */
export interface KnownBlocks {
  readonly find: (bytes: Uint8Array) => Block | undefined
  readonly add: (bytes: Uint8Array, block: Block) => void
}

/** How many bytes a block with these contents takes, to know when it is full. */
export function blockSize(content: {
  parents: number
  reports: number
  messages: number
  messageBytes: number
}): number {
  return (
    FIXED_HEADER_BYTES +
    signatureBytes +
    content.parents * PARENT_BYTES +
    content.reports * REPORT_BYTES +
    content.messages * MESSAGE_BYTES_MIN +
    content.messageBytes
  )
}

/** Makes a block; `sign` is given its digest. That the content is in order is the caller's promise. */
export function makeBlock(
  content: BlockContent,
  epoch: Epoch,
  domain: Domain,
  sign: (digest: Uint8Array) => Uint8Array,
): Block {
  const body = encodeBody(content.messages)
  const header = encodeHeader(content, epoch.number, body, body.length === 0 ? NO_HASH : domain.bodyHash(body))
  const digest = domain.blockDigest(header)
  return {
    epoch: epoch.number,
    author: content.author,
    round: content.round,
    tsUs: content.tsUs,
    digest,
    references: content.references,
    messageCount: content.messages.length,
    header,
    signature: sign(digest),
    body,
  }
}

/** header | signature | body. A view, not a copy, if the block was read from these bytes: they are stored and sent on as they came. */
export function encodeBlock(block: Pick<Block, 'header' | 'signature' | 'body'>): Uint8Array {
  const { header, signature, body } = block
  const size = header.length + signature.length + body.length
  if (isBehind(header, signature) && isBehind(signature, body)) {
    return new Uint8Array(header.buffer, header.byteOffset, size)
  }
  const bytes = new Uint8Array(size)
  bytes.set(header)
  bytes.set(signature, header.length)
  bytes.set(body, header.length + signature.length)
  return bytes
}

/** Whether `second` stands right behind `first` in one buffer. */
function isBehind(first: Uint8Array, second: Uint8Array): boolean {
  return second.buffer === first.buffer && second.byteOffset === first.byteOffset + first.length
}

/**
 * Reads a block and checks V1, V2 and V4 to V8. The signature remains: over `signedBlockBytes(block.digest)`, by the key of
 * `block.author`. The block's fields are views of `bytes`, or of equal bytes that `known` had before.
 */
export function decodeBlock(bytes: Uint8Array, epoch: Epoch, domain: Domain, known?: KnownBlocks): Decoded<Block> {
  if (known === undefined) return decodeNew(bytes, epoch, domain)
  const before = known.find(bytes)
  if (before !== undefined && before.epoch === epoch.number) return { ok: true, value: before }
  const decoded = decodeNew(bytes, epoch, domain)
  if (decoded.ok) known.add(bytes, decoded.value)
  return decoded
}

function decodeNew(bytes: Uint8Array, epoch: Epoch, domain: Domain): Decoded<Block> {
  if (bytes.length > epoch.constants.blockBytesMax) return refuse('block is too large')
  const reader = new Reader(bytes)
  const header = readHeader(reader, epoch)
  if (reader.problem !== undefined) return refuse(reader.problem)
  const headerBytes = bytes.subarray(0, reader.at)
  const signature = reader.raw(signatureBytes)
  const body = reader.raw(header.bodyLength)
  if (!reader.end()) return refuse(reader.problem ?? 'bytes follow the end')
  const problem = bodyProblem(body, header, domain) ?? referencesProblem(header, epoch)
  if (problem !== undefined) return refuse(problem)
  return {
    ok: true,
    value: {
      epoch: epoch.number,
      author: header.author,
      round: header.round,
      tsUs: header.tsUs,
      digest: domain.blockDigest(headerBytes),
      references: header.references,
      messageCount: header.messageCount,
      header: headerBytes,
      signature,
      body,
    },
  }
}

/** A header alone, as evidence carries it: checked like a block's, except for the body that is not there. */
export function decodeHeader(
  bytes: Uint8Array,
  epoch: Epoch,
  domain: Domain,
): Decoded<Omit<Block, 'signature' | 'body'>> {
  if (bytes.length > epoch.constants.blockBytesMax) return refuse('header is too large')
  const reader = new Reader(bytes)
  const header = readHeader(reader, epoch)
  if (!reader.end()) return refuse(reader.problem ?? 'bytes follow the end')
  const problem = referencesProblem(header, epoch)
  if (problem !== undefined) return refuse(problem)
  const { author, round, tsUs, references, messageCount } = header
  return {
    ok: true,
    value: {
      epoch: epoch.number,
      author,
      round,
      tsUs,
      digest: domain.blockDigest(bytes),
      references,
      messageCount,
      header: bytes,
    },
  }
}

/** The messages of a well-formed block, in body order. */
export function blockMessages(block: Pick<Block, 'body' | 'messageCount'>): BlockMessage[] {
  const messages: BlockMessage[] = []
  const reader = new Reader(block.body)
  for (let i = 0; i < block.messageCount; i++) {
    messages.push({
      kind: reader.u8() as MessageKind,
      seq: reader.u64(),
      recvUs: reader.u64(),
      bytes: reader.raw(reader.u32()),
    })
  }
  return messages
}

interface Header {
  readonly author: number
  readonly round: number
  readonly tsUs: number
  readonly references: readonly Reference[]
  readonly messageCount: number
  readonly bodyLength: number
  readonly bodyHash: Uint8Array
}

function encodeHeader(content: BlockContent, epoch: number, body: Uint8Array, bodyHash: Uint8Array): Uint8Array {
  let size = FIXED_HEADER_BYTES
  for (const reference of content.references) size += reference.report ? REPORT_BYTES : PARENT_BYTES
  const writer = new Writer(size)
  writer.u32(MAGIC)
  writer.u32(epoch)
  writer.u8(content.author)
  writer.u64(content.round)
  writer.u64(content.tsUs)
  writer.u8(0)
  writer.u16(content.references.length)
  for (const reference of content.references) {
    writer.u8(reference.report ? (reference.parent ? KIND_BOTH : KIND_REPORT) : KIND_PARENT)
    writer.u8(reference.author)
    writer.u64(reference.round)
    writer.raw(reference.digest)
    if (reference.report) writer.u64(reference.recvUs)
  }
  writer.u16(content.messages.length)
  writer.u32(body.length)
  writer.raw(bodyHash)
  return writer.take()
}

function encodeBody(messages: readonly BlockMessage[]): Uint8Array {
  let size = 0
  for (const message of messages) size += MESSAGE_BYTES_MIN + message.bytes.length
  const writer = new Writer(Math.max(1, size))
  for (const message of messages) {
    writer.u8(message.kind)
    writer.u64(message.seq)
    writer.u64(message.recvUs)
    writer.bytes(message.bytes)
  }
  return writer.take()
}

function readHeader(reader: Reader, epoch: Epoch): Header {
  const { constants } = epoch
  if (reader.u32() !== MAGIC) reader.fail('magic is not CQB1')
  if (reader.u32() !== epoch.number) reader.fail('epoch is another')
  const author = reader.u8()
  if (author >= epoch.n) reader.fail('author is not in the book')
  const round = reader.u64()
  if (round < 1) reader.fail('round is 0')
  const tsUs = reader.u64()
  if (reader.u8() !== 0) reader.fail('flags are unknown')
  const count = reader.u16()
  if (count > constants.refsMax) reader.fail('too many references')
  const references: Reference[] = []
  for (let i = 0; i < count && reader.problem === undefined; i++) references.push(readReference(reader, epoch.n))
  const messageCount = reader.u16()
  const bodyLength = reader.u32()
  const bodyHash = reader.raw(digestBytes)
  if (messageCount > constants.blockMessagesMax) reader.fail('too many messages')
  return { author, round, tsUs, references, messageCount, bodyLength, bodyHash }
}

function readReference(reader: Reader, n: number): Reference {
  const kind = reader.u8()
  if (kind < KIND_PARENT || kind > KIND_BOTH) reader.fail('kind of reference is unknown')
  const author = reader.u8()
  if (author >= n) reader.fail('referenced author is not in the book')
  const round = reader.u64()
  if (round < 1) reader.fail('referenced round is 0')
  const digest = reader.raw(digestBytes)
  const report = kind !== KIND_PARENT
  return { parent: kind !== KIND_REPORT, report, author, round, digest, recvUs: report ? reader.u64() : 0 }
}

/** V4 and V8: the body is the one that the header names, and its messages are in order. */
function bodyProblem(body: Uint8Array, header: Header, domain: Domain): string | undefined {
  if (header.messageCount === 0) {
    return body.length === 0 && sameBytes(header.bodyHash, NO_HASH) ? undefined : 'body without messages'
  }
  const reader = new Reader(body)
  let lastSeq = -1
  for (let i = 0; i < header.messageCount; i++) {
    const kind = reader.u8()
    if (kind < 1 || kind > MESSAGE_KIND_MAX) reader.fail('kind of message is unknown')
    const seq = reader.u64()
    reader.u64()
    reader.raw(reader.u32())
    if (reader.problem !== undefined) return reader.problem
    if (seq <= lastSeq) return 'submission numbers do not ascend'
    lastSeq = seq
  }
  if (!reader.end()) return reader.problem
  return sameBytes(domain.bodyHash(body), header.bodyHash) ? undefined : 'body has another hash'
}

/** V5 to V7 and the order of the table (section 3). */
function referencesProblem(header: Header, epoch: Epoch): string | undefined {
  const { references } = header
  let reports = 0
  while (reports < references.length && (references[reports] as Reference).report) reports++
  return (
    orderProblem(references, reports) ??
    parentsProblem(header, epoch) ??
    reportsProblem(header, reports, epoch) ??
    ownProblem(header)
  )
}

/** First the reports by time, then the other parents by (round descending, author ascending). */
function orderProblem(references: readonly Reference[], reports: number): string | undefined {
  for (let i = 1; i < references.length; i++) {
    const before = references[i - 1] as Reference
    const reference = references[i] as Reference
    if (i < reports) {
      if (reference.recvUs < before.recvUs) return 'reports are not in order'
    } else {
      if (reference.report) return 'report behind a parent'
      if (i > reports && (before.round - reference.round || reference.author - before.author) <= 0) {
        return 'parents are not in order'
      }
    }
  }
  return undefined
}

/** V5. */
function parentsProblem(header: Header, epoch: Epoch): string | undefined {
  const { references, round } = header
  let directAuthors = 0
  let count = 0
  const older: Reference[] = []
  for (const reference of references) {
    if (!reference.parent) continue
    if (reference.round >= round) return 'parent is not of a lower round'
    if (reference.round === round - 1) {
      const bit = 1 << reference.author
      if ((directAuthors & bit) !== 0) return 'two parents of one author and round'
      directAuthors |= bit
      count++
    } else older.push(reference)
  }
  if (hasRepeated(older, compareOrigins)) return 'two parents of one author and round'
  return round > 1 && count < epoch.q ? 'too few parents of the round before' : undefined
}

/** V7: reports lie in the window, are not about the author's own units, not after the block, and no unit twice. */
function reportsProblem(header: Header, reports: number, epoch: Epoch): string | undefined {
  const { references, round, author, tsUs } = header
  const oldest = round - epoch.constants.reportAgeRounds
  const newest = round + epoch.constants.reportAheadRounds
  for (let i = 0; i < reports; i++) {
    const report = references[i] as Reference
    if (report.round < oldest || report.round > newest) return 'reported unit is out of the window'
    if (report.author === author) return 'report of an own unit'
    if (report.recvUs > tsUs) return 'report is later than the block'
  }
  // Parents that are no reports are in strict order, so a name that stands twice is that of a report.
  return reports > 0 && hasRepeated(references, compareNamed) ? 'unit is named twice' : undefined
}

/** V6: of the author's own blocks at most one, as a parent. */
function ownProblem(header: Header): string | undefined {
  let own = 0
  for (const reference of header.references) if (reference.author === header.author) own++
  return own > 1 ? 'more than one own parent' : undefined
}

function compareOrigins(a: Reference, b: Reference): number {
  return a.round - b.round || a.author - b.author
}

function compareNamed(a: Reference, b: Reference): number {
  return compareOrigins(a, b) || compareBytes(a.digest, b.digest)
}

function refuse(problem: string): { readonly ok: false; readonly problem: string } {
  return { ok: false, problem }
}
