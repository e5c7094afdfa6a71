/**
 * What operators say for the whole cluster (architecture section 3.1, `admin`): who may do what, and who may log in. A document is
 * text to the machine: it keeps which version is in force, and whoever grants rights reads it.
 *
 *   signed content   subject u8 │ version u53 │ 0 u8                          withdrawn: each node's own file counts again
 *                    subject u8 │ version u53 │ 1 u8 │ length u32 │ text
 *
 * Absent: a time from which it counts. It counts from its place in the order on.
 */
import type { Reader } from '../encoding/reader.ts'
import { Writer } from '../encoding/writer.ts'
import { RecordKind } from '../records/kinds.ts'
import { StateRecord } from '../records/state-record.ts'

/** What a document is about; there is one in force of each at most. By number: part of what is signed, and of records. */
export const ADMIN_SUBJECTS = ['permissions', 'users'] as const
export type AdminSubject = (typeof ADMIN_SUBJECTS)[number]

/** Bytes of a document: with its signatures it fits into one bundle beside whatever else is in it. */
export const ADMIN_TEXT_BYTES_MAX = 512 * 1024
/** Operators of a network. */
export const ADMIN_SIGNATURES_MAX = 31
const SIGNATURE_BYTES = 64

export interface AdminDocument {
  readonly subject: AdminSubject
  /** From 1 on; one takes the place of another only if it is later. */
  readonly version: number
  /** UTF-8; undefined: withdrawn. */
  readonly text: Uint8Array | undefined
}

export interface AdminSignature {
  /** Index among the operators of the network. */
  readonly operator: number
  /** 64 bytes. */
  readonly signature: Uint8Array
}

/** Why operators do not stand behind these bytes; undefined: they do. Must be equal on all nodes, and change never. */
export type Judge = (content: Uint8Array, signatures: readonly AdminSignature[]) => string | undefined

/** The document of a subject that counts, with what proves it. */
export class AdminRecord extends StateRecord {
  readonly subject: AdminSubject
  document: AdminDocument
  signatures: readonly AdminSignature[]
  /** Where it came into force. */
  position: number
  timeUs: number

  constructor(given: Pick<AdminRecord, 'document' | 'signatures' | 'position' | 'timeUs'>) {
    super()
    this.subject = given.document.subject
    this.document = given.document
    this.signatures = given.signatures
    this.position = given.position
    this.timeUs = given.timeUs
  }

  override writeKey(writer: Writer): void {
    writer.u8(RecordKind.admin)
    writer.u8(ADMIN_SUBJECTS.indexOf(this.subject))
  }

  override writeValue(writer: Writer): void {
    writer.u53(this.position)
    writer.u53(this.timeUs)
    writeSigned(writer, this)
  }
}

/** What operators sign, behind what names the network. */
export function adminContent(document: AdminDocument): Uint8Array {
  const writer = new Writer()
  writeDocument(writer, document)
  return writer.take()
}

/** A document with its signatures, in a command and in its record. */
export function writeSigned(
  writer: Writer,
  { document, signatures }: { readonly document: AdminDocument; readonly signatures: readonly AdminSignature[] },
): void {
  writeDocument(writer, document)
  writer.u8(signatures.length)
  for (const { operator, signature } of signatures) {
    writer.u8(operator)
    writer.raw(signature)
  }
}

export function readSigned(reader: Reader): {
  readonly document: AdminDocument
  readonly signatures: readonly AdminSignature[]
} {
  const subject = ADMIN_SUBJECTS[reader.upTo(ADMIN_SUBJECTS.length - 1, 'subject of a document')] as AdminSubject
  const version = reader.u53()
  const text = reader.flag() ? reader.bytes() : undefined
  const signatures: AdminSignature[] = []
  const count = reader.upTo(ADMIN_SIGNATURES_MAX, 'number of signatures')
  for (let i = 0; i < count && reader.problem === undefined; i++)
    signatures.push({ operator: reader.u8(), signature: reader.raw(SIGNATURE_BYTES) })
  return { document: { subject, version, text }, signatures }
}

/** What is wrong with the form of a document and its signatures, whoever they are by. */
export function signedProblem(
  { subject, version, text }: AdminDocument,
  signatures: readonly AdminSignature[],
): string | undefined {
  if (!ADMIN_SUBJECTS.includes(subject)) return 'document is about nothing'
  if (!Number.isSafeInteger(version) || version < 1) return 'version of a document is no number from 1 on'
  if (text !== undefined && text.length > ADMIN_TEXT_BYTES_MAX) return 'document is too long'
  let last = -1
  for (const { operator, signature } of signatures) {
    if (!Number.isSafeInteger(operator) || operator <= last || operator >= ADMIN_SIGNATURES_MAX)
      return 'operators are not in order'
    if (signature.length !== SIGNATURE_BYTES) return 'signature has another length'
    last = operator
  }
  return undefined
}

function writeDocument(writer: Writer, { subject, version, text }: AdminDocument): void {
  writer.u8(ADMIN_SUBJECTS.indexOf(subject))
  writer.u53(version)
  writer.u8(text === undefined ? 0 : 1)
  if (text !== undefined) writer.bytes(text)
}
