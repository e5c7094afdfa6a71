/**
 * Makes a node of a cluster from what its operator has: the address book, its key, a directory. The first epoch of the network
 * follows from the book; so nodes with different books are in different networks, and refuse each other.
 */
import { createPublicKey, type KeyObject, type X509Certificate } from 'node:crypto'
import type { Epoch } from '@concordmq/consensus'
import type { Files } from '../model/files.ts'
import { nodeFiles } from '../storage/files.ts'
import { type Logger, silentLogger } from '../telemetry/logger.ts'
import { Consensus } from './consensus.ts'
import { genesisOf, type NetworkOperators } from './genesis.ts'
import { certifierOf } from './identity/certificate-chain.ts'
import type { TransportChoice } from './links/open-transports.ts'
import { splitAddress } from './links/transport.ts'

export interface ClusterNodeOptions {
  /** All nodes that the network began with, in the same order everywhere: 1 to 31. */
  readonly book: readonly { readonly publicKey: KeyObject; readonly address: string }[]
  /** This node's key; its public part is in the book, or operators take it in later (`joining`). */
  readonly privateKey: KeyObject
  /** Where the consensus log lies; made if it is missing. */
  readonly directory: string
  /** Name of the network, up to 64 bytes; nodes of another one are refused. Default `concordmq`. */
  readonly network?: string
  /** Who may change the book of the running network, the same on all nodes. Default: nobody. */
  readonly operators?: NetworkOperators
  /** The key need not be in the book: the node waits until operators take it in. */
  readonly joining?: boolean
  /** Operators are about to take it in: that it was taken out before is no reason not to start. */
  readonly awaited?: boolean
  /** This node asks to be taken in by its certificates, own first, up to one of `operators.roots`; `address`: where it is reached. */
  readonly application?: { readonly chain: readonly X509Certificate[]; readonly address: string }
  /** Newcomers with such certificates may ask this node, over TLS on TCP. Default: they may not. */
  readonly admits?: boolean
  /** `quic`, `tls`, or `auto` (default): QUIC where its library is installed, and TLS beside it. */
  readonly transport?: TransportChoice
  /** Where nodes are listened to. Default: the address of this node in the book. */
  readonly listen?: { readonly host: string; readonly port: number }
  /** What a block waits for before it leaves: the disk (`fsync`, default) or the operating system (`os`). */
  readonly durability?: 'fsync' | 'os'
  /** Digest of what else all nodes must agree on: `settingsDigest(options)` of the broker. */
  readonly settingsDigest: Uint8Array
  /** What it is the digest of (`sharedSettings`), so that differences are named. Default: only the digests are. */
  readonly settingsText?: string
  /** Shown to peers, up to 64 characters. */
  readonly programVersion?: string
  /** Bytes of the log on disk from which positions before a restart are proven. Default: 0, none. */
  readonly proofBytesMax?: number
  readonly logger?: Logger
  /** Another file system under the log, for tests. */
  readonly files?: Files
  /** An epoch began, the first one included. */
  readonly onEpoch?: (epoch: Epoch) => void
  /** The node cannot go on, and has stopped. */
  readonly onFailure?: (error: Error) => void
}

/**
 * Opens a node; the broker that it is given to starts it. Rejects with `CMQ_CLUSTER…` or `CMQ_DATA_…` before anything is served.
 *
 * ```ts
 * const log = await openClusterNode({ book, privateKey, directory: 'data', settingsDigest: settingsDigest(options) })
 * const broker = await createBroker({ ...options, cluster: { log } })
 * ```
 */
export async function openClusterNode(options: ClusterNodeOptions): Promise<Consensus> {
  const { book, privateKey, network, operators, application } = options
  const publicKey = createPublicKey(privateKey)
  const own = book.find((entry) => entry.publicKey.equals(publicKey))
  return await Consensus.open({
    genesis: genesisOf(book, network, operators),
    privateKey,
    joining: options.joining ?? options.application !== undefined,
    awaited: options.awaited ?? false,
    certifies: await certifierOf(operators?.roots ?? []),
    admits: options.admits ?? false,
    ...(application === undefined
      ? {}
      : { application: { address: application.address, chain: application.chain.map(({ raw }) => raw) } }),
    directory: options.directory,
    durability: options.durability ?? 'fsync',
    files: options.files ?? nodeFiles,
    transport: options.transport ?? 'auto',
    ...(options.listen ?? splitAddress(own?.address ?? '')),
    settingsDigest: options.settingsDigest,
    settingsText: options.settingsText ?? '',
    programVersion: options.programVersion ?? '',
    proofBytesMax: options.proofBytesMax ?? 0,
    logger: options.logger ?? silentLogger,
    onEpoch: options.onEpoch ?? (() => {}),
    onFailure: options.onFailure ?? (() => {}),
  })
}
