/**
 * `address-book.toml`, the agreed list of nodes (row F9): FoxMQ's format to the byte, so that books travel between the two.
 *
 *     # key_0.pem
 *     [[addresses]]
 *     key = """
 *     -----BEGIN PUBLIC KEY-----
 *     …
 *     -----END PUBLIC KEY-----
 *     """
 *     addr = "172.18.0.2:19793"
 *
 * Beyond FoxMQ's, a book may name operators, who can change the cluster while it runs. They are part of what the nodes agree on:
 *
 *     [operators]
 *     threshold = 1
 *     keys = ["""
 *     -----BEGIN PUBLIC KEY-----
 *     …
 *     -----END PUBLIC KEY-----
 *     """]
 *
 * A book that exists and cannot be read stops the program: running alone by mistake would split the truth (row F10).
 */
import { createPublicKey, type KeyObject } from 'node:crypto'
import { configurationErrors } from '../command-error.ts'
import { formatAddress, parseAddress } from '../config/host-port.ts'
import { didYouMean } from '../config/suggest.ts'
import { isTable, parseToml } from '../files/parse-toml.ts'
import { keyId } from './secret-key.ts'

export interface BookEntry {
  readonly publicKey: KeyObject
  /** Short name of the key, as `NodeKey.id`. */
  readonly keyId: string
  /** `HOST:PORT` in canonical form. */
  readonly address: string
}

/** Who may change the cluster while it runs: `threshold` of these keys together. */
export interface OperatorList {
  readonly threshold: number
  readonly keys: readonly KeyObject[]
}

export interface Book {
  readonly nodes: readonly BookEntry[]
  /** None: the cluster cannot be changed while it runs. */
  readonly operators: OperatorList
}

const noOperators: OperatorList = { threshold: 0, keys: [] }
const operatorsMax = 31

/** The text of a book for these public keys and addresses; entry N belongs to `key_N.pem`, operator N to `operator_N.pem`. */
export function formatAddressBook(
  entries: readonly { readonly publicKey: KeyObject; readonly address: string }[],
  operators: OperatorList = noOperators,
): string {
  const nodes = entries.map(
    ({ publicKey, address }, index) =>
      `# key_${index}.pem\n[[addresses]]\nkey = """\n${pemOf(publicKey)}\n"""\naddr = "${address}"\n`,
  )
  if (operators.keys.length === 0) return nodes.join('\n')
  const keys = operators.keys.map((key) => `"""\n${pemOf(key)}\n"""`).join(', ')
  return [...nodes, `[operators]\nthreshold = ${operators.threshold}\nkeys = [${keys}]\n`].join('\n')
}

function pemOf(key: KeyObject): string {
  return key.export({ format: 'pem', type: 'spki' }).toString().trimEnd()
}

/** Reads a book; throws one configuration error that lists every problem. */
export function parseAddressBook(text: string, path: string): Book {
  const document = parseToml(text, path, { hideSource: false })
  const problems: string[] = []
  for (const name of Object.keys(document)) {
    if (!bookKeys.includes(name)) problems.push(`"${name}" is no key of an address book${didYouMean(name, bookKeys)}`)
  }
  const list = document.addresses
  if (list === undefined) problems.push(noEntry)
  else if (!Array.isArray(list)) problems.push('"addresses" must be an array of tables, written as [[addresses]]')
  const entries = Array.isArray(list) ? list.map((entry, index) => readEntry(entry, index, problems)) : []
  if (Array.isArray(list) && list.length === 0) problems.push(noEntry)
  const complete = entries.filter((entry) => entry !== undefined)
  reportDuplicates(entries, problems)
  const operators = document.operators === undefined ? noOperators : readOperators(document.operators, problems)
  if (problems.length > 0) throw configurationErrors(`Cannot use the address book ${path}`, problems)
  return { nodes: complete, operators }
}

const bookKeys = ['addresses', 'operators']
const noEntry =
  'it has no [[addresses]] entry; `concordmq address-book from-list HOST:PORT…` writes one for each node, with its key'

function readOperators(table: unknown, problems: string[]): OperatorList {
  if (!isTable(table)) {
    problems.push('"operators" must be a table with threshold and keys')
    return noOperators
  }
  const { threshold = 1, keys: list = [], ...others } = table
  for (const name of Object.keys(others))
    problems.push(`operators: "${name}" is no key of it${didYouMean(name, ['threshold', 'keys'])}`)
  const texts: unknown[] = Array.isArray(list) ? list : []
  if (texts.length < 1 || texts.length > operatorsMax)
    problems.push(`operators: keys must be 1 to ${operatorsMax} public keys`)
  const keys = texts.map((key, i) => readKey(key, `operator ${i}`, problems)).filter((key) => key !== undefined)
  if (new Set(keys.map((key) => keyId(key))).size < keys.length) problems.push('operators: two have the same key')
  const isCount = typeof threshold === 'number' && Number.isInteger(threshold)
  if (!isCount || threshold < 1 || threshold > texts.length)
    problems.push('operators: threshold must be a number from 1 to that of the keys')
  return { threshold: Number(threshold), keys }
}

function readEntry(entry: unknown, index: number, problems: string[]): BookEntry | undefined {
  const name = `entry ${index}`
  if (!isTable(entry)) {
    problems.push(`${name} must be a table with key and addr`)
    return undefined
  }
  for (const key of Object.keys(entry)) {
    if (key !== 'key' && key !== 'addr')
      problems.push(`${name}: "${key}" is no key of an entry${didYouMean(key, ['key', 'addr'])}`)
  }
  const publicKey = readKey(entry.key, name, problems)
  const address = readAddress(entry.addr, name, problems)
  if (publicKey === undefined || address === undefined) return undefined
  return { publicKey, keyId: keyId(publicKey), address }
}

function readKey(value: unknown, name: string, problems: string[]): KeyObject | undefined {
  if (typeof value !== 'string') {
    problems.push(`${name}: key is missing; it is the public key in PEM, in triple quotes`)
    return undefined
  }
  if (/PRIVATE KEY/.test(value)) {
    problems.push(`${name}: key is a private key; an address book holds public keys, everybody may read it`)
    return undefined
  }
  try {
    const key = createPublicKey(value)
    if (key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1') return key
    problems.push(
      `${name}: key is of kind ${key.asymmetricKeyDetails?.namedCurve ?? key.asymmetricKeyType}, it must be P-256`,
    )
  } catch {
    problems.push(
      `${name}: key is not a public key in PEM; \`openssl pkey -in key_N.pem -pubout\` prints that of a node`,
    )
  }
  return undefined
}

function readAddress(value: unknown, name: string, problems: string[]): string | undefined {
  if (typeof value !== 'string') {
    problems.push(`${name}: addr is missing; it is "HOST:PORT"`)
    return undefined
  }
  const parsed = parseAddress(value, { portMin: 1 })
  if ('address' in parsed) return formatAddress(parsed.address)
  problems.push(`${name}: addr = "${value}": ${parsed.problem}`)
  return undefined
}

/** Of entries that cannot be read nothing is known. */
function reportDuplicates(entries: readonly (BookEntry | undefined)[], problems: string[]): void {
  for (const [field, name] of [['keyId', 'key'] as const, ['address', 'addr'] as const]) {
    const seen = new Map<string, number>()
    for (const [index, entry] of entries.entries()) {
      if (entry === undefined) continue
      const value = entry[field]
      const first = seen.get(value)
      if (first === undefined) seen.set(value, index)
      else problems.push(`entries ${first} and ${index} have the same ${name} ${value}; each node has its own`)
    }
  }
}
