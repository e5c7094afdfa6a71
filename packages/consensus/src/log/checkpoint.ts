/**
 * What a checkpoint says (consensus.md section 10): the log and the state behind one step, in a form that a quorum can sign. Two
 * nodes that agree sign equal bytes; a certificate is these bytes with the signatures of a quorum, of which any q will do, so
 * nothing is ever hashed over the signatures.
 */
import type { Decoded } from '../bytes/block-codec.ts'
import { signedBytes } from '../bytes/domain.ts'
import { writeBook, writeConstants } from '../bytes/epoch-record.ts'
import { Reader } from '../bytes/reader.ts'
import { Writer } from '../bytes/writer.ts'
import type { Constants } from '../model/constants.ts'
import type { BookNode, Epoch } from '../model/epoch.ts'
import type { Sha256 } from './tree.ts'

export interface Checkpoint {
  readonly epoch: number
  /** The last step that is in it. */
  readonly step: number
  /** Messages of the log: the next position. */
  readonly logSize: number
  readonly leafCount: number
  /** Root of the log tree over these leaves. */
  readonly logRoot: Uint8Array
  /** Hash of the chunk hashes of the engine's snapshot. */
  readonly engineStateHash: Uint8Array
  /** Hash of the chunk hashes of the application's snapshot. */
  readonly appStateHash: Uint8Array
  /** What the next epoch is (`nextBookHash`), if this one ends here; else zeros. */
  readonly nextBookHash: Uint8Array
}

export interface CheckpointSignature {
  readonly author: number
  /** 64 bytes, r | s. */
  readonly signature: Uint8Array
}

export interface Certificate {
  readonly checkpoint: Checkpoint
  /** The checkpoint's bytes. */
  readonly content: Uint8Array
  /** By distinct authors, ascending. */
  readonly signatures: readonly CheckpointSignature[]
}

/** A signature that somebody has to check. */
export interface SignatureCheck {
  /** Uncompressed P-256 point, 65 bytes. */
  readonly publicKey: Uint8Array
  readonly bytes: Uint8Array
  readonly signature: Uint8Array
}

export const hashBytes = 32
const SIGNATURE_BYTES = 64
const SIGNATURES_MAX = 31

/** Of every checkpoint. */
export const checkpointBytesLength = 4 + 3 * 8 + 4 * hashBytes

export function checkpointBytes(checkpoint: Checkpoint): Uint8Array {
  const writer = new Writer(checkpointBytesLength)
  writer.u32(checkpoint.epoch)
  writer.u64(checkpoint.step)
  writer.u64(checkpoint.logSize)
  writer.u64(checkpoint.leafCount)
  writer.raw(checkpoint.logRoot)
  writer.raw(checkpoint.engineStateHash)
  writer.raw(checkpoint.appStateHash)
  writer.raw(checkpoint.nextBookHash)
  return writer.take()
}

/** The checkpoint that bytes say; undefined: they are none. */
export function readCheckpoint(bytes: Uint8Array): Checkpoint | undefined {
  const reader = new Reader(bytes)
  const checkpoint: Checkpoint = {
    epoch: reader.u32(),
    step: reader.u64(),
    logSize: reader.u64(),
    leafCount: reader.u64(),
    logRoot: reader.raw(hashBytes),
    engineStateHash: reader.raw(hashBytes),
    appStateHash: reader.raw(hashBytes),
    nextBookHash: reader.raw(hashBytes),
  }
  return reader.end() ? checkpoint : undefined
}

/** What a node signs to vote for a checkpoint. */
export function signedCheckpointBytes(epoch: Epoch, content: Uint8Array): Uint8Array {
  return signedBytes('checkpoint', epoch.hash, content)
}

/** Binds the next epoch to the certificate that ends this one: its number, its book, its constants. */
export function nextBookHash(
  sha256: Sha256,
  next: { readonly number: number; readonly nodes: readonly BookNode[]; readonly constants: Constants },
): Uint8Array {
  const writer = new Writer(4096)
  writer.u32(next.number)
  writeBook(writer, next.nodes)
  writeConstants(writer, next.constants)
  return sha256(writer.view())
}

/**
 * The signatures that must hold for a certificate to be one of this epoch, or why it cannot be one whatever they are.
 * Every signature counts, also those beyond a quorum: a certificate is whole or it is refused.
 */
export function certificateChecks(epoch: Epoch, certificate: Certificate): Decoded<readonly SignatureCheck[]> {
  if (certificate.checkpoint.epoch !== epoch.number)
    return refuse(`checkpoint is of epoch ${certificate.checkpoint.epoch}`)
  if (certificate.signatures.length < epoch.q) {
    return refuse(`${certificate.signatures.length} signatures are no quorum of ${epoch.n} nodes`)
  }
  const bytes = signedCheckpointBytes(epoch, certificate.content)
  const checks: SignatureCheck[] = []
  let last = -1
  for (const { author, signature } of certificate.signatures) {
    const node = epoch.nodes[author]
    if (node === undefined) return refuse(`node ${author} is not in the address book`)
    if (author <= last) return refuse('signatures are not in the order of the nodes')
    last = author
    checks.push({ publicKey: node.publicKey, bytes, signature })
  }
  return { ok: true, value: checks }
}

export function certificateBytes(certificate: Certificate): Uint8Array {
  const writer = new Writer(512)
  writer.raw(certificate.content)
  writer.u8(certificate.signatures.length)
  for (const { author, signature } of certificate.signatures) {
    writer.u8(author)
    writer.raw(signature)
  }
  return writer.take()
}

/** A certificate as it was written; undefined: these bytes are none. Its signatures are not checked. */
export function readCertificate(bytes: Uint8Array): Certificate | undefined {
  const reader = new Reader(bytes)
  const content = reader.raw(checkpointBytesLength)
  const count = reader.u8()
  if (count > SIGNATURES_MAX) return undefined
  const signatures: CheckpointSignature[] = []
  for (let i = 0; i < count; i++) signatures.push({ author: reader.u8(), signature: reader.raw(SIGNATURE_BYTES) })
  const checkpoint = readCheckpoint(content)
  if (!reader.end() || checkpoint === undefined) return undefined
  return { checkpoint, content, signatures }
}

function refuse(problem: string): { readonly ok: false; readonly problem: string } {
  return { ok: false, problem }
}
