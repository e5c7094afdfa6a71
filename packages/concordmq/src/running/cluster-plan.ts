/**
 * Whether this node is one of a cluster, and how: from the address book, the key and `[cluster]`. What does not fit together is
 * refused here, before anything is opened: a node that ran alone by mistake would split the truth (row F10).
 */
import { existsSync } from 'node:fs'
import { isIPv6 } from 'node:net'
import { join } from 'node:path'
import type { ClusterNodeOptions, Logger } from '@concordmq/broker'
import { configurationError } from '../command-error.ts'
import { isLoopback, isWildcard, readAddress } from '../config/host-port.ts'
import type { Configuration } from '../config/settings.ts'
import { readTextIfPresent } from '../files/read-text.ts'
import { type Book, parseAddressBook } from '../identity/address-book.ts'
import { nodesMax } from '../identity/make-address-book.ts'
import type { NodeKey } from '../identity/secret-key.ts'
import { type AdmissionPlan, announcedAddress, prepareAdmission } from './admission-plan.ts'
import { dataPlace } from './data-place.ts'

export interface ClusterPlan {
  /** The book that the network began with. */
  readonly book: Book
  /** Of this node in it; undefined: it is not in it, and was taken in later or waits for that. */
  readonly index: number | undefined
  readonly listen: { readonly host: string; readonly port: number }
  readonly network: string
  readonly transport: NonNullable<ClusterNodeOptions['transport']>
  /** Where the consensus log lies. */
  readonly directory: string
  readonly admission: AdmissionPlan
  /** Where a newcomer says that the others reach it; undefined: it asks nobody to be taken in. */
  readonly announced: string | undefined
}

/** Undefined: the node runs alone. Throws a configuration error that names the book. */
export function prepareCluster(configuration: Configuration, key: NodeKey, logger: Logger): ClusterPlan | undefined {
  const { settings, directory } = configuration
  const mode = settings['cluster.mode']
  const path = join(directory, 'address-book.toml')
  const file = readTextIfPresent(path)
  const admission = prepareAdmission(configuration, key)
  if (file === undefined) {
    if (admission.roots.length > 0) {
      throw configurationError(
        `cluster.root-cert is given, and there is no address book ${path}`,
        'Give the book with which the network began: it says where the others are',
      )
    }
    if (mode === 'bft') {
      throw configurationError(
        `cluster.mode is "bft", and there is no address book ${path}`,
        'Make one with `concordmq address-book from-list ADDRESS…`, and give all nodes the same',
      )
    }
    logger.info({ event: 'node.single', address_book: path }, 'no address book, running as a single node')
    return undefined
  }
  const book = parseAddressBook(file.text, path)
  const entries = book.nodes
  if (entries.length > 1 && mode === 'none') {
    throw configurationError(
      `cluster.mode is "none", and the address book ${path} has ${entries.length} nodes`,
      'Leave cluster.mode out, or remove the book: a node that ran alone would not be in the order of the others',
    )
  }
  const index = indexOf(key, book, {
    path,
    directory,
    mayJoin: settings['cluster.join'] || admission.chain !== undefined || wasHere(configuration, key),
  })
  if (entries.length === 1 && index !== undefined && mode !== 'bft') {
    logger.info(
      { event: 'node.single', address_book: path },
      'the address book names this node alone, running as a single node',
    )
    return undefined
  }
  if (entries.length > nodesMax) {
    throw configurationError(
      `The address book ${path} has ${entries.length} nodes, a cluster has at most ${nodesMax}`,
      'Make a smaller one',
    )
  }
  return planOf(configuration, key, { book, index, admission })
}

/** A data folder is either a cluster's or that of a node alone: neither may take up what the other left. */
export function refuseForeignData(configuration: Configuration, key: NodeKey, cluster: ClusterPlan | undefined): void {
  const data = dataPlace(configuration, key)
  if (data === undefined) return
  const shared = existsSync(join(data, clusterFolder, 'cluster.json'))
  if (shared && cluster === undefined) {
    throw configurationError(
      `The data folder ${data} belongs to a node of a cluster, and this node would run alone`,
      'Give the address book of the cluster, or another folder with --data-dir',
    )
  }
  if (!shared && cluster !== undefined && existsSync(join(data, 'state.sqlite'))) {
    throw configurationError(
      `The data folder ${data} is that of a node that ran alone: its state is in no order of a cluster`,
      'Give another folder with --data-dir; `concordmq data export` and `import` carry sessions and messages over',
    )
  }
}

const clusterFolder = 'cluster'

/** Whether this node has been in the cluster: then its data say in which book it is. */
function wasHere(configuration: Configuration, key: NodeKey): boolean {
  const data = dataPlace(configuration, key)
  return data !== undefined && !key.random && existsSync(join(data, clusterFolder, 'cluster.json'))
}

/** Undefined: the book is without this node, which may be so. */
function indexOf(
  key: NodeKey,
  { nodes: entries }: Book,
  { path, directory, mayJoin }: { readonly path: string; readonly directory: string; readonly mayJoin: boolean },
): number | undefined {
  const many = entries.length > 1
  if (key.random) {
    throw configurationError(
      `The address book ${path} names ${many ? `${entries.length} nodes` : 'a node'}, and no secret key is given`,
      `Add --secret-key-file ${join(directory, many ? 'key_N.pem' : 'key_0.pem')}, or the environment variable SECRET_KEY_FILE`,
    )
  }
  const index = entries.findIndex(({ keyId }) => keyId === key.id)
  if (index >= 0) return index
  if (mayJoin) return undefined
  const name = `The secret key${key.file === undefined ? '' : ` ${key.file}`} (${key.id})`
  const [only] = entries
  throw configurationError(
    many || only === undefined
      ? `${name} is not among the ${entries.length} keys of the address book ${path}`
      : `${name} is not the key in the address book ${path} (${only.keyId})`,
    'Give the key that was made together with the book; a node that is to be added to a running cluster starts with --join, or with --cluster-cert',
  )
}

function planOf(
  configuration: Configuration,
  key: NodeKey,
  { book, index, admission }: Pick<ClusterPlan, 'book' | 'index' | 'admission'>,
): ClusterPlan {
  const { settings } = configuration
  const data = dataPlace(configuration, key)
  if (data === undefined) {
    throw configurationError(
      'durability is "memory", and a node of a cluster must not forget what it has signed',
      'Use --durability os or fsync',
    )
  }
  const [given, another] = settings['cluster.addr']
  if (another !== undefined) {
    throw configurationError(
      'cluster.addr has several addresses, and nodes listen on one',
      'Use 0.0.0.0 or [::] for all',
    )
  }
  const own = index === undefined ? undefined : book.nodes[index]
  if (given === undefined && own === undefined) {
    throw configurationError(
      'The address book does not say where this node listens to the others, since it does not name it',
      'Give the address and port under which it was added, or will be, with --cluster-addr',
    )
  }
  return {
    book,
    index,
    listen: given === undefined ? ownPlace(own?.address ?? '') : readAddress(given),
    network: settings['cluster.network'],
    transport: settings['cluster.transport'],
    directory: join(data, clusterFolder),
    admission,
    announced: index === undefined && admission.chain !== undefined ? announcedAddress(configuration) : undefined,
  }
}

/** Every interface, at the port that the book says; but what is meant for this machine only stays on it. */
function ownPlace(address: string): { readonly host: string; readonly port: number } {
  const { host, port } = readAddress(address)
  if (isLoopback(host) || isWildcard(host)) return { host, port }
  return { host: isIPv6(host) ? '::' : '0.0.0.0', port }
}
