/**
 * Whether an authority certified the key of a node: a chain of X.509 certificates from the key up to one of the roots that the
 * network trusts. All nodes must judge alike at a place of the order, so nothing counts but the chain, the roots and the time
 * given: no list of the operating system, no network, no clock.
 *
 * OpenSSL (through `node:crypto`) checks who issued what and signatures; `@peculiar/x509` shows the extensions, which Node does
 * not. A root is trusted because it was given, so its own dates do not count (RFC 5280 section 6.1). An extension that is critical
 * and not understood here is refused, as RFC 5280 section 4.2 wants. Absent: names. A node is known by its key alone.
 */
import { createHash, X509Certificate } from 'node:crypto'
import type { CertificateClaim, Cryptography } from '@concordmq/consensus'
import { samePoint } from './members.ts'
import { pointOf } from './node-keys.ts'

type Library = typeof import('@peculiar/x509')
type Certifies = Cryptography['certifies']

/** basicConstraints, keyUsage, extendedKeyUsage, subjectAltName: what is understood, or says nothing that matters here. */
const understood = new Set(['2.5.29.19', '2.5.29.15', '2.5.29.37', '2.5.29.17'])

/** What a network without roots says of any chain. */
export const certifiesNobody: Certifies = () => 'this node has no root certificate'

/** SHA-256 over the DER of a certificate: how a root is named in the network's first epoch. */
export function fingerprintOf(certificate: X509Certificate): Uint8Array {
  return createHash('sha256').update(certificate.raw).digest()
}

/** Judges chains by these roots. */
export async function certifierOf(roots: readonly X509Certificate[]): Promise<Certifies> {
  if (roots.length === 0) return certifiesNobody
  await import('reflect-metadata')
  const library = await import('@peculiar/x509')
  return (claim) => {
    try {
      return chainProblem(library, roots, claim)
    } catch {
      return 'a certificate cannot be read'
    }
  }
}

function chainProblem(library: Library, roots: readonly X509Certificate[], claim: CertificateClaim) {
  const chain = claim.chain.map((der) => new X509Certificate(der))
  const [own] = chain
  const last = chain.at(-1)
  if (own === undefined || last === undefined) return 'it shows no certificate'
  if (own.publicKey.asymmetricKeyDetails?.namedCurve !== 'prime256v1') return 'its certificate is for no P-256 key'
  if (!samePoint(pointOf(own.publicKey), claim.publicKey)) return 'its certificate is for another key'
  const root = roots.find(
    (candidate) =>
      claim.roots.some((fingerprint) => samePoint(fingerprint, fingerprintOf(candidate))) && issued(candidate, last),
  )
  if (root === undefined)
    return `its chain of certificates leads to ${nameOf(last.issuer)}, which is no root of this network`
  const path = [...chain, root]
  for (const [i, certificate] of path.entries()) {
    const problem =
      (certificate === root ? undefined : dateProblem(certificate, claim.atUs)) ??
      (i === 0 ? useProblem(library, certificate) : issuerProblem(library, certificate, { below: i - 1 })) ??
      criticalProblem(library, certificate)
    if (problem !== undefined) return `the certificate ${nameOf(certificate.subject)} ${problem}`
    const issuer = path[i + 1]
    if (issuer !== undefined && !issued(issuer, certificate))
      return `the certificate ${nameOf(certificate.subject)} is not issued by the next one of the chain`
  }
  return undefined
}

function issued(issuer: X509Certificate, certificate: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey)
}

function dateProblem({ validFromDate, validToDate }: X509Certificate, atUs: number): string | undefined {
  const at = atUs / 1000
  if (at > validToDate.getTime()) return `expired on ${validToDate.toISOString()}`
  if (at < validFromDate.getTime()) return `is valid only from ${validFromDate.toISOString()} on`
  return undefined
}

/** Nodes greet each other from both ends, and sign. A certificate that does not say what it is for is for anything. */
function useProblem(library: Library, { raw }: X509Certificate): string | undefined {
  const certificate = new library.X509Certificate(raw)
  const usage = certificate.getExtension(library.KeyUsagesExtension)
  if (usage !== null && (usage.usages & library.KeyUsageFlags.digitalSignature) === 0) return 'is not for signing'
  const extended = certificate.getExtension(library.ExtendedKeyUsageExtension)?.usages
  const { serverAuth, clientAuth } = library.ExtendedKeyUsage
  const isForBoth = extended === undefined || [serverAuth, clientAuth].every((use) => extended.includes(use))
  return isForBoth ? undefined : 'is not for both ends of TLS (serverAuth and clientAuth)'
}

/** `below`: how many authorities stand between it and the node's own certificate. */
function issuerProblem(
  library: Library,
  { ca, raw }: X509Certificate,
  { below }: { readonly below: number },
): string | undefined {
  const length = new library.X509Certificate(raw).getExtension(library.BasicConstraintsExtension)?.pathLength
  if (!ca) return 'is not that of an authority'
  return length !== undefined && length < below
    ? `allows ${length} authorities below it, and there are ${below}`
    : undefined
}

function criticalProblem(library: Library, { raw }: X509Certificate): string | undefined {
  const unknown = new library.X509Certificate(raw).extensions.find(
    ({ critical, type }) => critical && !understood.has(type),
  )
  return unknown && `has a critical extension that is not understood (${unknown.type})`
}

/** A name goes into logs: one line of printable characters. */
function nameOf(subject: string | undefined): string {
  return `"${(subject ?? '')
    .replaceAll('\n', ', ')
    .replaceAll(/[^\x20-\x7e]/g, '?')
    .slice(0, 100)}"`
}
