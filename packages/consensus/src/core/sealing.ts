/**
 * Sealed messages on this node (consensus.md section 12): hands over its shares once a message has its place, and tells what
 * became of each when the log says so. The verdicts themselves are `sealed/`'s.
 */
import type { Reader } from '../bytes/reader.ts'
import type { Writer } from '../bytes/writer.ts'
import { MessageKind } from '../model/block.ts'
import type { Cryptography } from '../model/cryptography.ts'
import type { OrderedMessage } from '../model/effect.ts'
import type { Epoch } from '../model/epoch.ts'
import { type PositionShare, sharesBytes } from '../sealed/envelope.ts'
import { SealedMessages, type SealedVerdict } from '../sealed/sealed-messages.ts'
import type { Clock } from './clock.ts'
import { engineItself, type Submissions } from './submissions.ts'

/** Shares in one message. */
const SHARES_MAX = 1024

export class Sealing {
  readonly #cryptography: Cryptography
  readonly #publicKey: Uint8Array
  readonly #submissions: Submissions
  readonly #clock: Clock
  readonly #messages: SealedMessages
  /** Whether a message got its place in this step, so that this node has shares to give. */
  #asked = false

  constructor(
    epoch: Epoch,
    node: {
      readonly publicKey: Uint8Array
      readonly cryptography: Cryptography
      readonly submissions: Submissions
      readonly clock: Clock
    },
  ) {
    const { cryptography } = node
    this.#cryptography = cryptography
    this.#publicKey = node.publicKey
    this.#submissions = node.submissions
    this.#clock = node.clock
    this.#messages = new SealedMessages(epoch, {
      sha256: (bytes) => cryptography.sha256(bytes),
      open: (key, nonce, ciphertext) => cryptography.open(key, nonce, ciphertext),
    })
  }

  /** Whether steps must go on since a message waits for its verdict. */
  get need(): boolean {
    return this.#messages.size > 0
  }

  enter(epoch: Epoch): void {
    this.#messages.enter(epoch)
  }

  /** Messages got their places; those of other kinds are passed over. */
  emitted(messages: readonly OrderedMessage[]): void {
    for (const { kind, position, author, bytes } of messages) {
      if (kind === MessageKind.share) this.#messages.shared(author, bytes)
      else if (kind === MessageKind.sealed && this.#messages.emitted(position, bytes) !== undefined) this.#asked = true
    }
  }

  /** A step is over: what became of which message. `silent`: a log is told again, and shares were given before. */
  stepDone({ silent }: { readonly silent: boolean }): readonly SealedVerdict[] {
    if (this.#messages.isIdle) return []
    const verdicts = this.#messages.stepDone()
    if (this.#asked && !silent) this.giveShares()
    this.#asked = false
    return verdicts
  }

  /** Submits this node's true shares of all that waits and lacks them; more than once does no harm. */
  giveShares(): void {
    const shares: PositionShare[] = []
    for (const { position, encrypted, isTrue } of this.#messages.lacking(this.#publicKey)) {
      const share = this.#cryptography.decryptShare(encrypted)
      if (share !== undefined && isTrue(share)) shares.push({ position, share })
    }
    for (let at = 0; at < shares.length; at += SHARES_MAX) {
      const bytes = sharesBytes(shares.slice(at, at + SHARES_MAX))
      this.#submissions.submit(engineItself, MessageKind.share, bytes, this.#clock.stamp())
    }
  }

  write(writer: Writer): void {
    this.#messages.write(writer)
  }

  read(reader: Reader): void {
    this.#messages.read(reader)
  }
}
