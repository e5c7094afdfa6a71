/**
 * The first epoch of a network, as its address book says it (consensus.md section 3). Everything that a node and an offline
 * verifier must agree on follows from the book and the network's name alone, so the two need share no other file.
 */
import { hash, type KeyObject } from 'node:crypto'
import { constantsFor, type Epoch, makeEpoch, type Operators } from '@concordmq/consensus'
import type { BookEntry } from './address-book.ts'

/** The network's name, unless the operator gives another. */
export const defaultNetwork = 'concordmq'

const POINT_BYTES = 65

/** Nobody may change the cluster. */
const noOperators: Operators = { threshold: 0, keys: [] }

/** Throws RangeError if nodes could not run it: a book of more than 31 entries. */
export function genesisOf(
  entries: readonly Pick<BookEntry, 'publicKey' | 'address'>[],
  {
    network = defaultNetwork,
    operators = noOperators,
  }: { readonly network?: string; readonly operators?: Operators } = {},
): Epoch {
  return makeEpoch(
    {
      number: 0,
      networkId: Buffer.from(network),
      nodes: entries.map(({ publicKey, address }) => ({ publicKey: pointOf(publicKey), address })),
      constants: constantsFor(entries.length),
      operators,
      previousHash: new Uint8Array(32),
    },
    { sha256: (bytes) => hash('sha256', bytes, 'buffer') },
  )
}

/** The uncompressed point of a P-256 public key: its SPKI form ends with it. */
export function pointOf(publicKey: KeyObject): Uint8Array {
  return publicKey.export({ format: 'der', type: 'spki' }).subarray(-POINT_BYTES)
}
