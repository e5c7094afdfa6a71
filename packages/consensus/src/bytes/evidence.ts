/**
 * The proof that an author made two blocks for one round: two headers with their signatures (consensus.md section 16). It
 * travels as a message of a block, so that all nodes jail the author at the same place of the order.
 */
import type { Block } from '../model/block.ts'
import type { Epoch } from '../model/epoch.ts'
import { type Decoded, decodeHeader, signatureBytes } from './block-codec.ts'
import type { Domain } from './domain.ts'
import { compareBytes } from './order.ts'
import { Reader } from './reader.ts'
import { Writer } from './writer.ts'

type Signed = Pick<Block, 'header' | 'signature' | 'digest'>

/** A fork as evidence says it; the two signatures are still to be checked, each over `signedBlockBytes(digest)`. */
export interface Evidence {
  readonly author: number
  readonly round: number
  readonly blocks: readonly [Signed, Signed]
}

/** Two blocks of one author and round, in either order. */
export function encodeEvidence(a: Signed, b: Signed): Uint8Array {
  const writer = new Writer(4096)
  const [first, second] = compareBytes(a.digest, b.digest) < 0 ? [a, b] : [b, a]
  for (const block of [first, second]) {
    writer.bytes(block.header)
    writer.raw(block.signature)
  }
  return writer.take()
}

export function decodeEvidence(bytes: Uint8Array, epoch: Epoch, domain: Domain): Decoded<Evidence> {
  const reader = new Reader(bytes)
  const signed = [readSigned(reader), readSigned(reader)] as const
  if (!reader.end()) return { ok: false, problem: reader.problem ?? 'bytes follow the end' }
  const first = decodeHeader(signed[0].header, epoch, domain)
  if (!first.ok) return first
  const second = decodeHeader(signed[1].header, epoch, domain)
  if (!second.ok) return second
  const { author, round } = first.value
  if (second.value.author !== author || second.value.round !== round) return { ok: false, problem: 'no fork' }
  if (compareBytes(first.value.digest, second.value.digest) >= 0)
    return { ok: false, problem: 'blocks are not in order' }
  const blocks = [
    { ...signed[0], digest: first.value.digest },
    { ...signed[1], digest: second.value.digest },
  ] as const
  return { ok: true, value: { author, round, blocks } }
}

function readSigned(reader: Reader): { readonly header: Uint8Array; readonly signature: Uint8Array } {
  return { header: reader.bytes(reader.left), signature: reader.raw(signatureBytes) }
}
