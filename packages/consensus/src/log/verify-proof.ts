/**
 * Checks a proof (`proof.ts`) against the network's first epoch, which the reader trusts. Pure, so it runs in Node and in a
 * browser alike; hashing is given, and signatures are not checked here but listed, since a browser checks them asynchronously:
 *
 *     const verified = verifyProof(genesis, proof, sha256)
 *     valid if verified.ok, and every one of verified.value.signatures holds
 *
 * What a valid proof says: a quorum of the nodes, of which at most f lie, signed a log in which this message has this place.
 */
import { blockMessages, type Decoded, decodeBlock } from '../bytes/block-codec.ts'
import { Domain, signedBlockBytes } from '../bytes/domain.ts'
import { sameBytes } from '../bytes/order.ts'
import type { Block, BlockMessage, MessageKind } from '../model/block.ts'
import type { Epoch } from '../model/epoch.ts'
import { type Certificate, certificateChecks, readCertificate, type SignatureCheck } from './checkpoint.ts'
import { followLink, readEpochLink } from './epoch-chain.ts'
import { type Leaf, messageAt, readLeaf } from './leaf.ts'
import type { LogProof } from './proof.ts'
import { leafHash, rootFromPath, type Sha256 } from './tree.ts'

/** A signature that must hold, and whose it is. */
export interface ProofSignature extends SignatureCheck {
  /** For the reader: `checkpoint signature of node 2 (10.0.0.3:19793)`. */
  readonly name: string
}

/** What a valid proof proves. */
export interface ProvenMessage {
  readonly position: number
  readonly epoch: number
  /** Index in the book of this epoch. */
  readonly author: number
  readonly address: string
  /** The author's, uncompressed P-256. */
  readonly publicKey: Uint8Array
  readonly seq: number
  readonly kind: MessageKind
  /** When its node took it, by that node's clock, µs. */
  readonly receivedUs: number
  /** The order's time, µs. */
  readonly consensusUs: number
  readonly bytes: Uint8Array
  /** Messages of the log in the checkpoint that covers it. */
  readonly logSize: number
}

export interface VerifiedProof {
  readonly message: ProvenMessage
  /** At least a quorum of them; the proof is valid only if all hold. */
  readonly signatures: readonly ProofSignature[]
}

/** Everything but the signatures; or what is wrong. */
export function verifyProof(genesis: Epoch, proof: LogProof, sha256: Sha256): Decoded<VerifiedProof> {
  if (!sameBytes(proof.genesis, genesis.hash))
    return refuse('network began with another address book or under another name')
  const signatures: ProofSignature[] = []
  const epochs = followEpochs(genesis, proof, sha256, signatures)
  if (!epochs.ok) return epochs
  const certificate = readCertificate(proof.certificate)
  if (certificate === undefined) return refuse('certificate is malformed')
  const last = epochs.value.at(-1) as Epoch
  const checks = certificateChecks(last, certificate)
  if (!checks.ok) return refuse(`certificate: ${checks.problem}`)
  signatures.push(...named(last, certificate, checks.value))

  const leaf = readLeaf(proof.leaf)
  if (leaf === undefined) return refuse('leaf is malformed')
  const epoch = epochs.value[leaf.epoch - genesis.number]
  if (epoch === undefined) return refuse(`leaf is of epoch ${leaf.epoch}, which the checkpoint does not cover`)
  const block = readUnit(proof.block, leaf, epoch, sha256)
  if (!block.ok) return block
  signatures.push(ofAuthor(epoch, block.value))
  const root = rootFromPath(
    sha256,
    leafHash(sha256, proof.leaf),
    proof.leafIndex,
    certificate.checkpoint.leafCount,
    proof.path,
  )
  if (root === undefined || !sameBytes(root, certificate.checkpoint.logRoot)) {
    return refuse("path from the leaf does not lead to the checkpoint's root")
  }
  const message = provenMessage(proof, leaf, block.value)
  if (!message.ok) return message
  return { ok: true, value: { message: describe(proof, message.value, block.value, epoch, certificate), signatures } }
}

/** The epochs from the trusted one to that of the checkpoint. */
function followEpochs(genesis: Epoch, proof: LogProof, sha256: Sha256, signatures: ProofSignature[]): Decoded<Epoch[]> {
  const epochs = [genesis]
  for (const bytes of proof.epochs) {
    const epoch = epochs.at(-1) as Epoch
    const link = readEpochLink(bytes)
    if (link === undefined) return refuse(`end of epoch ${epoch.number} is malformed`)
    const followed = followLink(epoch, link, sha256)
    if (!followed.ok) return refuse(`end of epoch ${epoch.number}: ${followed.problem}`)
    signatures.push(...named(epoch, link.certificate, followed.value.checks))
    epochs.push(followed.value.next)
  }
  return { ok: true, value: epochs }
}

/** The block of the leaf. */
function readUnit(bytes: Uint8Array, leaf: Leaf, epoch: Epoch, sha256: Sha256): Decoded<Block> {
  const block = decodeBlock(bytes, epoch, new Domain(epoch.hash, { sha256 }))
  if (!block.ok) return refuse(`block is malformed: ${block.problem}`)
  if (!sameBytes(block.value.digest, leaf.unitDigest)) return refuse('block is not the one that the leaf names')
  if (block.value.messageCount !== leaf.messageCount) return refuse('leaf counts other messages than the block has')
  return block
}

/** The message that has the position, and that the proof's open fields describe. */
function provenMessage(proof: LogProof, leaf: Leaf, block: Block): Decoded<BlockMessage> {
  const index = messageAt(leaf, proof.position)
  const message = blockMessages(block)[index]
  if (message === undefined) return refuse(`position ${proof.position} is not one of this block`)
  if (proof.seq !== message.seq)
    return refuse(`message at position ${proof.position} has submission number ${message.seq}`)
  if (proof.author !== block.author) return refuse(`author is node ${block.author}`)
  if (proof.consensusUs !== leaf.consensusUs) return refuse(`consensus time is ${leaf.consensusUs} µs`)
  return { ok: true, value: message }
}

function describe(
  proof: LogProof,
  message: BlockMessage,
  block: Block,
  epoch: Epoch,
  certificate: Certificate,
): ProvenMessage {
  const { publicKey, address } = epoch.nodes[block.author] as Epoch['nodes'][number]
  return {
    position: proof.position,
    epoch: epoch.number,
    author: block.author,
    address,
    publicKey,
    seq: message.seq,
    kind: message.kind,
    receivedUs: message.recvUs,
    consensusUs: proof.consensusUs,
    bytes: message.bytes,
    logSize: certificate.checkpoint.logSize,
  }
}

function named(epoch: Epoch, certificate: Certificate, checks: readonly SignatureCheck[]): ProofSignature[] {
  return checks.map((check, i) => {
    const author = certificate.signatures[i]?.author as number
    return { ...check, name: `checkpoint signature of node ${author} (${epoch.nodes[author]?.address})` }
  })
}

function ofAuthor(epoch: Epoch, block: Block): ProofSignature {
  const { publicKey, address } = epoch.nodes[block.author] as Epoch['nodes'][number]
  const name = `block signature of node ${block.author} (${address})`
  return { publicKey, bytes: signedBlockBytes(block.digest), signature: block.signature, name }
}

function refuse(problem: string): { readonly ok: false; readonly problem: string } {
  return { ok: false, problem }
}
