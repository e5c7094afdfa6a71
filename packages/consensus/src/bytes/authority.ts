/**
 * Who may change the book (consensus.md section 13): operators, as many as the genesis record asks for; or, for one node more, a
 * certificate by an authority that the genesis record names.
 *
 * What a certificate may do is narrow: one node at the end of the book, everything else as it is, at the address that the newcomer
 * has signed with the certified key. Who was a node before comes back by operators only; else a certificate that still runs would
 * undo that a node was taken out.
 *
 * Absent: lists of revoked certificates. All nodes must judge alike, and no two of them have the same list at the same position.
 */
import { constantsFor } from '../model/constants.ts'
import type { Cryptography } from '../model/cryptography.ts'
import type { BookNode, Epoch } from '../model/epoch.ts'
import { writeConstants } from './epoch-record.ts'
import { sameBytes } from './order.ts'
import { type Reconfiguration, signedReconfigurationBytes } from './reconfiguration.ts'
import { Writer } from './writer.ts'

/** What decides beside the change itself; equal on all nodes at its place of the order. */
export interface AuthorityContext {
  readonly cryptography: Pick<Cryptography, 'verify' | 'certifies'>
  /** The time at that place, µs. */
  readonly atUs: number
  /** Keys of all who are, or were, nodes of the network. */
  readonly everNodes: readonly Uint8Array[]
}

/** Why nobody stands behind a change who may; undefined: operators signed it, or a certificate takes in whom it adds. */
export function authorityProblem(epoch: Epoch, change: Reconfiguration, context: AuthorityContext): string | undefined {
  if (change.admission === undefined) return operatorsProblem(epoch, change, context.cryptography)
  if (change.signatures.length > 0) return 'operators signed what a certificate is to stand for'
  return admissionProblem(epoch, change, context)
}

function operatorsProblem(
  epoch: Epoch,
  change: Reconfiguration,
  { verify }: Pick<Cryptography, 'verify'>,
): string | undefined {
  const { keys, threshold } = epoch.operators
  if (keys.length === 0) return 'this cluster has no operators: its address book names none'
  const signed = signedReconfigurationBytes(epoch, change)
  const valid = change.signatures.filter(({ operator, signature }) => {
    const key = keys[operator]
    return key !== undefined && verify(key, signed, signature)
  })
  if (valid.length >= threshold) return undefined
  return `${valid.length} operators signed it for epoch ${epoch.number} as it is now, ${threshold} must`
}

/** Why a certificate does not take in who the change adds; undefined: it does. */
function admissionProblem(
  epoch: Epoch,
  change: Reconfiguration,
  { cryptography, atUs, everNodes }: AuthorityContext,
): string | undefined {
  const { admission } = change
  const roots = epoch.operators.roots ?? []
  if (admission === undefined || roots.length === 0)
    return 'no certificate takes nodes in here: the network has no root'
  const newcomer = addedNode(epoch, change)
  if (typeof newcomer === 'string') return newcomer
  const { publicKey, address } = newcomer
  if (address === '') return 'it does not say where it is reached'
  const conflict = epoch.nodes.findIndex((node) => node.address === address)
  if (conflict >= 0) return `its address ${address} is that of node ${conflict}`
  if (everNodes.some((key) => sameBytes(key, publicKey)))
    return 'its key is, or was, that of a node: only operators take it in again'
  const signed = signedReconfigurationBytes(epoch, change)
  if (!cryptography.verify(publicKey, signed, admission.signature)) return 'it is not signed by the key that it adds'
  return cryptography.certifies({ roots, chain: admission.chain, publicKey, atUs })
}

/** The one node that is new; or what else the change does. */
function addedNode(epoch: Epoch, { nodes, constants }: Reconfiguration): BookNode | string {
  const newcomer = nodes.at(-1)
  const before = nodes.slice(0, -1)
  const isOneMore =
    newcomer !== undefined &&
    before.length === epoch.n &&
    before.every((node, i) => isSameNode(node, epoch.nodes[i] as BookNode))
  if (!isOneMore) return 'it does more than to add one node at the end of the book'
  const [given, usual] = [constants, constantsFor(nodes.length)].map((set) => {
    const writer = new Writer(256)
    writeConstants(writer, set)
    return writer.take()
  })
  if (!sameBytes(given as Uint8Array, usual as Uint8Array)) return 'its constants are not the usual ones'
  return newcomer
}

function isSameNode(a: BookNode, b: BookNode): boolean {
  return a.address === b.address && sameBytes(a.publicKey, b.publicKey)
}
