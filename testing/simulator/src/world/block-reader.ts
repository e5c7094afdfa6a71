/**
 * Finds the blocks in frames and records, for those who look on: invariants, liars, traces. A frame to all peers is one array, so
 * it is read once and remembered for as long as it lives.
 */
import { decodeBlock } from '../../../../packages/consensus/src/bytes/block-codec.ts'
import { type Domain, signedBlockBytes } from '../../../../packages/consensus/src/bytes/domain.ts'
import { decodeFrame, FrameType, frameHeadBytes } from '../../../../packages/consensus/src/bytes/frames.ts'
import { readBlockRecord } from '../../../../packages/consensus/src/core/records.ts'
import type { Block } from '../../../../packages/consensus/src/model/block.ts'
import type { WalRecord } from '../../../../packages/consensus/src/model/effect.ts'
import type { Epoch } from '../../../../packages/consensus/src/model/epoch.ts'
import type { Keyring } from './fast-cryptography.ts'

const nothing: readonly Block[] = []

export class BlockReader {
  readonly #epoch: Epoch
  readonly #domain: Domain
  readonly #keyring: Keyring
  readonly #known = new WeakMap<Uint8Array, readonly Block[]>()

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

  /** The block of a BLOCK or OWN record. */
  ofRecord(record: WalRecord): Block | undefined {
    let known = this.#known.get(record.bytes)
    if (known === undefined) {
      known = this.#read(readBlockRecord(record.bytes).block)
      this.#known.set(record.bytes, known)
    }
    return known[0]
  }

  #readMany(frame: Uint8Array): readonly Block[] {
    const decoded = decodeFrame(frame, this.#epoch.constants.blockBytesMax)
    if (!decoded.ok || decoded.value.type !== 'blocks') return nothing
    return decoded.value.entries.flatMap((entry) => (entry.type === 'block' ? this.#read(entry.bytes) : nothing))
  }

  #read(bytes: Uint8Array): readonly Block[] {
    const decoded = decodeBlock(bytes, this.#epoch, this.#domain)
    if (!decoded.ok) return nothing
    const block = decoded.value
    const key = this.#epoch.nodes[block.author]?.publicKey as Uint8Array
    return this.#keyring.verify(key, signedBlockBytes(block.digest), block.signature) ? [block] : nothing
  }
}
