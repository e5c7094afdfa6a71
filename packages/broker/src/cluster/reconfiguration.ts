/**
 * A change of the address book as operators make it (consensus.md section 13): signed by them under the epoch in force, given to any
 * node, and in force at one place of the order on all.
 */
import { type KeyObject, sign } from 'node:crypto'
import {
  type BookNode,
  constantsFor,
  type Epoch,
  encodeReconfiguration,
  signedReconfigurationBytes,
} from '@concordmq/consensus'

export interface OperatorKey {
  /** Index among the operators of the network's first epoch. */
  readonly operator: number
  readonly privateKey: KeyObject
}

/** The bytes of the change from `epoch` to another book; operators in ascending order. */
export function signReconfiguration(
  epoch: Epoch,
  nodes: readonly BookNode[],
  operators: readonly OperatorKey[],
): Uint8Array {
  const change = { number: epoch.number + 1, nodes, constants: constantsFor(nodes.length) }
  const content = signedReconfigurationBytes(epoch, change)
  const signatures = operators.map(({ operator, privateKey }) => ({
    operator,
    signature: sign('sha256', content, { key: privateKey, dsaEncoding: 'ieee-p1363' }),
  }))
  return encodeReconfiguration({ ...change, signatures })
}
