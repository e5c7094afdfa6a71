/**
 * The private key that is a node's identity: P-256, as a PEM file (SEC1 or PKCS#8, rows F13 and F14), as hex DER, or made
 * at random. Error messages say what is wrong with a key and never repeat any of it.
 */
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { configurationError } from '../command-error.ts'
import { readText } from '../files/read-text.ts'

export interface NodeKey {
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
  /** First 16 hex digits of SHA-256 over the public key (SPKI, DER): names the node in logs and in `data/`. */
  readonly id: string
  /** The file it came from; undefined for a key given as hex or made at random. */
  readonly file: string | undefined
  /** Whether it is gone after this run. */
  readonly random: boolean
  /** Whether others than the owner may read the file. */
  readonly exposed: boolean
}

const remedy = 'Make one with `concordmq address-book from-range 127.0.0.1 19793 19793`, or with OpenSSL on prime256v1'

/** Loads the key of a PEM file. */
export function loadKeyFile(path: string): NodeKey {
  const { text, mode } = readText(path, remedy)
  return { ...nodeKey(parsePem(text, path)), file: path, exposed: (mode & 0o077) !== 0 }
}

/** Reads a key given as hexadecimal DER, SEC1 or PKCS#8. */
export function parseHexKey(hex: string, origin: string): NodeKey {
  if (!/^([0-9a-fA-F]{2})+$/.test(hex)) {
    throw configurationError(`The key from ${origin} is not hexadecimal: an even number of the digits 0-9 and a-f`)
  }
  const der = Buffer.from(hex, 'hex')
  for (const type of ['pkcs8', 'sec1'] as const) {
    try {
      return nodeKey(requireP256(createPrivateKey({ key: der, format: 'der', type }), origin))
    } catch (error) {
      if (error instanceof Error && error.name === 'CommandError') throw error
    }
  }
  throw configurationError(`The key from ${origin} is not the DER of a private key (SEC1 or PKCS#8)`, remedy)
}

/** A key for one run. */
export function randomKey(): NodeKey {
  return { ...nodeKey(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey), random: true }
}

/** Any PEM private key that is P-256. */
export function parsePem(text: string, path: string): KeyObject {
  if (text.includes('ENCRYPTED')) {
    throw configurationError(
      `The key ${path} is encrypted: a node starts without anyone to ask for a passphrase`,
      'Store it unencrypted with mode 0600',
    )
  }
  if (!/-----BEGIN (EC )?PRIVATE KEY-----/.test(text)) {
    const found = /-----BEGIN ([A-Z0-9 ]+)-----/.exec(text)?.[1]
    const what = found === undefined ? 'it has no PEM block' : `it is a ${found.toLowerCase()}`
    throw configurationError(`The file ${path} is not a P-256 private key in PEM: ${what}`, remedy)
  }
  let key: KeyObject
  try {
    key = createPrivateKey(text)
  } catch {
    throw configurationError(`The file ${path} is not a P-256 private key in PEM: its contents are damaged`, remedy)
  }
  return requireP256(key, path)
}

/** The key, if it is of the kind that nodes have; `origin` is for the refusal. */
export function requireP256(key: KeyObject, origin: string): KeyObject {
  if (key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1') return key
  const kind = key.asymmetricKeyDetails?.namedCurve ?? key.asymmetricKeyType
  throw configurationError(`The key from ${origin} is of kind ${kind}: a node key must be P-256 (prime256v1)`, remedy)
}

function nodeKey(privateKey: KeyObject): NodeKey {
  const publicKey = createPublicKey(privateKey)
  return { privateKey, publicKey, id: keyId(publicKey), file: undefined, random: false, exposed: false }
}

/** The short name of a public key. */
export function keyId(publicKey: KeyObject): string {
  const der = publicKey.export({ format: 'der', type: 'spki' })
  return createHash('sha256').update(der).digest('hex').slice(0, 16)
}
