/**
 * The bytes of an epoch's record: its address book, its constants, and the hash over all of it (consensus.md sections 3, 13). A
 * reconfiguration carries the same forms.
 */
import type { Constants } from '../model/constants.ts'
import type { Cryptography } from '../model/cryptography.ts'
import type { BookNode, Epoch, EpochRecord, Operators } from '../model/epoch.ts'
import { begin } from './domain.ts'
import type { Reader } from './reader.ts'
import { Writer } from './writer.ts'

export const publicKeyBytes = 65
export const nodesMax = 31
export const addressBytesMax = 261
export const operatorsMax = 31
export const rootsMax = 8

/** In the order of the record; a new one goes to the end. */
const constantNames = [
  'keepRounds',
  'voidRounds',
  'patienceSteps',
  'windowRounds',
  'goodRoundsMin',
  'blockBytesMax',
  'blockMessagesMax',
  'refsMax',
  'checkpointSteps',
  'checkpointBytes',
  'reportAgeRounds',
  'reportAheadRounds',
  'seqWindow',
] as const satisfies readonly (keyof Constants)[]

/**
 * The epoch of a record. Throws RangeError when the record is none that nodes could run: it comes from this node's own
 * configuration or from a certified reconfiguration, which is checked before (`epochProblem`).
 */
export function makeEpoch(record: EpochRecord, cryptography: Pick<Cryptography, 'sha256'>): Epoch {
  const problem = epochProblem(record)
  if (problem !== undefined) throw new RangeError(problem)
  const n = record.nodes.length
  const f = Math.floor((n - 1) / 3)
  return { ...record, hash: cryptography.sha256(epochPreimage(record)), n, f, q: n - f, w: f + 1 }
}

/** Why a record is no epoch; undefined: it is one. */
export function epochProblem(record: EpochRecord): string | undefined {
  const { nodes, constants, operators } = record
  if (nodes.length < 1 || nodes.length > nodesMax)
    return `Address book has ${nodes.length} nodes, must be 1 to ${nodesMax}`
  const keys = new Set<string>()
  for (const { publicKey, address } of nodes) {
    if (publicKey.length !== publicKeyBytes) return `Public key of ${address} has ${publicKey.length} bytes, must be 65`
    if (!/^[\x21-\x7e]*$/u.test(address) || address.length > addressBytesMax) return 'Address is no visible ASCII text'
    keys.add(publicKey.join())
  }
  if (keys.size < nodes.length) return 'Two nodes of the address book have one key'
  if (record.previousHash.length !== 32) return 'Hash of the epoch before is not 32 bytes'
  if (operators.keys.length > operatorsMax || operators.threshold > operators.keys.length)
    return 'Too few operator keys'
  if (operators.keys.length > 0 && operators.threshold < 1) return 'Operator threshold is 0'
  const roots = operators.roots ?? []
  if (roots.length > rootsMax) return `There are ${roots.length} root certificates, at most ${rootsMax} may be`
  if (roots.some((root) => root.length !== 32)) return 'Fingerprint of a root certificate is not 32 bytes'
  return constantsProblem(constants)
}

/** What epochHash is the hash of. */
export function epochPreimage(record: EpochRecord): Uint8Array {
  const writer = new Writer(4096)
  begin(writer, 'concordmq/epoch/1')
  writer.bytes(record.networkId)
  writer.u32(record.number)
  writeBook(writer, record.nodes)
  writeConstants(writer, record.constants)
  writeOperators(writer, record.operators)
  writer.raw(record.previousHash)
  return writer.take()
}

export function writeBook(writer: Writer, nodes: readonly BookNode[]): void {
  writer.u8(nodes.length)
  for (const node of nodes) {
    writer.raw(node.publicKey)
    writer.ascii(node.address)
  }
}

/** 1 to 31 nodes with keys that differ. */
export function readBook(reader: Reader): BookNode[] {
  const count = reader.u8()
  if (count < 1 || count > nodesMax) reader.fail(`book has ${count} nodes`)
  const nodes: BookNode[] = []
  for (let i = 0; i < count && reader.problem === undefined; i++) {
    nodes.push({ publicKey: reader.raw(publicKeyBytes), address: reader.ascii(addressBytesMax) })
  }
  return nodes
}

export function writeConstants(writer: Writer, constants: Constants): void {
  for (const name of constantNames) writer.u64(constants[name])
}

export function readConstants(reader: Reader): Constants {
  const constants: Partial<Record<keyof Constants, number>> = {}
  for (const name of constantNames) constants[name] = reader.u64()
  return constants as Constants
}

export function writeOperators(writer: Writer, operators: Operators): void {
  writer.u8(operators.threshold)
  writer.u8(operators.keys.length)
  for (const key of operators.keys) writer.raw(key)
  // Left out where there are none, as in all networks before there were any: what follows has 32 bytes, so no two records are alike.
  const roots = operators.roots ?? []
  if (roots.length === 0) return
  writer.u8(roots.length)
  for (const root of roots) writer.raw(root)
}

/** The relations among the constants that the proofs of sections 7 and 8 use. */
function constantsProblem(c: Constants): string | undefined {
  for (const [name, value] of Object.entries(c)) {
    if (!Number.isSafeInteger(value) || value < 1) return `Constant ${name} is ${value}`
  }
  if (c.voidRounds >= c.keepRounds) return 'Constant voidRounds must be below keepRounds'
  if (c.windowRounds + 2 >= c.keepRounds) return 'Constant windowRounds must be well below keepRounds'
  if (c.goodRoundsMin >= c.windowRounds) return 'Constant goodRoundsMin must be below windowRounds'
  if (c.blockMessagesMax > 0xffff || c.refsMax > 0xffff) return 'A table of a block is counted in two bytes'
  return undefined
}
