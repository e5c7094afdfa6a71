/**
 * A leaf of the log tree (consensus.md section 10): one unit, with the positions that its messages got.
 *
 *     "concordmq/leaf/1" | 00 | firstPosition u64 | count u16 | epoch u32 | unitDigest 32 | cUs u64 | msgCount u16 | mask
 *
 * The mask says which messages of the body got a position, bit i of byte i/8 (least significant first) for message i: some may
 * be skipped (8.6), and without it the place of a message in its body would not follow from its position.
 */

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
const TWO_32 = 0x1_0000_0000

/** What is hashed into the tree. */
export function leafBytes(leaf: Leaf): Uint8Array {
  const bytes = new Uint8Array(FIXED_BYTES + leaf.mask.length)
  const view = new DataView(bytes.buffer)
  bytes.set(TAG)
  let at = TAG.length
  at = setU53(view, at, leaf.firstPosition)
  view.setUint16(at, leaf.count)
  view.setUint32(at + 2, leaf.epoch)
  bytes.set(leaf.unitDigest, at + 6)
  at = setU53(view, at + 38, leaf.consensusUs)
  view.setUint16(at, leaf.messageCount)
  bytes.set(leaf.mask, at + 2)
  return bytes
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

function setU53(view: DataView, at: number, value: number): number {
  view.setUint32(at, Math.floor(value / TWO_32))
  view.setUint32(at + 4, value % TWO_32)
  return at + 8
}
