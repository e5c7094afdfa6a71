/**
 * `concordmq verify`: whether a message has its position in the log, from the proof and the network's first address book alone.
 * No node is asked. What is wrong is said; nothing is half valid.
 */
import { hash, verify } from 'node:crypto'
import { genesisOf, keyIdOfPoint, keyOfPoint, type NetworkOperators } from '@concordmq/broker'
import { type ProofSignature, type ProvenMessage, readProofText, verifyProof } from '@concordmq/consensus'
import { CommandError, configurationError, errorCode } from '../command-error.ts'
import { ExitCode } from '../exit-codes.ts'
import { readText } from '../files/read-text.ts'
import { type Book, parseAddressBook } from '../identity/address-book.ts'
import { readCertificates } from '../identity/read-certificates.ts'

export interface VerifyOptions {
  /** Path of the address book that the network began with. */
  readonly book: string
  readonly network: string | undefined
  /** Path of the root certificate, if nodes of the network may join by certificate. */
  readonly rootCert: string | undefined
  readonly json: boolean
}

/** Prints what a valid proof proves; throws the reason otherwise. */
export function verifyFile(path: string, { book, network, rootCert, json }: VerifyOptions): void {
  const content = parseAddressBook(readText(book).text, book)
  const roots = rootCert === undefined ? [] : readCertificates(rootCert, 'Give the root certificate of the network')
  const genesis = makeGenesis({ ...content, operators: { ...content.operators, roots } }, book, network)
  const proof = readProofText(readText(path).text)
  if (!proof.ok) throw notValid(path, proof.problem)
  const verified = verifyProof(genesis, proof.value, sha256)
  if (!verified.ok) throw notValid(path, verified.problem)
  const { message, signatures } = verified.value
  const broken = signatures.find((signature) => !holds(signature))
  if (broken !== undefined) throw notValid(path, `${broken.name} does not hold`)
  process.stdout.write(json ? asJson(message) : asText(message, signatures.length))
}

function makeGenesis(
  content: Pick<Book, 'nodes'> & { readonly operators: NetworkOperators },
  book: string,
  network: string | undefined,
) {
  try {
    return genesisOf(content.nodes, network, content.operators)
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
  const key = keyOfPoint(publicKey)
  // A key from a later book may be no point of the curve.
  return key !== undefined && verify('sha256', bytes, { key, dsaEncoding: 'ieee-p1363' }, signature)
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
  return keyIdOfPoint(publicKey)
}

function timeOf(us: number): string {
  const date = new Date(Math.floor(us / 1000))
  return Number.isNaN(date.getTime()) ? `${us} µs` : date.toISOString()
}
