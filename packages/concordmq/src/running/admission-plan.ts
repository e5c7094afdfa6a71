/**
 * Joining by certificate (row F8): whom this node trusts to certify newcomers, whether newcomers may ask it, and what it shows itself
 * when it is the newcomer. The three keys are FoxMQ's. Roots are part of what all nodes of a network share from its beginning.
 */
import type { X509Certificate } from 'node:crypto'
import { configurationError } from '../command-error.ts'
import { isWildcard, readAddress } from '../config/host-port.ts'
import type { Configuration } from '../config/settings.ts'
import { readCertificates } from '../identity/read-certificates.ts'
import type { NodeKey } from '../identity/secret-key.ts'

export interface AdmissionPlan {
  readonly roots: readonly X509Certificate[]
  /** Newcomers may ask this node. */
  readonly admits: boolean
  /** The own certificate first; undefined: this node shows none. */
  readonly chain: readonly X509Certificate[] | undefined
}

/** Certificates of a chain without its root, and roots: more is a mistake. */
const chainLengthMax = 5
const rootsMax = 8

/** Throws a configuration error when the keys contradict each other, or the certificate is not for the key of the node. */
export function prepareAdmission({ settings }: Configuration, key: NodeKey): AdmissionPlan {
  const certFile = settings['cluster.cert']
  const rootFile = settings['cluster.root-cert']
  const admits = settings['cluster.accept-peer-with-cert']
  if (rootFile === undefined) {
    if (!admits && certFile === undefined) return { roots: [], admits: false, chain: undefined }
    throw configurationError(
      `${admits ? 'cluster.accept-peer-with-cert' : 'cluster.cert'} is given without cluster.root-cert`,
      'Add --cluster-root-cert with the certificate of the authority, the same on all nodes',
    )
  }
  if (admits && settings['cluster.transport'] === 'quic') {
    throw configurationError(
      'cluster.accept-peer-with-cert is set, and cluster.transport is "quic": newcomers ask over TLS (TCP)',
      'Use --cluster-transport auto or tls',
    )
  }
  const roots = readCertificates(rootFile, 'Give the PEM certificate of the authority with --cluster-root-cert')
  const notAnAuthority = roots.find(({ ca }) => !ca)
  if (notAnAuthority !== undefined)
    throw configurationError(`${rootFile}: the certificate ${nameOf(notAnAuthority)} is not that of an authority`)
  if (roots.length > rootsMax)
    throw configurationError(`${rootFile} has ${roots.length} certificates, at most ${rootsMax} may be roots`)
  return { roots, admits, chain: certFile === undefined ? undefined : chainOf(certFile, roots, key) }
}

/** Where the other nodes are to reach a newcomer. */
export function announcedAddress({ settings }: Configuration): string {
  const [address] = settings['cluster.addr']
  const { host, port } = address === undefined ? { host: '', port: 0 } : readAddress(address)
  if (address === undefined || isWildcard(host) || port === 0) {
    throw configurationError(
      `A node that joins by certificate has to say where the others reach it${address === undefined ? '' : `, and ${address} is no such address`}`,
      'Give its own address and port with --cluster-addr',
    )
  }
  return address
}

function chainOf(path: string, roots: readonly X509Certificate[], key: NodeKey): readonly X509Certificate[] {
  const certificates = readCertificates(path, 'Give the PEM certificate chain of this node with --cluster-cert')
  const [own] = certificates
  if (!own.checkPrivateKey(key.privateKey)) {
    throw configurationError(
      `The certificate ${path} is for another key than ${key.file ?? 'that of this node'} (${key.id})`,
      'Have the key of this node certified, or give the key that the certificate is for',
    )
  }
  // Many authorities put their own certificate at the end of the chain that they hand out.
  const chain = certificates.filter((one) => !roots.some((root) => root.fingerprint256 === one.fingerprint256))
  if (chain.length > chainLengthMax)
    throw configurationError(`${path} has ${chain.length} certificates, a chain has at most ${chainLengthMax}`)
  return chain
}

function nameOf({ subject }: X509Certificate): string {
  return `"${(subject ?? '').replaceAll('\n', ', ')}"`
}
