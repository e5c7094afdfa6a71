/**
 * From the epoch that somebody trusts to a later one (consensus.md sections 10, 13): each link is the certificate that ended an
 * epoch and what the next one is. The certificate binds the next book and constants (`nextBookHash`), and its content is part of
 * the next epoch's hash, so whoever holds the first address book can follow offline.
 */
import type { Decoded } from '../bytes/block-codec.ts'
import { epochProblem, makeEpoch, readBook, readConstants, writeBook, writeConstants } from '../bytes/epoch-record.ts'
import { sameBytes } from '../bytes/order.ts'
import { Reader } from '../bytes/reader.ts'
import { Writer } from '../bytes/writer.ts'
import type { Constants } from '../model/constants.ts'
import type { BookNode, Epoch } from '../model/epoch.ts'
import {
  type Certificate,
  certificateBytes,
  certificateChecks,
  nextBookHash,
  readCertificate,
  type SignatureCheck,
} from './checkpoint.ts'
import type { Sha256 } from './tree.ts'

export interface EpochLink {
  /** Of the last checkpoint of an epoch. */
  readonly certificate: Certificate
  /** The next epoch's book and constants. */
  readonly nodes: readonly BookNode[]
  readonly constants: Constants
}

/** Bytes of a certificate at most: 31 signatures. */
const CERTIFICATE_BYTES_MAX = 4096

export function epochLinkBytes(link: EpochLink): Uint8Array {
  const writer = new Writer(4096)
  writer.bytes(certificateBytes(link.certificate))
  writer.bytes(bookBytes(link.nodes, link.constants))
  return writer.take()
}

/** A link as it was written; undefined: these bytes are none. Nothing is checked yet (`followLink`). */
export function readEpochLink(bytes: Uint8Array): EpochLink | undefined {
  const reader = new Reader(bytes)
  const certificate = readCertificate(reader.bytes(CERTIFICATE_BYTES_MAX))
  const size = reader.u32()
  if (size !== reader.left) return undefined
  const nodes = readBook(reader)
  const constants = readConstants(reader)
  if (!reader.end() || certificate === undefined) return undefined
  return { certificate, nodes, constants }
}

/** The keys of all nodes in the epochs that these links lead to, up to epoch `last`. */
export function keysOfLinks(links: readonly Uint8Array[], last: number): Uint8Array[] {
  return links.flatMap((bytes) => {
    const link = readEpochLink(bytes)
    if (link === undefined || link.certificate.checkpoint.epoch >= last) return []
    return link.nodes.map(({ publicKey }) => publicKey)
  })
}

export interface Followed {
  readonly next: Epoch
  /** What must hold for `next` to be the epoch behind the given one. */
  readonly checks: readonly SignatureCheck[]
}

/** The epoch behind `epoch`, or why the link does not lead on from it. */
export function followLink(epoch: Epoch, link: EpochLink, sha256: Sha256): Decoded<Followed> {
  const checks = certificateChecks(epoch, link.certificate)
  if (!checks.ok) return checks
  const { nodes, constants, certificate } = link
  const number = epoch.number + 1
  if (!sameBytes(certificate.checkpoint.nextBookHash, nextBookHash(sha256, { number, nodes, constants }))) {
    return { ok: false, problem: `address book of epoch ${number} is not the one that epoch ${epoch.number} agreed on` }
  }
  const { networkId, operators } = epoch
  const record = { number, networkId, nodes, constants, operators, previousHash: sha256(certificate.content) }
  const problem = epochProblem(record)
  if (problem !== undefined) return { ok: false, problem }
  return { ok: true, value: { next: makeEpoch(record, { sha256 }), checks: checks.value } }
}

function bookBytes(nodes: readonly BookNode[], constants: Constants): Uint8Array {
  const writer = new Writer(4096)
  writeBook(writer, nodes)
  writeConstants(writer, constants)
  return writer.take()
}
