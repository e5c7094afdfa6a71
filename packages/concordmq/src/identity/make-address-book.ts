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
  readonly force: boolean
  readonly say: Say
}

/** More nodes than this cannot agree in time (architecture, section 2). */
export const nodesMax = 31

export function makeAddressBook(addresses: readonly string[], { directory, force, say }: BookOutput): void {
  const book = join(directory, 'address-book.toml')
  const keyPaths = addresses.map((_, index) => join(directory, `key_${index}.pem`))
  const existing = [book, ...keyPaths].filter((path) => existsSync(path))
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
  const files: NewFile[] = keys.map((key, index) => ({
    path: keyPaths[index] ?? '',
    text: key.export({ format: 'pem', type: 'pkcs8' }).toString(),
    mode: 0o600,
  }))
  // The book comes last: with it in place, all of its keys are.
  writeAtomically([...files, { path: book, text: formatAddressBook(entries), mode: 0o644 }], (done) =>
    progress.update(done),
  )
  progress.end()
  const names = addresses.length === 1 ? 'key_0.pem' : `key_0.pem to key_${addresses.length - 1}.pem`
  say(`Wrote ${book} and ${names} for ${addresses.length === 1 ? 'one node' : `${addresses.length} nodes`}`)
  if (addresses.length > 1) say('Give each node its own key only, and all nodes the same address book')
  if (addresses.length > nodesMax)
    say(`A cluster has at most ${nodesMax} nodes; this book has ${addresses.length}`, 'warn')
}

function usage(message: string, remedy?: string): CommandError {
  return new CommandError(ExitCode.usage, message, remedy === undefined ? {} : { remedy })
}
