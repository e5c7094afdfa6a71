/**
 * A small log over two epochs with real keys and signatures, and proofs from it: for tests of the verifier here, in the program
 * and in a browser. Blocks are made by hand; no engine runs.
 */
import { createHash, createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto'
import { makeBlock } from '../../../packages/consensus/src/bytes/block-codec.ts'
import { Domain, signedBlockBytes } from '../../../packages/consensus/src/bytes/domain.ts'
import { makeEpoch } from '../../../packages/consensus/src/bytes/epoch-record.ts'
import {
  type Certificate,
  type Checkpoint,
  certificateBytes,
  checkpointBytes,
  nextBookHash,
  type SignatureCheck,
  signedCheckpointBytes,
} from '../../../packages/consensus/src/log/checkpoint.ts'
import { type EpochLink, epochLinkBytes, followLink } from '../../../packages/consensus/src/log/epoch-chain.ts'
import { leafBytes, messageAt } from '../../../packages/consensus/src/log/leaf.ts'
import { type LogProof, makeProof } from '../../../packages/consensus/src/log/proof.ts'
import { inclusionPath, LogTree, type NodeName, nodePlace } from '../../../packages/consensus/src/log/tree.ts'
import { MessageKind } from '../../../packages/consensus/src/model/block.ts'
import { constantsFor } from '../../../packages/consensus/src/model/constants.ts'
import type { OrderedBatch } from '../../../packages/consensus/src/model/effect.ts'
import type { BookNode, Epoch, EpochRecord } from '../../../packages/consensus/src/model/epoch.ts'
import { Positions } from '../../../packages/consensus/src/order/positions.ts'

export const sha256 = (bytes: Uint8Array): Uint8Array => new Uint8Array(createHash('sha256').update(bytes).digest())

export interface ProvenNode {
  readonly privateKey: KeyObject
  readonly book: BookNode
}

export interface ProvenLog {
  readonly genesis: Epoch
  /** Messages of the log. */
  readonly size: number
  readonly prove: (position: number) => LogProof
  /** As the engine would hand it out: units in the order, the newest certificate, the ends of epochs. */
  readonly batches: readonly OrderedBatch[]
  readonly certificate: Uint8Array
  readonly links: readonly Uint8Array[]
}

const NO_HASH = new Uint8Array(32)

export function provenNode(address: string): ProvenNode {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return { privateKey, book: { publicKey: pointOf(publicKey), address } }
}

/** The uncompressed point of a public P-256 key: the last 65 bytes of its SPKI form. */
export function pointOf(key: KeyObject): Uint8Array {
  return new Uint8Array(key.export({ type: 'spki', format: 'der' }).subarray(-65))
}

export function signatureHolds(check: SignatureCheck): boolean {
  const [x, y] = [check.publicKey.subarray(1, 33), check.publicKey.subarray(33)]
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url')
  try {
    const key = createPublicKey({ format: 'jwk', key: { kty: 'EC', crv: 'P-256', x: text(x), y: text(y) } })
    return verify('sha256', check.bytes, { key, dsaEncoding: 'ieee-p1363' }, check.signature)
  } catch {
    // No point of the curve.
    return false
  }
}

/**
 * `nodes` order messages in the first epoch; in a second one, `joining` stands in the place of the last of them. Without
 * `joining` there is one epoch.
 */
export function provenLog(record: EpochRecord, nodes: readonly ProvenNode[], joining?: ProvenNode): ProvenLog {
  const genesis = makeEpoch(record, { sha256 })
  const log = new LogMaker(genesis)
  for (let round = 1; round <= 5; round++) log.unit(nodes, round % nodes.length, round)
  if (joining === undefined) return log.finish(nodes, [])
  const changed = [...nodes.slice(0, -1), joining]
  const link = log.endEpoch(
    nodes,
    changed.map(({ book }) => book),
  )
  for (let round = 1; round <= 6; round++) log.unit(changed, round % nodes.length, round)
  return log.finish(changed, [link])
}

/** A network of four, and two epochs. */
export function smallLog(): ProvenLog {
  const nodes = [0, 1, 2, 3].map((i) => provenNode(`10.0.0.${i}:19793`))
  return provenLog(recordOf(nodes.map(({ book }) => book)), nodes, provenNode('10.0.0.9:19793'))
}

function recordOf(nodes: readonly BookNode[]): EpochRecord {
  const constants = constantsFor(nodes.length)
  const operators = { threshold: 0, keys: [] }
  return { number: 0, networkId: Uint8Array.of(7), nodes, constants, operators, previousHash: NO_HASH }
}

class LogMaker {
  readonly positions: Positions
  readonly #genesis: Epoch
  #epoch: Epoch
  readonly #tree = new LogTree(sha256)
  readonly #kept: Uint8Array[] = []
  readonly #batches: OrderedBatch[] = []
  #seq = 0
  #step = 0

  constructor(epoch: Epoch) {
    this.#genesis = epoch
    this.#epoch = epoch
    this.positions = new Positions(epoch)
  }

  /** A unit of three messages, the first of which may have its position already. */
  unit(nodes: readonly ProvenNode[], author: number, round: number): void {
    const first = round % 2 === 0 ? 0 : ++this.#seq
    const seqs = [first, ++this.#seq, ++this.#seq]
    const messages = seqs.map((seq) => ({
      kind: MessageKind.payload,
      seq,
      recvUs: 1000 * round,
      bytes: new TextEncoder().encode(`message ${seq} of node ${author}`),
    }))
    const references = Array.from({ length: round === 1 ? 0 : this.#epoch.q }, (_, parent) => ({
      author: parent,
      round: round - 1,
      digest: sha256(Uint8Array.of(parent, round)),
      parent: true,
      report: false,
      recvUs: 0,
    }))
    const { privateKey } = nodes[author] as ProvenNode
    const domain = new Domain(this.#epoch.hash, { sha256 })
    const content = { author, round, tsUs: 2000 * round, references, messages }
    const block = makeBlock(content, this.#epoch, domain, (digest) => signed(privateKey, signedBlockBytes(digest)))
    const emission = { author, round, digest: block.digest, consensusUs: 1500 * round, superseded: false }
    const { leaf, messages: placed } = this.positions.place(emission, messages, 0)
    this.#step++
    if (leaf === undefined) return
    const leafIndex = this.#tree.leafCount
    const frontier = this.#tree.frontier()
    const complete = this.#tree.append(leafBytes(leaf))
    this.#kept.push(...complete)
    const { number } = this.#epoch
    const place = { leaf, leafIndex, frontier, nodes: complete }
    const unit = { epoch: number, step: this.#step, unit: block, messages: placed, linearised: 0, jailed: 0 }
    this.#batches.push({ ...unit, ...place })
  }

  endEpoch(nodes: readonly ProvenNode[], next: readonly BookNode[]): EpochLink {
    const constants = constantsFor(next.length)
    const hash = nextBookHash(sha256, { number: this.#epoch.number + 1, nodes: next, constants })
    const link: EpochLink = { certificate: this.#certify(nodes, hash), nodes: next, constants }
    const followed = followLink(this.#epoch, link, sha256)
    if (!followed.ok) throw new Error(followed.problem)
    this.#epoch = followed.value.next
    this.positions.enter(this.#epoch)
    this.#step = 0
    return link
  }

  finish(nodes: readonly ProvenNode[], epochs: readonly EpochLink[]): ProvenLog {
    const certificate = certificateBytes(this.#certify(nodes, NO_HASH))
    const links = epochs.map(epochLinkBytes)
    const genesis = this.#genesis
    const hashOf = (name: NodeName): Uint8Array => this.#kept[nodePlace(name)] as Uint8Array
    const prove = (position: number): LogProof => {
      const found = this.#batches.find(({ leaf }) => messageAt(leaf, position) !== -1)
      const { unit: block, leaf, leafIndex } = found as OrderedBatch
      const path = inclusionPath(sha256, leafIndex, this.#tree.leafCount, hashOf)
      return makeProof({ genesis, position, block, leaf, leafIndex, path, certificate, epochs: links })
    }
    return {
      genesis,
      size: this.positions.next,
      prove,
      batches: this.#batches,
      certificate,
      links,
    }
  }

  #certify(nodes: readonly ProvenNode[], nextHash: Uint8Array): Certificate {
    const checkpoint: Checkpoint = {
      epoch: this.#epoch.number,
      step: this.#step,
      logSize: this.positions.next,
      leafCount: this.#tree.leafCount,
      logRoot: this.#tree.root(),
      engineStateHash: sha256(Uint8Array.of(1)),
      appStateHash: sha256(Uint8Array.of(2)),
      nextBookHash: nextHash,
    }
    const content = checkpointBytes(checkpoint)
    const bytes = signedCheckpointBytes(this.#epoch, content)
    // The last q of the nodes.
    const signatures = nodes
      .map(({ privateKey }, author) => ({ author, signature: signed(privateKey, bytes) }))
      .slice(-this.#epoch.q)
    return { checkpoint, content, signatures }
  }
}

function signed(privateKey: KeyObject, bytes: Uint8Array): Uint8Array {
  return new Uint8Array(sign('sha256', bytes, { key: privateKey, dsaEncoding: 'ieee-p1363' }))
}
