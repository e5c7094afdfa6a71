/**
 * Sealed messages between their place and their verdict (consensus.md section 12). A message is ordered before anybody can read
 * it; then the nodes put their shares of its key into the log, and what they make of it follows from the log alone, so it is
 * the same on all nodes whatever the sealer did:
 *
 *     emitted ─▶ w true shares emitted ─▶ all n shares have their hashes, and the ciphertext opens ─▶ opened
 *         │                                └─ else ─▶ void
 *         └─ H steps, or too many bytes wait ─▶ void
 *
 * Nothing behind a sealed message waits for it. Shares may come from the next epoch: a node is known by its key.
 */
import { publicKeyBytes } from '../bytes/epoch-record.ts'
import { sameBytes } from '../bytes/order.ts'
import type { Reader } from '../bytes/reader.ts'
import type { Writer } from '../bytes/writer.ts'
import type { Sha256 } from '../log/tree.ts'
import type { Epoch } from '../model/epoch.ts'
import { type Envelope, keyBytes, readEnvelope, readShares, shareHash } from './envelope.ts'
import { interpolate, type Share } from './shamir.ts'

/** What the host decrypts with; the same on all nodes. */
export interface SealedCryptography {
  readonly sha256: Sha256
  /** AES-256-GCM, tag behind the ciphertext; undefined: it does not open. */
  open(key: Uint8Array, nonce: Uint8Array, ciphertext: Uint8Array): Uint8Array | undefined
}

/** What became of a sealed message. */
export interface SealedVerdict {
  readonly position: number
  /** What was sealed; undefined: void. */
  readonly content: Uint8Array | undefined
}

/** A share that a node still has to give. */
export interface LackingShare {
  readonly position: number
  readonly encrypted: Uint8Array
  /** Whether a share is the one that the sealer named; another one counts for nothing. */
  readonly isTrue: (share: Uint8Array) => boolean
}

/** Bytes of sealed messages that wait; of more, those with the lowest positions are void. A liar cannot fill the memory. */
export const sealedBytesMax = 64 * 1024 * 1024

interface Waiting {
  readonly position: number
  readonly bytes: Uint8Array
  readonly envelope: Envelope
  /** Keys of the book that it was sealed for. */
  readonly keys: readonly Uint8Array[]
  /** Threshold of the sharing. */
  readonly w: number
  /** Steps left. */
  stepsLeft: number
  /** True shares, in the order of the log. */
  readonly shares: Share[]
}

export class SealedMessages {
  readonly #cryptography: SealedCryptography
  #epoch: Epoch
  /** By position; positions ascend, so this is the order of the map. */
  readonly #waiting = new Map<number, Waiting>()
  /** Places of this step where an envelope should be and is none. */
  readonly #none: number[] = []
  #bytes = 0

  constructor(epoch: Epoch, cryptography: SealedCryptography) {
    this.#epoch = epoch
    this.#cryptography = cryptography
  }

  /** How many wait for their verdict. While any do, steps must go on. */
  get size(): number {
    return this.#waiting.size
  }

  /** Whether the end of this step brings no verdict and moves none. */
  get isIdle(): boolean {
    return this.#waiting.size === 0 && this.#none.length === 0
  }

  /** A new epoch begins; what waits goes on waiting. */
  enter(epoch: Epoch): void {
    this.#epoch = epoch
  }

  /**
   * A message of kind 4 got its position. Returns the envelope, whose share of this node the caller decrypts and submits;
   * undefined: it is none, and the message is void at the end of this step.
   */
  emitted(position: number, bytes: Uint8Array): Envelope | undefined {
    const { n, w, nodes, constants } = this.#epoch
    const envelope = readEnvelope(bytes, n)
    if (envelope === undefined) {
      this.#none.push(position)
      return undefined
    }
    const keys = nodes.map(({ publicKey }) => publicKey)
    this.#waiting.set(position, { position, bytes, envelope, keys, w, stepsLeft: constants.voidRounds, shares: [] })
    this.#bytes += bytes.length
    return envelope
  }

  /** A message of kind 6 by `author` got its position. Shares that are false or not asked for are passed over. */
  shared(author: number, bytes: Uint8Array): void {
    const publicKey = this.#epoch.nodes[author]?.publicKey
    if (publicKey === undefined) return
    for (const { position, share } of readShares(bytes) ?? []) {
      const waiting = this.#waiting.get(position)
      if (waiting === undefined || waiting.shares.length === waiting.w) continue
      const node = waiting.keys.findIndex((key) => sameBytes(key, publicKey))
      if (node === -1 || waiting.shares.some((known) => known.node === node)) continue
      if (!this.#isTrue(waiting.envelope, node, share)) continue
      waiting.shares.push({ node, bytes: share.slice() })
    }
  }

  /** Messages that wait and have no true share of the node with this key yet, with its own share as the sealer wrote it. */
  *lacking(publicKey: Uint8Array): Generator<LackingShare> {
    for (const { position, keys, w, shares, envelope } of this.#waiting.values()) {
      const node = keys.findIndex((key) => sameBytes(key, publicKey))
      const own = envelope.shares[node]
      if (own === undefined || shares.length === w || shares.some((known) => known.node === node)) continue
      yield { position, encrypted: own.encrypted, isTrue: (share) => this.#isTrue(envelope, node, share) }
    }
  }

  /** Whether a share is the one that the sealer named: before a node submits its own, and before one of others counts. */
  #isTrue(envelope: Envelope, node: number, share: Uint8Array): boolean {
    const hash = envelope.shares[node]?.hash
    return hash !== undefined && sameBytes(shareHash(this.#cryptography.sha256, node, share), hash)
  }

  /** A step is over: verdicts, by position. */
  stepDone(): SealedVerdict[] {
    const verdicts: SealedVerdict[] = this.#none.splice(0).map((position) => ({ position, content: undefined }))
    for (const waiting of this.#waiting.values()) {
      waiting.stepsLeft--
      const full = waiting.shares.length === waiting.w
      if (!full && waiting.stepsLeft > 0 && this.#bytes <= sealedBytesMax) continue
      verdicts.push({ position: waiting.position, content: full ? this.#open(waiting) : undefined })
      this.#waiting.delete(waiting.position)
      this.#bytes -= waiting.bytes.length
    }
    if (verdicts.length > 1) verdicts.sort((a, b) => a.position - b.position)
    return verdicts
  }

  /** For the engine's snapshot. */
  write(writer: Writer): void {
    writer.u32(this.#waiting.size)
    for (const { position, bytes, keys, w, stepsLeft, shares } of this.#waiting.values()) {
      writer.u64(position)
      writer.bytes(bytes)
      writer.u8(keys.length)
      for (const key of keys) writer.raw(key)
      writer.u8(w)
      writer.u64(stepsLeft)
      writer.u8(shares.length)
      for (const { node, bytes: share } of shares) {
        writer.u8(node)
        writer.raw(share)
      }
    }
  }

  read(reader: Reader): void {
    this.#waiting.clear()
    this.#bytes = 0
    const count = reader.u32()
    for (let i = 0; i < count && reader.problem === undefined; i++) {
      const position = reader.u64()
      const bytes = reader.bytes(this.#epoch.constants.blockBytesMax).slice()
      const keys = Array.from({ length: reader.u8() }, () => new Uint8Array(reader.raw(publicKeyBytes)))
      const w = reader.u8()
      const stepsLeft = reader.u64()
      const shares = Array.from({ length: reader.u8() }, () => ({
        node: reader.u8(),
        bytes: new Uint8Array(reader.raw(keyBytes)),
      }))
      const envelope = readEnvelope(bytes, keys.length)
      if (envelope === undefined) return reader.fail('sealed message is none')
      this.#waiting.set(position, { position, bytes, envelope, keys, w, stepsLeft, shares })
      this.#bytes += bytes.length
    }
  }

  #open({ envelope, shares, keys }: Waiting): Uint8Array | undefined {
    // The sealer may have shared something that is no polynomial: then other shares would have given another key.
    for (let node = 0; node < keys.length; node++) {
      if (!this.#isTrue(envelope, node, interpolate(shares, node + 1))) return undefined
    }
    return this.#cryptography.open(interpolate(shares, 0), envelope.nonce, envelope.ciphertext)
  }
}
