/**
 * A document of operators on its way into the order: made from a text, signed by operators, each where the own key is, and handed to
 * any node. As a file it holds the command as nodes get it, with what is needed to sign it.
 */
import { createPublicKey, type KeyObject } from 'node:crypto'
import { pointOf, signDocument } from '@concordmq/broker'
import {
  ADMIN_TEXT_BYTES_MAX,
  type AdminCommand,
  type AdminDocument,
  decodeCommand,
  encodeCommand,
} from '@concordmq/state'
import { CommandError } from '../command-error.ts'
import { ExitCode } from '../exit-codes.ts'

/** What a node says of the operators of its network, and of what they have in force: byte strings in hexadecimal. */
export interface DocumentsAnswer {
  /** Hash of the network's first epoch. */
  readonly network: string
  readonly operators: { readonly threshold: number; readonly keys: readonly string[] }
  readonly documents: readonly DocumentAnswer[]
}

export interface DocumentAnswer {
  readonly subject: AdminDocument['subject']
  readonly version: number
  readonly withdrawn: boolean
  /** SHA-256 over the text; null: withdrawn. */
  readonly digest: string | null
  readonly bytes: number
  readonly position: number
  readonly timeUs: number
  /** Who signed it. */
  readonly operators: readonly number[]
}

export interface DocumentFile {
  readonly format: typeof documentFormat
  readonly network: string
  readonly operators: DocumentsAnswer['operators']
  /** `encodeCommand` of it, with the signatures so far, in Base64. */
  readonly command: string
}

export const documentFormat = 'concordmq-document/1'

/** A document that is not signed yet. */
export function makeDocument({ network, operators }: DocumentsAnswer, document: AdminDocument): DocumentFile {
  const bytes = document.text?.length ?? 0
  if (bytes > ADMIN_TEXT_BYTES_MAX) {
    throw new CommandError(
      ExitCode.usage,
      `The text has ${bytes} bytes, and a document at most ${ADMIN_TEXT_BYTES_MAX}`,
    )
  }
  return { format: documentFormat, network, operators, command: textOf({ type: 'admin', document, signatures: [] }) }
}

/** The same with the signature of an operator. Throws when the key is none of an operator's. */
export function signDocumentFile(file: DocumentFile, key: KeyObject, name: string): DocumentFile {
  const { document, signatures } = commandOf(file.command)
  const operator = file.operators.keys.indexOf(Buffer.from(pointOf(createPublicKey(key))).toString('hex'))
  if (operator < 0) {
    throw new CommandError(ExitCode.usage, `The key ${name} is not that of an operator of this cluster`, {
      remedy: `Give one of its ${file.operators.keys.length} operator keys: the address book names them`,
    })
  }
  const network = new Uint8Array(Buffer.from(file.network, 'hex'))
  const own = signDocument(network, document, [{ operator, privateKey: key }])
  const all = [...signatures.filter((one) => one.operator !== operator), ...own]
  all.sort((a, b) => a.operator - b.operator)
  return { ...file, command: textOf({ type: 'admin', document, signatures: all }) }
}

/** The command in a text; throws where there is none. */
export function commandOf(base64: string): AdminCommand {
  const command = decodeCommand(new Uint8Array(Buffer.from(base64, 'base64')))
  if ('malformed' in command || command.type !== 'admin')
    throw new CommandError(ExitCode.damaged, 'The document cannot be read')
  return command
}

/** Reads the text of a document file; undefined: it is a file of another kind. */
export function readDocumentFile(text: string, path: string): DocumentFile | undefined {
  let document: Partial<DocumentFile>
  try {
    document = JSON.parse(text) as Partial<DocumentFile>
  } catch {
    return undefined
  }
  if (document.format !== documentFormat) return undefined
  const { network, operators, command } = document
  const keys: unknown = operators?.keys
  const isWhole =
    typeof network === 'string' &&
    typeof command === 'string' &&
    Number.isInteger(operators?.threshold) &&
    Array.isArray(keys) &&
    keys.every((key) => typeof key === 'string')
  if (!isWhole) throw new CommandError(ExitCode.damaged, `${path} is no document of operators: a part of it is missing`)
  commandOf(command)
  return document as DocumentFile
}

function textOf(command: AdminCommand): string {
  return Buffer.from(encodeCommand(command)).toString('base64')
}
