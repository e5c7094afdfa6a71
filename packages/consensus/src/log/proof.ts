/**
 * A proof that a message has its position in the log (consensus.md section 10), complete in itself: whoever holds the network's
 * first address book checks it offline. From the message outwards:
 *
 *     message ─ body ─ block ─ leaf ─ path ─▶ root of the log in a checkpoint ◀─ signatures of a quorum ◀─ books, epoch by epoch
 *
 * Its text (`proof.json`) has one form to the byte, so that a changed byte is found wherever it is. Position, author, submission
 * number and time stand in it a second time, in the open: they are for the reader, and must agree with what is proven.
 */
import { blockMessages, type Decoded, encodeBlock } from '../bytes/block-codec.ts'
import type { Block } from '../model/block.ts'
import type { Epoch } from '../model/epoch.ts'
import { type Leaf, leafBytes, messageAt } from './leaf.ts'

export interface LogProof {
  /** Hash of the network's first epoch: what the reader must trust for this proof. */
  readonly genesis: Uint8Array
  readonly position: number
  /** Index of its author in the book of the block's epoch. */
  readonly author: number
  /** The author's submission number. */
  readonly seq: number
  /** Consensus time, µs. */
  readonly consensusUs: number
  /** The block that carries the message. */
  readonly block: Uint8Array
  readonly leaf: Uint8Array
  readonly leafIndex: number
  /** Sibling hashes from the leaf to the root, lowest first. */
  readonly path: readonly Uint8Array[]
  /** Of a checkpoint that covers the position. */
  readonly certificate: Uint8Array
  /** From the first epoch to that of the checkpoint. */
  readonly epochs: readonly Uint8Array[]
}

/** As much of a block as a proof needs. */
export type ProvenBlock = Pick<Block, 'author' | 'messageCount' | 'header' | 'signature' | 'body'>

/** What a proof is made of. */
export interface ProofParts {
  readonly genesis: Epoch
  readonly position: number
  /** The block, whose message has the position by this leaf. */
  readonly block: ProvenBlock
  readonly leaf: Leaf
  readonly leafIndex: number
  /** `inclusionPath` for the leaf in the checkpoint's tree. */
  readonly path: readonly Uint8Array[]
  /** `certificateBytes`. */
  readonly certificate: Uint8Array
  /** `epochLinkBytes` of each epoch's end, oldest first. */
  readonly epochs: readonly Uint8Array[]
}

/** The first line of every text; another form of proof will have another name. */
export const proofFormat = 'concordmq-proof/1'
/** Characters of a proof's text that anybody has to look at. */
export const proofTextMax = 16 * 1024 * 1024

export function makeProof(parts: ProofParts): LogProof {
  return {
    genesis: parts.genesis.hash,
    position: parts.position,
    author: parts.block.author,
    seq: blockMessages(parts.block)[messageAt(parts.leaf, parts.position)]?.seq as number,
    consensusUs: parts.leaf.consensusUs,
    block: encodeBlock(parts.block),
    leaf: leafBytes(parts.leaf),
    leafIndex: parts.leafIndex,
    path: parts.path,
    certificate: parts.certificate,
    epochs: parts.epochs,
  }
}

/** The text of a proof: JSON, byte strings in hexadecimal. */
export function proofText(proof: LogProof): string {
  const document = {
    format: proofFormat,
    genesis: hexOf(proof.genesis),
    position: proof.position,
    author: proof.author,
    seq: proof.seq,
    consensusUs: proof.consensusUs,
    block: hexOf(proof.block),
    leaf: hexOf(proof.leaf),
    leafIndex: proof.leafIndex,
    path: proof.path.map(hexOf),
    certificate: hexOf(proof.certificate),
    epochs: proof.epochs.map(hexOf),
  }
  return `${JSON.stringify(document, undefined, 2)}\n`
}

/** Reads the text of a proof; whatever is not exactly what `proofText` writes is refused with a word that says why. */
export function readProofText(text: string): Decoded<LogProof> {
  if (text.length > proofTextMax) return refuse(`text is longer than ${proofTextMax} characters`)
  let document: unknown
  try {
    document = JSON.parse(text)
  } catch {
    return refuse('text is not JSON')
  }
  const fields = new Fields(document)
  if (fields.text('format') !== proofFormat) return refuse(`"format" is not "${proofFormat}"`)
  const proof: LogProof = {
    genesis: fields.bytes('genesis'),
    position: fields.number('position'),
    author: fields.number('author'),
    seq: fields.number('seq'),
    consensusUs: fields.number('consensusUs'),
    block: fields.bytes('block'),
    leaf: fields.bytes('leaf'),
    leafIndex: fields.number('leafIndex'),
    path: fields.list('path'),
    certificate: fields.bytes('certificate'),
    epochs: fields.list('epochs'),
  }
  if (fields.problem !== undefined) return refuse(fields.problem)
  if (proofText(proof) !== text) return refuse('text is not in the form in which proofs are written')
  return { ok: true, value: proof }
}

/** Takes fields out of a JSON document; remembers the first that is not what it should be. */
class Fields {
  problem: string | undefined
  readonly #fields: Readonly<Record<string, unknown>>

  constructor(document: unknown) {
    const isObject = typeof document === 'object' && document !== null
    this.#fields = isObject ? (document as Record<string, unknown>) : {}
  }

  text(name: string): string {
    const value = this.#fields[name]
    if (typeof value === 'string') return value
    this.problem ??= `"${name}" is not text`
    return ''
  }

  number(name: string): number {
    const value = this.#fields[name]
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value
    this.problem ??= `"${name}" is not a whole number from 0 to 2^53 - 1`
    return 0
  }

  bytes(name: string): Uint8Array {
    return this.#decode(name, this.text(name))
  }

  list(name: string): Uint8Array[] {
    const value = this.#fields[name]
    if (Array.isArray(value) && value.every((item) => typeof item === 'string')) {
      return value.map((item: string) => this.#decode(name, item))
    }
    this.problem ??= `"${name}" is not a list of byte strings`
    return []
  }

  #decode(name: string, text: string): Uint8Array {
    if (text.length % 2 === 1 || !/^[0-9a-f]*$/u.test(text)) this.problem ??= `"${name}" is not in hexadecimal`
    const bytes = new Uint8Array(text.length >>> 1)
    for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(text.slice(2 * i, 2 * i + 2), 16)
    return bytes
  }
}

function hexOf(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += byte.toString(16).padStart(2, '0')
  return text
}

function refuse(problem: string): { readonly ok: false; readonly problem: string } {
  return { ok: false, problem }
}
