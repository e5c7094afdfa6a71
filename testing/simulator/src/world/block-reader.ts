/**
 * Finds the blocks in frames and records, for those who look on: invariants, liars, traces. A frame to all peers is one array, so
 * it is read once and remembered for as long as it lives.
 */
import { decodeBlock, encodeBlock } from '../../../../packages/consensus/src/bytes/block-codec.ts'
import { type Domain, signedBlockBytes } from '../../../../packages/consensus/src/bytes/domain.ts'
import { decodeFrame, FrameType, frameHeadBytes } from '../../../../packages/consensus/src/bytes/frames.ts'
import { readBlockRecord } from '../../../../packages/consensus/src/core/records.ts'
import type { Block } from '../../../../packages/consensus/src/model/block.ts'
import type { WalRecord } from '../../../../packages/consensus/src/model/effect.ts'
import type { Epoch } from '../../../../packages/consensus/src/model/epoch.ts'
import type { Keyring } from './fast-cryptography.ts'

/** Section 3: bytes of a record before its block; of a header before its table, of an entry without a time, behind the table. */
const recordHeadBytes = 8
const fixedBytes = 4 + 4 + 1 + 8 + 8 + 1 + 2
const parentKind = 1
const parentBytes = 1 + 1 + 8 + 32
const restBytes = 2 + 4 + 32
const nothing: readonly Block[] = []

export class BlockReader {
  readonly #epoch: Epoch
  readonly #domain: Domain
  readonly #keyring: Keyring
  readonly #known = new WeakMap<Uint8Array, readonly Block[]>()
  readonly #bySignature = new Map<number, Block>()

  constructor(epoch: Epoch, domain: Domain, keyring: Keyring) {
    this.#epoch = epoch
    this.#domain = domain
    this.#keyring = keyring
  }

  /** The well-formed and rightly signed blocks of a BLOCK or BLOCKS frame; none for all other frames. */
  ofFrame(frame: Uint8Array): readonly Block[] {
    if (frame[0] !== FrameType.block && frame[0] !== FrameType.blocks) return nothing
    let blocks = this.#known.get(frame)
    if (blocks === undefined) {
      blocks = frame[0] === FrameType.block ? this.#read(frame.subarray(frameHeadBytes)) : this.#readMany(frame)
      this.#known.set(frame, blocks)
    }
    return blocks
  }

  /**
   * The block of a BLOCK or OWN record. What an engine writes it has checked, so that the signature names the block: most have
   * been read already, in the frame that brought them.
   */
  ofRecord({ bytes }: WalRecord): Block | undefined {
    return this.#bySignature.get(signatureKey(bytes, recordHeadBytes)) ?? this.#read(readBlockRecord(bytes).block)[0]
  }

  /** All blocks read so far. */
  all(): Block[] {
    return [...this.#bySignature.values()]
  }

  #readMany(frame: Uint8Array): readonly Block[] {
    const decoded = decodeFrame(frame, this.#epoch.constants.blockBytesMax)
    if (!decoded.ok || decoded.value.type !== 'blocks') return nothing
    return decoded.value.entries.flatMap((entry) => (entry.type === 'block' ? this.#read(entry.bytes) : nothing))
  }

  #read(bytes: Uint8Array): readonly Block[] {
    const known = this.#bySignature.get(signatureKey(bytes, 0))
    if (known !== undefined && Buffer.compare(encodeBlock(known), bytes) === 0) return [known]
    const decoded = decodeBlock(bytes, this.#epoch, this.#domain)
    if (!decoded.ok) return nothing
    const block = decoded.value
    const key = this.#epoch.nodes[block.author]?.publicKey as Uint8Array
    if (!this.#keyring.verify(key, signedBlockBytes(block.digest), block.signature)) return nothing
    this.#bySignature.set(signatureKey(bytes, 0), block)
    return [block]
  }
}

/** Six bytes of a block's signature as a number: behind a table of references that are of two lengths. */
function signatureKey(bytes: Uint8Array, start: number): number {
  let at = start + fixedBytes
  for (let left = u16(bytes, at - 2); left > 0; left--) at += bytes[at] === parentKind ? parentBytes : parentBytes + 8
  at += restBytes
  return (u16(bytes, at) * 65_536 + u16(bytes, at + 2)) * 65_536 + u16(bytes, at + 4)
}

function u16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number)
}
