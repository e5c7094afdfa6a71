/**
 * The self-signed certificate of a node without a certificate of its own (row F21): made once, written beside the key as
 * `key_N.crt`, read again at the next start. It is an authority and a server certificate in one, so that clients can name
 * that one file as their trust anchor: `mosquitto_pub --cafile concordmq.d/key_0.crt -p 8883 …`.
 *
 * It is made anew only when it must be: another key, no longer valid, or a name that was configured is missing. Addresses
 * of interfaces go in when it is made but are no reason to make it anew, since a changed lease would then break every
 * client that trusts the file. `@peculiar/x509` takes 80 ms to load and is loaded only here.
 */
import { createPublicKey, type KeyObject, randomBytes, webcrypto, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { hostname, networkInterfaces } from 'node:os'
import { CommandError } from '../command-error.ts'
import { isWildcard } from '../config/host-port.ts'
import { readTextIfPresent } from '../files/read-text.ts'
import { writeAtomically } from '../files/write-atomically.ts'

export interface CertificateRequest {
  readonly path: string
  readonly privateKey: KeyObject
  readonly serverName: string
  /** Hosts the TLS listeners are bound to. */
  readonly boundHosts: readonly string[]
  readonly now: Date
  /** False: a new certificate is not written. */
  readonly write: boolean
}

export interface NodeCertificate {
  readonly pem: string
  /** Why it was written: `made`, or the reason the old one was replaced; undefined if it was reused. */
  readonly written: string | undefined
  /** Why it could not be written, on a read-only directory for example; it then lasts for this run. */
  readonly unsaved: string | undefined
}

/** Ten years: clients are given the file by hand, so expiry protects nobody and surprises everybody. */
const validityMs = 10 * 365.25 * 24 * 3_600_000

/** The certificate in the file if it still serves, else a new one, written to the file. */
export async function ensureCertificate(request: CertificateRequest): Promise<NodeCertificate> {
  const existing = readTextIfPresent(request.path)
  const reason = existing === undefined ? 'made' : unfit(existing.text, request)
  if (existing !== undefined && reason === undefined)
    return { pem: existing.text, written: undefined, unsaved: undefined }
  const pem = await makeCertificate(request)
  if (!request.write) return { pem, written: undefined, unsaved: undefined }
  try {
    writeAtomically([{ path: request.path, text: pem, mode: 0o644 }])
    return { pem, written: reason, unsaved: undefined }
  } catch (error) {
    if (!(error instanceof CommandError)) throw error
    return { pem, written: undefined, unsaved: error.message }
  }
}

/** Why the certificate cannot be used any longer, or undefined. */
function unfit(pem: string, { privateKey, serverName, boundHosts, now }: CertificateRequest): string | undefined {
  let certificate: X509Certificate
  try {
    certificate = new X509Certificate(pem)
  } catch {
    return 'the file was not a certificate'
  }
  if (!certificate.checkPrivateKey(privateKey)) return 'the key has changed'
  if (now > certificate.validToDate) return `it expired on ${certificate.validToDate.toISOString().slice(0, 10)}`
  if (now < certificate.validFromDate) return 'its start lies in the future'
  const missing = [serverName, ...boundHosts.filter((host) => !isWildcard(host))].find(
    (name) => !covers(certificate, name),
  )
  return missing === undefined ? undefined : `it did not name ${missing}`
}

function covers(certificate: X509Certificate, name: string): boolean {
  return (isIP(name) === 0 ? certificate.checkHost(name) : certificate.checkIP(name)) !== undefined
}

/** A new self-signed certificate, PEM. */
export async function makeCertificate({
  privateKey,
  serverName,
  boundHosts,
  now,
}: Omit<CertificateRequest, 'path' | 'write'>): Promise<string> {
  await import('reflect-metadata')
  const x509 = await import('@peculiar/x509')
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  const keys = {
    privateKey: await importKey('pkcs8', privateKey.export({ format: 'der', type: 'pkcs8' }), 'sign'),
    publicKey: await importKey('spki', createPublicKey(privateKey).export({ format: 'der', type: 'spki' }), 'verify'),
  }
  const names = certificateNames(serverName, boundHosts)
  // Clients that check strictly (Python 3.13 among them) want every one of these on an authority.
  const extensions = [
    new x509.BasicConstraintsExtension(true, 0, true),
    new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyCertSign, true),
    new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
    new x509.SubjectAlternativeNameExtension(
      names.map((name) => ({ type: isIP(name) === 0 ? 'dns' : 'ip', value: name })),
    ),
    await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    await x509.AuthorityKeyIdentifierExtension.create(keys.publicKey),
  ]
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: positiveSerial(),
    name: [{ CN: [serverName] }, { O: ['ConcordMQ'] }],
    // A minute back, for clients whose clock is a little behind.
    notBefore: new Date(now.getTime() - 60_000),
    notAfter: new Date(now.getTime() + validityMs),
    signingAlgorithm: algorithm,
    keys,
    extensions,
  })
  return `${certificate.toString('pem').trimEnd()}\n`
}

/** Server name, this machine's names and addresses, and what the listeners are bound to. */
function certificateNames(serverName: string, boundHosts: readonly string[]): string[] {
  const own = Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address))
  const machine = hostname()
  return [
    ...new Set([
      serverName,
      'localhost',
      '127.0.0.1',
      '::1',
      ...(/^[A-Za-z0-9.-]{1,253}$/.test(machine) ? [machine] : []),
      ...boundHosts.filter((host) => !isWildcard(host)),
      // Link-local addresses carry a zone and cannot be named in a certificate usefully.
      ...own.filter((address) => !address.startsWith('fe80:') && !address.includes('%')),
    ]),
  ]
}

/** RFC 5280 section 4.1.2.2: positive, at most 20 octets. */
function positiveSerial(): string {
  const bytes = randomBytes(16)
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40
  return bytes.toString('hex')
}

function importKey(format: 'pkcs8' | 'spki', der: Buffer, usage: 'sign' | 'verify'): Promise<webcrypto.CryptoKey> {
  return webcrypto.subtle.importKey(format, der, { name: 'ECDSA', namedCurve: 'P-256' }, true, [usage])
}
