/**
 * Blocks that were read once in a run, by their signatures: whoever is given the same bytes again need not read them again. So all
 * engines of a cluster share one block where each would have read its own; they must leave it as it is, and `frozen` ones see to it.
 */
import type { KnownBlocks } from '../../../../packages/consensus/src/bytes/block-codec.ts'
import type { Block } from '../../../../packages/consensus/src/model/block.ts'

/** Section 3: bytes of a header before its table, of an entry without a time, behind the table. */
const fixedBytes = 4 + 4 + 1 + 8 + 8 + 1 + 2
const parentKind = 1
const parentBytes = 1 + 1 + 8 + 32
const restBytes = 2 + 4 + 32

interface Read {
  readonly bytes: Buffer
  readonly block: Block
}

export class BlocksBySignature {
  readonly #blocks = new Map<number, Read>()
  readonly #frozen: boolean

  /** `frozen`: whoever changes a block that others hold is found out. */
  constructor({ frozen }: { readonly frozen: boolean }) {
    this.#frozen = frozen
  }

  /** The block whose signature the bytes from `start` on have, whatever else they are. */
  named(bytes: Uint8Array, start: number): Block | undefined {
    return this.#blocks.get(signatureKey(bytes, start))?.block
  }

  /** The block that has the bytes from `start` on. */
  find(bytes: Uint8Array, start: number): Block | undefined {
    const known = this.#blocks.get(signatureKey(bytes, start))
    if (known === undefined) return undefined
    const { bytes: own, block } = known
    // A frame to all peers is one array.
    const isSame = own.buffer === bytes.buffer && own.byteOffset === bytes.byteOffset + start
    return (isSame && own.length === bytes.length - start) || own.compare(bytes, start) === 0 ? block : undefined
  }

  add(bytes: Uint8Array, block: Block): void {
    if (this.#frozen) freeze(block)
    const own = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    this.#blocks.set(signatureKey(bytes, 0), { bytes: own, block })
  }

  /** In the order in which they were added. */
  all(): Block[] {
    return Array.from(this.#blocks.values(), ({ block }) => block)
  }
}

/**
 * For the engines of one cluster. `read`: what somebody else has read by the same rules, if anybody has; not to be given where the engines'
 * rules are under suspicion.
 */
export function knownBlocks(
  { frozen }: { readonly frozen: boolean },
  read: (bytes: Uint8Array) => Block | undefined = () => undefined,
): KnownBlocks {
  const blocks = new BlocksBySignature({ frozen })
  return {
    find: (bytes) => read(bytes) ?? blocks.find(bytes, 0),
    add: (bytes, block) => blocks.add(bytes, block),
  }
}

function freeze(block: Block): void {
  for (const reference of block.references) Object.freeze(reference)
  Object.freeze(block.references)
  Object.freeze(block)
}

/** Six bytes of a block's signature as a number: behind a table of references that are of two lengths. */
function signatureKey(bytes: Uint8Array, start: number): number {
  let at = start + fixedBytes
  for (let left = u16(bytes, at - 2); left > 0 && at < bytes.length; left--) {
    at += bytes[at] === parentKind ? parentBytes : parentBytes + 8
  }
  at += restBytes
  return (u16(bytes, at) * 65_536 + u16(bytes, at + 2)) * 65_536 + u16(bytes, at + 4)
}

function u16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number)
}
