/**
 * Makes keys and book together: `key_0.pem` … (mode 0600) and `address-book.toml`. Nothing is written unless everything
 * can be, and nothing existing is replaced without being told to: a lost node key cannot be made again.
 */
import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { existsSync } from 'node:fs'
import { isIP } from 'node:net'
import { join } from 'node:path'
import { CommandError } from '../command-error.ts'
import { formatAddress, parseAddress, parsePort } from '../config/host-port.ts'
import { ExitCode } from '../exit-codes.ts'
import { type NewFile, writeAtomically } from '../files/write-atomically.ts'
import { openProgress } from '../terminal/progress.ts'
import type { Say } from '../terminal/say.ts'
import { formatAddressBook } from './address-book.ts'
import { keyId } from './secret-key.ts'

/** The addresses of an inclusive port range; bad usage throws. */
export function addressesOfRange(ip: string, firstText: string, lastText: string): string[] {
  const bare = /^\[(.*)\]$/.exec(ip)?.[1] ?? ip
  if (isIP(bare) === 0)
    throw usage(`"${ip}" is not an IP address`, 'Write an address such as 127.0.0.1, or use from-list for host names')
  const [first, last] = [
    { name: 'FIRST', text: firstText },
    { name: 'LAST', text: lastText },
  ].map(({ name, text }) => {
    const port = parsePort(text)
    if (port === undefined || port === 0) throw usage(`${name} "${text}" is not a port: a number from 1 to 65535`)
    return port
  }) as [number, number]
  if (first > last) throw usage(`The range ${first} to ${last} is empty: the last port must not be below the first`)
  return Array.from({ length: last - first + 1 }, (_, index) => formatAddress({ host: bare, port: first + index }))
}

/** The addresses of a list, checked; bad usage throws naming the argument. */
export function addressesOfList(texts: readonly string[]): string[] {
  const seen = new Set<string>()
  return texts.map((text) => {
    const parsed = parseAddress(text, { portMin: 1 })
    if ('problem' in parsed) throw usage(`Address "${text}": ${parsed.problem}`)
    const address = formatAddress(parsed.address)
    if (seen.has(address)) throw usage(`Address "${text}" is given twice: every node needs its own`)
    seen.add(address)
    return address
  })
}

export interface BookOutput {
  readonly directory: string
  /** How many operators there are. Default: none. */
  readonly operators?: number
  /** How many of them must agree. Default: 1. */
  readonly threshold?: number
  readonly force: boolean
  readonly say: Say
}

/** More nodes than this cannot agree in time (architecture, section 2). */
export const nodesMax = 31

export function makeAddressBook(
  addresses: readonly string[],
  { directory, operators = 0, threshold = 1, force, say }: BookOutput,
): void {
  if (operators > 0 && threshold > operators)
    throw usage(`${threshold} of ${operators} operators cannot agree: --threshold is more than --operators`)
  const book = join(directory, 'address-book.toml')
  const keyPaths = addresses.map((_, index) => join(directory, `key_${index}.pem`))
  const operatorPaths = Array.from({ length: operators }, (_, index) => join(directory, `operator_${index}.pem`))
  const existing = [book, ...keyPaths, ...operatorPaths].filter((path) => existsSync(path))
  if (existing.length > 0 && !force) {
    const more = existing.length > 3 ? ` and ${existing.length - 3} more` : ''
    throw new CommandError(
      ExitCode.cannotCreate,
      `Not overwriting ${existing.slice(0, 3).join(', ')}${more}; nothing was changed`,
      {
        remedy:
          'Choose another --output-dir, or add --force to replace keys and book: nodes with the old keys are shut out then',
      },
    )
  }
  const progress = openProgress('Making keys', addresses.length)
  const keys = addresses.map((_, index) => {
    progress.update(index)
    return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
  })
  const entries = keys.map((key, index) => ({ publicKey: createPublicKey(key), address: addresses[index] ?? '' }))
  const operatorKeys = operatorPaths.map(() => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey)
  const files: NewFile[] = [...keys, ...operatorKeys].map((key, index) => ({
    path: [...keyPaths, ...operatorPaths][index] ?? '',
    text: key.export({ format: 'pem', type: 'pkcs8' }).toString(),
    mode: 0o600,
  }))
  const operatorList = { threshold, keys: operatorKeys.map((key) => createPublicKey(key)) }
  // The book comes last: with it in place, all of its keys are.
  writeAtomically([...files, { path: book, text: formatAddressBook(entries, operatorList), mode: 0o644 }], (done) =>
    progress.update(done),
  )
  progress.end()
  const names = addresses.length === 1 ? 'key_0.pem' : `key_0.pem to key_${addresses.length - 1}.pem`
  say(`Wrote ${book} and ${names} for ${addresses.length === 1 ? 'one node' : `${addresses.length} nodes`}`)
  if (addresses.length > 1) say('Give each node its own key only, and all nodes the same address book')
  if (operators > 0)
    say(
      `Keep ${operatorPaths.join(', ')} away from the nodes: who has ${threshold === 1 ? 'it' : `${threshold} of them`} can change the cluster`,
    )
  if (addresses.length > nodesMax)
    say(`A cluster has at most ${nodesMax} nodes; this book has ${addresses.length}`, 'warn')
}

/** One key, for a node that is to be added to a cluster. */
export function makeNodeKey(path: string, { force, say }: { readonly force: boolean; readonly say: Say }): void {
  if (existsSync(path) && !force) {
    throw new CommandError(ExitCode.cannotCreate, `Not overwriting ${path}`, {
      remedy: 'Choose another name, or add --force: the old key is lost then',
    })
  }
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const text = privateKey.export({ format: 'pem', type: 'pkcs8' }).toString()
  writeAtomically([{ path, text, mode: 0o600 }])
  say(`Wrote ${path}, the key ${keyId(publicKey)}`)
}

function usage(message: string, remedy?: string): CommandError {
  return new CommandError(ExitCode.usage, message, remedy === undefined ? {} : { remedy })
}
