/**
 * The first epoch of a network, as its address book says it (consensus.md section 3). All that nodes and offline verifiers must
 * agree on follows from the book and the network's name alone, so they need share no other file.
 */
import { hash, type KeyObject, type X509Certificate } from 'node:crypto'
import { constantsFor, type Epoch, makeEpoch } from '@concordmq/consensus'
import { ConcordError, reasonOf } from '../errors.ts'
import { fingerprintOf } from './identity/certificate-chain.ts'
import { pointOf } from './identity/node-keys.ts'

/** The network's name, unless the operator gives another. */
export const defaultNetwork = 'concordmq'

/** Who may change the book of the running network: so many of these keys together. */
export interface NetworkOperators {
  readonly threshold: number
  readonly keys: readonly KeyObject[]
  /** Authorities, up to 8, of which a certificate takes one node in without operators. Default: none. */
  readonly roots?: readonly X509Certificate[]
}

/** Of a book in its own order; without operators nobody can change it. Throws `CMQ_CLUSTER` when nodes could not run it. */
export function genesisOf(
  book: readonly { readonly publicKey: KeyObject; readonly address: string }[],
  network: string = defaultNetwork,
  operators?: NetworkOperators,
): Epoch {
  const record = {
    number: 0,
    networkId: Buffer.from(network, 'utf8'),
    nodes: book.map(({ publicKey, address }) => ({ publicKey: pointOf(publicKey), address })),
    constants: constantsFor(book.length),
    operators: {
      threshold: operators?.threshold ?? 0,
      keys: (operators?.keys ?? []).map((key) => pointOf(key)),
      roots: (operators?.roots ?? []).map((root) => fingerprintOf(root)),
    },
    previousHash: new Uint8Array(32),
  }
  try {
    return makeEpoch(record, { sha256: (bytes) => hash('sha256', bytes, 'buffer') })
  } catch (error) {
    throw new ConcordError('CMQ_CLUSTER', `Cannot use the address book: ${reasonOf(error)}`, { cause: error })
  }
}
