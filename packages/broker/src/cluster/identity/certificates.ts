/**
 * Certificates made from the keys of an address book, which holds keys only.
 *
 * A trust anchor is a name and a key, and no TLS library checks the signature on a configured root. So each node makes the
 * roots of all its peers itself, with junk for a signature; a peer's own certificate is signed with its real key, and is
 * valid under the root that others made of that key. Nothing in them depends on a clock: a node whose clock is wrong by
 * years is still the same node. `@peculiar/x509` takes 80 ms to load and is loaded only here.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, webcrypto } from 'node:crypto'
import type { Member } from './members.ts'

export interface NodeCertificate {
  /** PEM. */
  readonly certificate: string
  /** PEM, PKCS#8. */
  readonly privateKey: string
}

const validity = { notBefore: new Date('2000-01-01T00:00:00Z'), notAfter: new Date('2049-12-31T00:00:00Z') }
const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }

/** What a node of this key answers to in TLS. */
export function serverNameOf(keyId: string): string {
  return `${keyId}.concordmq`
}

/** The certificate that a node shows: issued by its key to its key, under the name of its key. */
export async function ownCertificate(
  { keyId }: Pick<Member, 'keyId'>,
  privateKey: KeyObject,
): Promise<NodeCertificate> {
  const x509 = await loadX509()
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: '02',
    subject: `CN=${serverNameOf(keyId)}`,
    issuer: `CN=${keyId}`,
    ...validity,
    signingAlgorithm: algorithm,
    publicKey: await importPublic(createPublicKey(privateKey)),
    signingKey: await importPrivate(privateKey),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
      new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: serverNameOf(keyId) }]),
    ],
  })
  return {
    certificate: `${certificate.toString('pem').trimEnd()}\n`,
    privateKey: privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
  }
}

/** The root, PEM, under which the own certificate of this node is valid, made without its private key. */
export async function trustAnchor({ keyId, publicKey }: Pick<Member, 'keyId' | 'publicKey'>): Promise<string> {
  const x509 = await loadX509()
  const anyone = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
  const root = await x509.X509CertificateGenerator.create({
    serialNumber: '01',
    subject: `CN=${keyId}`,
    issuer: `CN=${keyId}`,
    ...validity,
    signingAlgorithm: algorithm,
    publicKey: await importPublic(publicKey),
    signingKey: await importPrivate(createPrivateKey(anyone.export({ format: 'pem', type: 'pkcs8' }).toString())),
    // No key identifiers: with none there is nothing in the root that a verifier would have to match but name and key.
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
    ],
  })
  return `${root.toString('pem').trimEnd()}\n`
}

async function loadX509(): Promise<typeof import('@peculiar/x509')> {
  await import('reflect-metadata')
  return await import('@peculiar/x509')
}

function importPublic(key: KeyObject): Promise<webcrypto.CryptoKey> {
  const der = key.export({ format: 'der', type: 'spki' })
  return webcrypto.subtle.importKey('spki', der, { name: 'ECDSA', namedCurve: 'P-256' }, true, ['verify'])
}

function importPrivate(key: KeyObject): Promise<webcrypto.CryptoKey> {
  const der = key.export({ format: 'der', type: 'pkcs8' })
  return webcrypto.subtle.importKey('pkcs8', der, { name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign'])
}
