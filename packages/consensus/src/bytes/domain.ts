/**
 * What is hashed and what is signed (consensus.md section 3). Each object has its own tag and carries the epoch's hash, so that
 * nothing signed for one purpose, network or epoch says anything in another. Blocks are signed through their digest, which
 * holds the epoch's hash already.
 */
import type { Cryptography } from '../model/cryptography.ts'
import { Writer } from './writer.ts'

/** What is signed besides blocks. */
export type SignedTag = 'checkpoint' | 'ownlast' | 'reconfig' | 'hello' | 'admin'

const TAG_END = 0

export class Domain {
  readonly epochHash: Uint8Array
  readonly #cryptography: Pick<Cryptography, 'sha256'>
  /** Tag, epoch's hash, and behind them the header at hand. Kept: digests are the hot path. */
  readonly #block = new Writer(4096)
  readonly #blockPrefix: number
  readonly #body = new Writer(4096)
  readonly #bodyPrefix: number
  readonly #slot = new Writer()
  readonly #slotPrefix: number

  constructor(epochHash: Uint8Array, cryptography: Pick<Cryptography, 'sha256'>) {
    this.epochHash = epochHash
    this.#cryptography = cryptography
    this.#blockPrefix = begin(this.#block, 'concordmq/block/1', epochHash)
    this.#bodyPrefix = begin(this.#body, 'concordmq/body/1')
    this.#slotPrefix = begin(this.#slot, 'concordmq/slot/1', epochHash)
  }

  /** Digest of a block: of its header only, which holds the hash of the body. */
  blockDigest(header: Uint8Array): Uint8Array {
    return this.#hashBehind(this.#block, this.#blockPrefix, header)
  }

  bodyHash(body: Uint8Array): Uint8Array {
    return this.#hashBehind(this.#body, this.#bodyPrefix, body)
  }

  /** Rank of an author among the slots of a round (section 7). */
  slotHash(round: number, author: number): Uint8Array {
    this.#slot.cut(this.#slotPrefix)
    this.#slot.u64(round)
    this.#slot.u8(author)
    return this.#cryptography.sha256(this.#slot.view())
  }

  #hashBehind(writer: Writer, prefix: number, bytes: Uint8Array): Uint8Array {
    writer.cut(prefix)
    writer.raw(bytes)
    return this.#cryptography.sha256(writer.view())
  }
}

const signedBlockPrefix = Uint8Array.from('concordmq/sig/block/1\0', (letter) => letter.charCodeAt(0))

/** The bytes under a block's signature. */
export function signedBlockBytes(digest: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(signedBlockPrefix.length + digest.length)
  bytes.set(signedBlockPrefix)
  bytes.set(digest, signedBlockPrefix.length)
  return bytes
}

/** The bytes under the signature of anything else. */
export function signedBytes(tag: SignedTag, epochHash: Uint8Array, content: Uint8Array): Uint8Array {
  const writer = new Writer()
  begin(writer, `concordmq/sig/${tag}/1`, epochHash)
  writer.raw(content)
  return writer.take()
}

/** Begins what is hashed or signed: tag, zero, what always follows. Answers the length. */
export function begin(writer: Writer, tag: string, ...parts: readonly Uint8Array[]): number {
  writer.rawAscii(tag)
  writer.u8(TAG_END)
  for (const part of parts) writer.raw(part)
  return writer.length
}
