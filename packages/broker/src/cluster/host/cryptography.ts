/**
 * Hashing, signing and verifying by `node:crypto`. A signature costs 85 µs to verify: up to seven nodes that is done in line,
 * which costs least; with more nodes it goes to the threads of libuv, so that the event loop has time for clients.
 */
import { hash, type KeyObject } from 'node:crypto'
import type { Cryptography } from '@concordmq/consensus'
import { certifiesNobody } from '../identity/certificate-chain.ts'
import { keyOfPoint } from '../identity/node-keys.ts'
import { decryptShare, openSealed } from './sealed-shares.ts'
import { signBlock, verifyBlock, verifyBlockElsewhere } from './signatures.ts'

/** Largest cluster whose signatures are verified in line. */
const INLINE_NODES_MAX = 7

/** What the engine of the node with this key works with. */
export function nodeCryptography(
  privateKey: KeyObject,
  certifies: Cryptography['certifies'] = certifiesNobody,
): Cryptography {
  return {
    sha256: (bytes) => hash('sha256', bytes, 'buffer'),
    sign: (bytes) => signBlock(bytes, privateKey),
    verify(publicKey, bytes, signature) {
      const theirs = keyOfPoint(publicKey)
      return theirs !== undefined && verifyBlock(bytes, theirs, signature)
    },
    certifies,
    open: openSealed,
    decryptShare: (encrypted) => decryptShare(privateKey, encrypted),
  }
}

export interface Claim {
  readonly publicKey: Uint8Array
  readonly bytes: Uint8Array
  readonly signature: Uint8Array
}

export class Verifier {
  /** One key object for each key, found by the array that the engine names it with. */
  readonly #keys = new WeakMap<Uint8Array, KeyObject>()
  /** Whether `verify` answers at once. */
  inLine = true

  /** For a cluster of so many nodes. */
  setNodes(n: number): void {
    this.inLine = n <= INLINE_NODES_MAX
  }

  verify({ publicKey, bytes, signature }: Claim): boolean {
    const key = this.#keyOf(publicKey)
    return key !== undefined && verifyBlock(bytes, key, signature)
  }

  /** The same on another thread; `done` is called later. */
  verifyElsewhere({ publicKey, bytes, signature }: Claim, done: (ok: boolean) => void): void {
    const key = this.#keyOf(publicKey)
    if (key === undefined) return void setImmediate(done, false)
    verifyBlockElsewhere(bytes, key, signature, done)
  }

  #keyOf(point: Uint8Array): KeyObject | undefined {
    const known = this.#keys.get(point)
    if (known !== undefined) return known
    const key = keyOfPoint(point)
    if (key !== undefined) this.#keys.set(point, key)
    return key
  }
}
