/**
 * Finds the blocks in frames and records, for those who look on: invariants, liars, traces. Each block is read once, however many
 * frames bring it.
 */
import { decodeBlock } from '../../../../packages/consensus/src/bytes/block-codec.ts'
import { type Domain, signedBlockBytes } from '../../../../packages/consensus/src/bytes/domain.ts'
import { decodeFrame, FrameType, frameHeadBytes } from '../../../../packages/consensus/src/bytes/frames.ts'
import { readBlockRecord } from '../../../../packages/consensus/src/core/records.ts'
import type { Block } from '../../../../packages/consensus/src/model/block.ts'
import type { WalRecord } from '../../../../packages/consensus/src/model/effect.ts'
import type { Epoch } from '../../../../packages/consensus/src/model/epoch.ts'
import type { Keyring } from './fast-cryptography.ts'
import { BlocksBySignature } from './known-blocks.ts'

/** Section 3: bytes of a record before its block. */
const recordHeadBytes = 8
const nothing: readonly Block[] = []

export class BlockReader {
  readonly #epoch: Epoch
  readonly #domain: Domain
  readonly #keyring: Keyring
  /** Of BLOCKS frames, which one node may send several times. */
  readonly #ofFrames = new WeakMap<Uint8Array, readonly Block[]>()
  readonly #known: BlocksBySignature

  constructor(epoch: Epoch, domain: Domain, keyring: Keyring, { frozen }: { readonly frozen: boolean }) {
    this.#known = new BlocksBySignature({ frozen })
    this.#epoch = epoch
    this.#domain = domain
    this.#keyring = keyring
  }

  /** The well-formed and rightly signed blocks of a BLOCK or BLOCKS frame; none for all other frames. */
  ofFrame(frame: Uint8Array): readonly Block[] {
    if (frame[0] === FrameType.block) return listOf(this.#read(frame, frameHeadBytes))
    if (frame[0] !== FrameType.blocks) return nothing
    let blocks = this.#ofFrames.get(frame)
    if (blocks === undefined) {
      blocks = this.#readMany(frame)
      this.#ofFrames.set(frame, blocks)
    }
    return blocks
  }

  /**
   * The block of a BLOCK or OWN record. What an engine writes it has checked, so that the signature names the block: most have
   * been read already, in the frame that brought them.
   */
  ofRecord({ bytes }: WalRecord): Block | undefined {
    return this.#known.named(bytes, recordHeadBytes) ?? this.#read(readBlockRecord(bytes).block, 0)
  }

  /** A block that was read before, and its signature found good. */
  find(bytes: Uint8Array): Block | undefined {
    return this.#known.find(bytes, 0)
  }

  /** All blocks read so far. */
  all(): Block[] {
    return this.#known.all()
  }

  #readMany(frame: Uint8Array): readonly Block[] {
    const decoded = decodeFrame(frame, this.#epoch.constants.blockBytesMax)
    if (!decoded.ok || decoded.value.type !== 'blocks') return nothing
    return decoded.value.entries.flatMap((entry) =>
      entry.type === 'block' ? listOf(this.#read(entry.bytes, 0)) : nothing,
    )
  }

  /** The block that begins at `start` and ends with the bytes. */
  #read(bytes: Uint8Array, start: number): Block | undefined {
    const known = this.#known.find(bytes, start)
    if (known !== undefined) return known
    const blockBytes = bytes.subarray(start)
    const decoded = decodeBlock(blockBytes, this.#epoch, this.#domain)
    if (!decoded.ok) return undefined
    const block = decoded.value
    const key = this.#epoch.nodes[block.author]?.publicKey as Uint8Array
    if (!this.#keyring.verify(key, signedBlockBytes(block.digest), block.signature)) return undefined
    this.#known.add(blockBytes, block)
    return block
  }
}

function listOf(block: Block | undefined): readonly Block[] {
  return block === undefined ? nothing : [block]
}
