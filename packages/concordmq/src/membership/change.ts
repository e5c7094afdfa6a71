/**
 * A change of the cluster while it runs (consensus.md section 13): the next epoch's book, made from the current one and signed by
 * operators. It can travel as a file, so that operators sign one after the other, each where the own key is.
 *
 * A node keeps its number as long as its key is in the book: who comes takes a new number or that of the node replaced. Where a
 * number in the middle becomes free, the last node takes it, and its clients are disconnected once.
 */
import { createPublicKey, type KeyObject, sign } from 'node:crypto'
import { keyIdOfPoint, pointOf } from '@concordmq/broker'
import {
  type BookNode,
  constantsFor,
  decodeReconfiguration,
  encodeReconfiguration,
  type Reconfiguration,
  signedReconfigurationBytes,
} from '@concordmq/consensus'
import { CommandError } from '../command-error.ts'
import { ExitCode } from '../exit-codes.ts'

/** What a node says of its epoch: byte strings in hexadecimal. */
export interface EpochAnswer {
  readonly epoch: number
  readonly hash: string
  readonly nodes: readonly { readonly publicKey: string; readonly address: string }[]
  readonly operators: { readonly threshold: number; readonly keys: readonly string[] }
}

/** A change with what is needed to sign it. */
export interface ChangeFile {
  readonly format: typeof changeFormat
  /** Of the epoch that it is to end. */
  readonly hash: string
  readonly operators: EpochAnswer['operators']
  /** `encodeReconfiguration` of it, with the signatures so far. */
  readonly change: string
}

export const changeFormat = 'concordmq-change/1'

export type Step =
  | { readonly type: 'add'; readonly publicKey: KeyObject; readonly address: string }
  /** `node`: its number, key identifier or address. */
  | { readonly type: 'remove'; readonly node: string }
  | { readonly type: 'replace'; readonly node: string; readonly publicKey: KeyObject; readonly address: string }

/** The change that makes a step from an epoch, not signed yet. */
export function makeChange(answer: EpochAnswer, step: Step): ChangeFile {
  const { epoch, hash, operators } = answer
  const nodes = nodesAfter(
    answer.nodes.map(({ publicKey, address }) => ({ publicKey: bytesOf(publicKey), address })),
    step,
  )
  const content = { number: epoch + 1, nodes, constants: constantsFor(nodes.length) }
  const change = encodeReconfiguration({ ...content, signatures: [] })
  return { format: changeFormat, hash, operators, change: hexOf(change) }
}

/** The same with the signature of an operator. Throws when the key is none of an operator's. */
export function signChange(file: ChangeFile, key: KeyObject, name: string): ChangeFile {
  const change = changeOf(file)
  const point = hexOf(pointOf(createPublicKey(key)))
  const operator = file.operators.keys.indexOf(point)
  if (operator < 0) {
    throw new CommandError(ExitCode.usage, `The key ${name} is not that of an operator of this cluster`, {
      remedy: `Give one of its ${file.operators.keys.length} operator keys: the address book names them`,
    })
  }
  const signed = signedReconfigurationBytes({ hash: bytesOf(file.hash) }, change)
  const signature = sign('sha256', signed, { key, dsaEncoding: 'ieee-p1363' })
  const others = change.signatures.filter((one) => one.operator !== operator)
  const signatures = [...others, { operator, signature }].sort((a, b) => a.operator - b.operator)
  return { ...file, change: hexOf(encodeReconfiguration({ ...change, signatures })) }
}

/** What a file's change says. */
export function changeOf(file: ChangeFile): Reconfiguration {
  const change = decodeReconfiguration(bytesOf(file.change))
  if (change === undefined) throw new CommandError(ExitCode.damaged, 'The change cannot be read')
  return change
}

/** Reads the text of a change file. */
export function readChangeFile(text: string, path: string): ChangeFile {
  const damaged = (why: string) =>
    new CommandError(ExitCode.damaged, `${path} is no change of a cluster: ${why}`, {
      remedy: 'Make one with `concordmq ctl cluster add|remove|replace … --save FILE`',
    })
  let document: Partial<ChangeFile>
  try {
    document = JSON.parse(text) as Partial<ChangeFile>
  } catch {
    throw damaged('it is not JSON')
  }
  const { format, hash, operators, change } = document
  if (format !== changeFormat) throw damaged(`"format" is not "${changeFormat}"`)
  const keys: unknown = operators?.keys
  const isWhole =
    isHex(hash) && isHex(change) && Array.isArray(keys) && keys.every(isHex) && Number.isInteger(operators?.threshold)
  if (!isWhole) throw damaged('a part of it is missing')
  const file = document as ChangeFile
  changeOf(file)
  return file
}

function nodesAfter(nodes: readonly BookNode[], step: Step): BookNode[] {
  if (step.type === 'add') {
    requireNew(nodes, step.publicKey, step.address)
    return [...nodes, { publicKey: pointOf(step.publicKey), address: step.address }]
  }
  const index = indexOf(nodes, step.node)
  if (step.type === 'replace') {
    const others = nodes.filter((_, i) => i !== index)
    requireNew(others, step.publicKey, step.address)
    return nodes.map((node, i) => (i === index ? { publicKey: pointOf(step.publicKey), address: step.address } : node))
  }
  if (nodes.length === 1) throw new CommandError(ExitCode.usage, 'The only node cannot be taken out of its cluster')
  const last = nodes.at(-1) as BookNode
  return nodes.slice(0, -1).map((node, i) => (i === index ? last : node))
}

function requireNew(nodes: readonly BookNode[], publicKey: KeyObject, address: string): void {
  const id = keyIdOfPoint(pointOf(publicKey))
  const same = nodes.findIndex((node) => keyIdOfPoint(node.publicKey) === id)
  if (same >= 0) throw new CommandError(ExitCode.usage, `The key ${id} is that of node ${same} already`)
  const there = nodes.findIndex((node) => node.address === address)
  if (there >= 0) throw new CommandError(ExitCode.usage, `The address ${address} is that of node ${there} already`)
}

function indexOf(nodes: readonly BookNode[], name: string): number {
  const index = nodes.findIndex(
    ({ publicKey, address }, i) => name === String(i) || name === address || name === keyIdOfPoint(publicKey),
  )
  if (index >= 0) return index
  throw new CommandError(ExitCode.usage, `The cluster has no node "${name}"`, {
    remedy: 'Give its number, key or address as `concordmq ctl cluster status` shows them',
  })
}

function isHex(text: unknown): text is string {
  return typeof text === 'string' && text.length % 2 === 0 && /^[0-9a-f]+$/.test(text)
}

function bytesOf(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex, 'hex'))
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}
