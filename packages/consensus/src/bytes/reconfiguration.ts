/**
 * A change of the address book in bytes (consensus.md section 13): the number of the next epoch, its book and constants, and the
 * signatures of operators. It travels as a message of a block, so all nodes change at the same place of the order.
 *
 *     content     newEpoch u32 | book | constants          signed with tag `reconfig` under the current epoch's hash
 *     message     content | count u8 | (operator u8 | signature 64) … [| chain and signature of a newcomer, `admission.ts`]
 */
import type { Constants } from '../model/constants.ts'
import type { BookNode, Epoch } from '../model/epoch.ts'
import { type Admission, readAdmission, writeAdmission } from './admission.ts'
import { signatureBytes } from './block-codec.ts'
import { signedBytes } from './domain.ts'
import { epochProblem, operatorsMax, readBook, readConstants, writeBook, writeConstants } from './epoch-record.ts'
import { sameBytes } from './order.ts'
import { Reader } from './reader.ts'
import { Writer } from './writer.ts'

export interface OperatorSignature {
  /** Index among the operators of the genesis record. */
  readonly operator: number
  /** r | s, 64 bytes. */
  readonly signature: Uint8Array
}

export interface ReconfigurationContent {
  /** Number of the next epoch. */
  readonly number: number
  readonly nodes: readonly BookNode[]
  readonly constants: Constants
}

export interface Reconfiguration extends ReconfigurationContent {
  /** Of distinct operators, ascending. */
  readonly signatures: readonly OperatorSignature[]
  /** In the place of operators: the certificates of the one node that it adds. */
  readonly admission?: Admission
}

/** What an operator's key signs for a change that is to end `epoch`. */
export function signedReconfigurationBytes(epoch: Pick<Epoch, 'hash'>, content: ReconfigurationContent): Uint8Array {
  return signedBytes('reconfig', epoch.hash, reconfigurationContent(content))
}

/** The part of a change that is signed. */
export function reconfigurationContent({ number, nodes, constants }: ReconfigurationContent): Uint8Array {
  const writer = new Writer(4096)
  writer.u32(number)
  writeBook(writer, nodes)
  writeConstants(writer, constants)
  return writer.take()
}

export function encodeReconfiguration(change: Reconfiguration): Uint8Array {
  const writer = new Writer(4096)
  writer.raw(reconfigurationContent(change))
  writer.u8(change.signatures.length)
  for (const { operator, signature } of change.signatures) {
    writer.u8(operator)
    writer.raw(signature)
  }
  if (change.admission !== undefined) writeAdmission(writer, change.admission)
  return writer.take()
}

/** What bytes of a message say; undefined: they are no change. Signatures are not checked. */
export function decodeReconfiguration(bytes: Uint8Array): Reconfiguration | undefined {
  const reader = new Reader(bytes)
  const number = reader.u32()
  const nodes = readBook(reader)
  const constants = readConstants(reader)
  const count = reader.u8()
  if (count > operatorsMax) return undefined
  const signatures: OperatorSignature[] = []
  for (let i = 0; i < count; i++) signatures.push({ operator: reader.u8(), signature: reader.raw(signatureBytes) })
  const admission = reader.left > 0 ? readAdmission(reader) : undefined
  if (!reader.end()) return undefined
  const change = { number, nodes, constants, signatures }
  return admission === undefined ? change : { ...change, admission }
}

/** Why a change may not follow `epoch`, whoever signed it; undefined: it may. */
export function reconfigurationProblem(epoch: Epoch, change: Reconfiguration): string | undefined {
  const { number, nodes, constants, signatures } = change
  if (number !== epoch.number + 1) return `epoch ${number} does not follow epoch ${epoch.number}`
  const problem = epochProblem({ ...epoch, number, nodes, constants })
  if (problem !== undefined) return problem
  let last = -1
  for (const { operator } of signatures) {
    if (operator <= last || operator >= epoch.operators.keys.length) return 'operators are unknown or not in order'
    last = operator
  }
  const changes = Math.max(missingFrom(epoch.nodes, nodes), missingFrom(nodes, epoch.nodes))
  const most = Math.max(epoch.f, 1)
  return changes > most ? `${changes} nodes change at once, at most ${most} may` : undefined
}

function missingFrom(nodes: readonly BookNode[], others: readonly BookNode[]): number {
  return nodes.filter((node) => !others.some((other) => sameBytes(other.publicKey, node.publicKey))).length
}
