/**
 * What the engine needs of cryptography, given by its host. All are functions of their arguments as far as the engine can tell.
 * Signatures of blocks, of which there are thousands a second, are checked through an effect instead, since a host may do that
 * elsewhere (`model/effect.ts`).
 */

/** That an authority certified a key: asked about a chain of X.509 certificates in DER, the key's own first. */
export interface CertificateClaim {
  /** SHA-256 of the roots, one of which issued the last certificate of the chain. */
  readonly roots: readonly Uint8Array[]
  readonly chain: readonly Uint8Array[]
  /** Uncompressed P-256 point. */
  readonly publicKey: Uint8Array
  /** When it is to hold, µs since 1970. */
  readonly atUs: number
}

export interface Cryptography {
  /** SHA-256, 32 bytes. */
  sha256(bytes: Uint8Array): Uint8Array
  /** ECDSA P-256 with SHA-256 by this node's key over `bytes`: r | s, 64 bytes. */
  sign(bytes: Uint8Array): Uint8Array
  /** Whether this is a signature over `bytes` by the key, an uncompressed P-256 point. For what is rare: evidence, certificates. */
  verify(publicKey: Uint8Array, bytes: Uint8Array, signature: Uint8Array): boolean
  /** Why a chain does not certify the key; undefined: it does. A function of the claim alone, the same on all nodes. */
  certifies(claim: CertificateClaim): string | undefined
  /** AES-256-GCM, the tag behind the ciphertext; undefined: it does not open. The same on all nodes. */
  open(key: Uint8Array, nonce: Uint8Array, ciphertext: Uint8Array): Uint8Array | undefined
  /** A share of a sealed message's key that was encrypted to this node; undefined: it is none (section 12). */
  decryptShare(encrypted: Uint8Array): Uint8Array | undefined
}
