/**
 * The nodes of a cluster as links see them: who there is, and who one is oneself. Made from the book of an epoch; another
 * epoch makes another.
 */
import type { KeyObject } from 'node:crypto'
import type { Epoch } from '@concordmq/consensus'
import { ConcordError } from '../../errors.ts'
import { keyIdOfPoint, keyOfPoint, pointOf } from './node-keys.ts'

export interface Member {
  /** In the book; -1: this node itself, which is not in it. */
  readonly index: number
  readonly keyId: string
  readonly publicKey: KeyObject
  readonly point: Uint8Array
  /** Where it is reached, `HOST:PORT`. */
  readonly address: string
}

/** A key that was a node's. */
export type Former = Pick<Member, 'keyId' | 'publicKey' | 'point'>

/** Of those who were taken out so many are still told so. */
const formerMax = 31

export interface Members {
  readonly epoch: Epoch
  /** Index -1: this node is not in the book. */
  readonly self: Member
  readonly privateKey: KeyObject
  /** By index, this node included. */
  readonly all: readonly Member[]
  /** The newest of those who were nodes and are no more. */
  readonly former: readonly Former[]
  /** Bytes that all nodes must agree on beside the book: the digest of the machine's settings. */
  readonly settingsDigest: Uint8Array
  /** What the digest is of, for people; may be empty. */
  readonly settingsText: string
  /** Random, of this process. */
  readonly instance: Uint8Array
  readonly programVersion: string
}

export interface MembersOptions {
  readonly epoch: Epoch
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
  readonly settingsDigest: Uint8Array
  readonly settingsText?: string
  readonly instance: Uint8Array
  readonly programVersion: string
  /** Keys of all who are, or were, nodes, oldest first. Default: those of the book. */
  readonly everNodes?: readonly Uint8Array[]
  /** This node need not be in the book: it waits to be taken in, or was taken out. */
  readonly joining?: boolean
}

/** Throws `CMQ_CLUSTER` when the key is not in the book, and need be, or the book holds what is no key. */
export function membersOf(options: MembersOptions): Members {
  const {
    epoch,
    privateKey,
    publicKey,
    settingsDigest,
    instance,
    programVersion,
    everNodes = [],
    settingsText = '',
  } = options
  const own = pointOf(publicKey)
  const all = epoch.nodes.map(({ publicKey: point, address }, index) => {
    const key = keyOfPoint(point)
    if (key === undefined) throw new ConcordError('CMQ_CLUSTER', `Node ${index} of the book has no P-256 key`)
    return { index, keyId: keyIdOfPoint(point), publicKey: key, point, address }
  })
  const former = formerOf(everNodes, all)
  const self = all.find(({ point }) => samePoint(point, own))
  if (self === undefined && options.joining === true) {
    const joiner = { index: -1, keyId: keyIdOfPoint(own), publicKey, point: own, address: '' }
    return { epoch, self: joiner, privateKey, all, former, settingsDigest, settingsText, instance, programVersion }
  }
  if (self === undefined) {
    throw new ConcordError('CMQ_CLUSTER', `The key ${keyIdOfPoint(own)} of this node is not in the book of the cluster`)
  }
  return { epoch, self, privateKey, all, former, settingsDigest, settingsText, instance, programVersion }
}

function formerOf(everNodes: readonly Uint8Array[], all: readonly Member[]): Former[] {
  const former = new Map<string, Former>()
  for (const point of everNodes) {
    const publicKey = keyOfPoint(point)
    if (publicKey === undefined || all.some((member) => samePoint(member.point, point))) continue
    const keyId = keyIdOfPoint(point)
    former.delete(keyId)
    former.set(keyId, { keyId, publicKey, point })
  }
  return [...former.values()].slice(-formerMax)
}

/** Whether a key is, or was, that of a node. */
export function isKnown({ all, former }: Members, point: Uint8Array): boolean {
  return all.some((member) => samePoint(member.point, point)) || former.some((one) => samePoint(one.point, point))
}

export function samePoint(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}

/** How a peer is named in logs: by index, key and address. */
export function describeMember({ index, keyId, address }: Member): string {
  return `node ${index} (key ${keyId}, ${address})`
}
