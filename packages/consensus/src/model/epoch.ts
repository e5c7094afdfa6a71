/**
 * An epoch: the nodes, their keys and the constants that hold from one reconfiguration to the next (consensus.md sections 1, 3,
 * 13). Authors are indices into its book.
 */
import type { Constants } from './constants.ts'

/** One node of the address book, as the engine sees it. */
export interface BookNode {
  /** Uncompressed P-256 point, 65 bytes. Names the node across epochs. */
  readonly publicKey: Uint8Array
  /** Where it is reached, `HOST:PORT`; the engine only hashes it. */
  readonly address: string
}

/** Who may change the cluster: `threshold` of these keys sign a reconfiguration, or a certificate takes one node in. */
export interface Operators {
  readonly threshold: number
  /** Uncompressed P-256 points. */
  readonly keys: readonly Uint8Array[]
  /** SHA-256 of each certificate (DER) whose holder may certify keys of new nodes. Default: nobody may. */
  readonly roots?: readonly Uint8Array[]
}

/** What all nodes of an epoch agree on. */
export interface EpochRecord {
  /** 0, 1, 2, … */
  readonly number: number
  /** Bytes that name the network; the same in all its epochs. */
  readonly networkId: Uint8Array
  readonly nodes: readonly BookNode[]
  readonly constants: Constants
  /** From the genesis record; the same in all epochs. */
  readonly operators: Operators
  /** Hash of the content of the checkpoint that ended the epoch before; 32 zeros in the first. */
  readonly previousHash: Uint8Array
}

/** A record with what follows from it; `makeEpoch` makes it. */
export interface Epoch extends EpochRecord {
  /** epochHash of section 3: part of everything that is signed or hashed. */
  readonly hash: Uint8Array
  /** How many nodes: 1 to 31. */
  readonly n: number
  /** How many may fail in any way: floor((n - 1) / 3). */
  readonly f: number
  /** A quorum: n - f. Two of them share a correct node. */
  readonly q: number
  /** A witness set: f + 1, so at least one correct node. */
  readonly w: number
}
