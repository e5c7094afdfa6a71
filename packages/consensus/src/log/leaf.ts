/**
 * A leaf of the log tree (consensus.md section 10): one unit, with the positions that its messages got.
 *
 *     "concordmq/leaf/1" | 00 | firstPosition u64 | count u16 | epoch u32 | unitDigest 32 | cUs u64 | msgCount u16 | mask
 *
 * The mask says which messages of the body got a position, bit i of byte i/8 (least significant first) for message i: some may
 * be skipped (8.6), and without it the place of a message in its body would not follow from its position.
 */
import { sameBytes } from '../bytes/order.ts'
import { Reader } from '../bytes/reader.ts'
import { Writer } from '../bytes/writer.ts'
import { popcount } from '../order/popcount.ts'

export interface Leaf {
  /** Position of the first message that got one. */
  readonly firstPosition: number
  /** How many got one: the ones of the mask, at least 1. */
  readonly count: number
  readonly epoch: number
  /** 32 bytes. */
  readonly unitDigest: Uint8Array
  /** Consensus time of the unit, µs. */
  readonly consensusUs: number
  /** Messages of the body. */
  readonly messageCount: number
  /** ⌈messageCount / 8⌉ bytes. */
  readonly mask: Uint8Array
}

const TAG = Uint8Array.from('concordmq/leaf/1\0', (letter) => letter.charCodeAt(0))
const FIXED_BYTES = TAG.length + 8 + 2 + 4 + 32 + 8 + 2

/** What is hashed into the tree. */
export function leafBytes(leaf: Leaf): Uint8Array {
  const writer = new Writer(FIXED_BYTES + leaf.mask.length)
  writer.raw(TAG)
  writer.u64(leaf.firstPosition)
  writer.u16(leaf.count)
  writer.u32(leaf.epoch)
  writer.raw(leaf.unitDigest)
  writer.u64(leaf.consensusUs)
  writer.u16(leaf.messageCount)
  writer.raw(leaf.mask)
  return writer.take()
}

/** The leaf that bytes say, as they were written; undefined: they are none. */
export function readLeaf(bytes: Uint8Array): Leaf | undefined {
  const reader = new Reader(bytes)
  if (!sameBytes(reader.raw(TAG.length), TAG)) return undefined
  const leaf: Leaf = {
    firstPosition: reader.u64(),
    count: reader.u16(),
    epoch: reader.u32(),
    unitDigest: reader.raw(32),
    consensusUs: reader.u64(),
    messageCount: reader.u16(),
    mask: reader.raw(reader.left),
  }
  if (!reader.end() || leaf.mask.length !== (leaf.messageCount + 7) >>> 3) return undefined
  const marked = leaf.mask.reduce((sum, byte) => sum + popcount(byte), 0)
  const padding = leaf.messageCount % 8 === 0 ? 0 : (leaf.mask.at(-1) as number) >>> (leaf.messageCount % 8)
  return leaf.count >= 1 && marked === leaf.count && padding === 0 ? leaf : undefined
}

/** The message of the body that has `position`: the (position - firstPosition)-th one bit; -1 if none has. */
export function messageAt(leaf: Leaf, position: number): number {
  let before = position - leaf.firstPosition
  if (before < 0) return -1
  for (let i = 0; i < leaf.messageCount; i++) {
    if ((((leaf.mask[i >>> 3] as number) >>> (i & 7)) & 1) === 0) continue
    if (before === 0) return i
    before--
  }
  return -1
}
