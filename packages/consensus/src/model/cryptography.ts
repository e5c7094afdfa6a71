/**
 * What the engine needs of cryptography, given by its host. Both are functions of their arguments as far as the engine can tell;
 * verifying goes through an effect instead, since a host may do it elsewhere (`model/effect.ts`).
 */

export interface Cryptography {
  /** SHA-256, 32 bytes. */
  sha256(bytes: Uint8Array): Uint8Array
  /** ECDSA P-256 with SHA-256 by this node's key over `bytes`: r | s, 64 bytes. */
  sign(bytes: Uint8Array): Uint8Array
}
