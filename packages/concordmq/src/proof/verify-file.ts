/**
 * `concordmq verify`: whether a message has its position in the log, from the proof and the network's first address book alone.
 * No node is asked. What is wrong is said; nothing is half valid.
 */
import { createPublicKey, hash, type KeyObject, verify } from 'node:crypto'
import { genesisOf } from '@concordmq/broker'
import { type ProofSignature, type ProvenMessage, readProofText, verifyProof } from '@concordmq/consensus'
import { CommandError, configurationError, errorCode } from '../command-error.ts'
import { ExitCode } from '../exit-codes.ts'
import { readText } from '../files/read-text.ts'
import { parseAddressBook } from '../identity/address-book.ts'
import { keyId } from '../identity/secret-key.ts'

export interface VerifyOptions {
  /** Path of the address book that the network began with. */
  readonly book: string
  readonly network: string | undefined
  readonly json: boolean
}

/** Prints what a valid proof proves; throws the reason otherwise. */
export function verifyFile(path: string, { book, network, json }: VerifyOptions): void {
  const entries = parseAddressBook(readText(book).text, book)
  const genesis = makeGenesis(entries, book, network)
  const proof = readProofText(readText(path).text)
  if (!proof.ok) throw notValid(path, proof.problem)
  const verified = verifyProof(genesis, proof.value, sha256)
  if (!verified.ok) throw notValid(path, verified.problem)
  const { message, signatures } = verified.value
  const broken = signatures.find((signature) => !holds(signature))
  if (broken !== undefined) throw notValid(path, `${broken.name} does not hold`)
  process.stdout.write(json ? asJson(message) : asText(message, signatures.length))
}

function makeGenesis(entries: ReturnType<typeof parseAddressBook>, book: string, network: string | undefined) {
  try {
    return genesisOf(entries, network)
  } catch (error) {
    if (errorCode(error) !== 'CMQ_CLUSTER' || !(error instanceof Error)) throw error
    throw configurationError(`${book}: ${error.message}`)
  }
}

function notValid(path: string, problem: string): CommandError {
  return new CommandError(ExitCode.damaged, `The proof ${path} is not valid: ${problem}`, {
    remedy: 'Check that the address book is the one with which the network began, and that the file is whole.',
  })
}

function sha256(bytes: Uint8Array): Uint8Array {
  return hash('sha256', bytes, 'buffer')
}

function holds({ publicKey, bytes, signature }: ProofSignature): boolean {
  const key = keyOf(publicKey)
  return key !== undefined && verify('sha256', bytes, { key, dsaEncoding: 'ieee-p1363' }, signature)
}

/** A key from a later book may be no point of the curve. */
function keyOf(point: Uint8Array): KeyObject | undefined {
  const coordinate = (from: number): string => Buffer.from(point.subarray(from, from + 32)).toString('base64url')
  try {
    return createPublicKey({ format: 'jwk', key: { kty: 'EC', crv: 'P-256', x: coordinate(1), y: coordinate(33) } })
  } catch {
    return undefined
  }
}

function asText(message: ProvenMessage, signatures: number): string {
  const lines = [
    `Valid: the message has position ${message.position}`,
    `  author      node ${message.author} of epoch ${message.epoch}, ${message.address}, key ${idOf(message)}`,
    `  submission  ${message.seq}, received there ${timeOf(message.receivedUs)}`,
    `  ordered     ${timeOf(message.consensusUs)}`,
    `  log         ${message.logSize} messages, ${signatures} signatures checked`,
    `  message     ${message.bytes.length} bytes, SHA-256 ${Buffer.from(sha256(message.bytes)).toString('hex')}`,
  ]
  return `${lines.join('\n')}\n`
}

function asJson(message: ProvenMessage): string {
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
  const { publicKey, bytes } = message
  const document = { valid: true, ...message, publicKey: hex(publicKey), key: idOf(message), bytes: hex(bytes) }
  return `${JSON.stringify(document)}\n`
}

function idOf({ publicKey }: ProvenMessage): string {
  const key = keyOf(publicKey)
  return key === undefined ? '?' : keyId(key)
}

function timeOf(us: number): string {
  const date = new Date(Math.floor(us / 1000))
  return Number.isNaN(date.getTime()) ? `${us} µs` : date.toISOString()
}
