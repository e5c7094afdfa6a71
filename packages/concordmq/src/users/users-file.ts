/**
 * `users.toml` (row F15): who may log in, with Argon2id records, and the optional `[auth]` table. Changes are made in the
 * text, so that comments, order and other tables survive; each changed text is parsed again and compared with what was
 * meant before anything is written, so no change can break the file (FoxMQ's `user add` could, row F16).
 */
import { isDeepStrictEqual } from 'node:util'
import type { ScramMethod } from '@concordmq/broker'
import { CommandError, configurationErrors } from '../command-error.ts'
import { didYouMean } from '../config/suggest.ts'
import { ExitCode } from '../exit-codes.ts'
import { isTable, parseToml, type TomlTable, tomlKey, tomlString } from '../files/parse-toml.ts'
import { scramProblem } from './password-record.ts'

export interface UsersFile {
  /** User name to PHC string. */
  readonly users: ReadonlyMap<string, string>
  /** User name to SCRAM records, for those who have any. */
  readonly scram: ReadonlyMap<string, readonly string[]>
  readonly allowAnonymous: boolean
  readonly silentConnectErrors: boolean
}

/** User names are UTF-8 strings of MQTT [MQTT-3.1.3-11]: 1 to 65,535 bytes, without U+0000; shorter here, for people. */
export const userNameBytesMax = 256

/** Reads the file; `checkRecord` answers with the problem of a password record, or undefined. Never shows a record. */
export function parseUsersFile(
  text: string,
  path: string,
  checkRecord: (record: string) => string | undefined,
): UsersFile {
  const document = parseToml(text, path, { hideSource: true })
  const problems: string[] = []
  for (const name of Object.keys(document)) {
    if (name !== 'users' && name !== 'auth')
      problems.push(`"${name}" is no table of a users file${didYouMean(name, ['users', 'auth'])}`)
  }
  const scram = new Map<string, readonly string[]>()
  const users = readUsers(document.users, checkRecord, { problems, scram })
  const auth = readAuth(document.auth, problems)
  if (problems.length > 0) throw configurationErrors(`Cannot use the users file ${path}`, problems)
  return { users, scram, ...auth }
}

function readUsers(
  value: unknown,
  checkRecord: (record: string) => string | undefined,
  { problems, scram }: { readonly problems: string[]; readonly scram: Map<string, readonly string[]> },
): Map<string, string> {
  const users = new Map<string, string>()
  if (value === undefined) return users
  if (!isTable(value)) {
    problems.push('"users" must be a table of users, written as [users.NAME]')
    return users
  }
  for (const [name, entry] of Object.entries(value)) {
    const shown = `users.${tomlKey(name)}`
    if (!isTable(entry)) {
      problems.push(`${shown} must be a table with password-hash`)
      continue
    }
    for (const field of Object.keys(entry)) {
      if (!userKeys.includes(field))
        problems.push(`${shown}: "${field}" is no key of a user${didYouMean(field, userKeys)}`)
    }
    const records = scramKeys.flatMap(([field, method]) => {
      const value = entry[field]
      if (value === undefined) return []
      const problem = typeof value === 'string' ? scramProblem(value, method) : 'it is no text'
      if (problem === undefined) return [value as string]
      problems.push(`${shown}: ${field}: ${problem}`)
      return []
    })
    if (records.length > 0) scram.set(name, records)
    const record = entry['password-hash']
    const problem = typeof record === 'string' ? checkRecord(record) : 'it is missing'
    if (problem !== undefined) problems.push(`${shown}: password-hash: ${problem}`)
    else if (typeof record === 'string') users.set(name, record)
  }
  return users
}

const scramKeys = [
  ['scram-sha-256', 'SCRAM-SHA-256'],
  ['scram-sha-512', 'SCRAM-SHA-512'],
] as const satisfies readonly (readonly [string, ScramMethod])[]
const userKeys: readonly string[] = ['password-hash', ...scramKeys.map(([field]) => field)]

const authKeys = ['allow-anonymous-login', 'silent-connect-errors'] as const

function readAuth(value: unknown, problems: string[]): { allowAnonymous: boolean; silentConnectErrors: boolean } {
  const read = { 'allow-anonymous-login': false, 'silent-connect-errors': false }
  if (value !== undefined && !isTable(value)) problems.push('"auth" must be a table, written as [auth]')
  else if (value !== undefined) {
    for (const [name, setting] of Object.entries(value)) {
      const known = authKeys.find((key) => key === name)
      if (known === undefined) problems.push(`auth: "${name}" is no key${didYouMean(name, authKeys)}`)
      else if (typeof setting !== 'boolean') problems.push(`auth.${name} must be true or false`)
      else read[known] = setting
    }
  }
  return { allowAnonymous: read['allow-anonymous-login'], silentConnectErrors: read['silent-connect-errors'] }
}

/** Why a name cannot be a user name, or undefined. */
export function userNameProblem(name: string): string | undefined {
  if (name === '') return 'a user name has at least one character'
  if (new TextEncoder().encode(name).length > userNameBytesMax)
    return `a user name has at most ${userNameBytesMax} bytes`
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
  if (/[\u0000-\u001f\u007f]/.test(name) || !name.isWellFormed()) return 'a user name has no control characters'
  return undefined
}

/** Records of one password. */
export interface UserRecords {
  readonly record: string
  /** SCRAM records; none: the user cannot log in that way. */
  readonly scram?: readonly string[]
}

/** `[users.alice]` and its record, as FoxMQ writes it, and SCRAM records behind it. */
export function formatUser(name: string, record: string, scram: readonly string[] = []): string {
  return `[users.${tomlKey(name)}]\n${lineOf('password-hash', record)}\n${scram.map((one) => `${scramLine(one)}\n`).join('')}`
}

function lineOf(key: string, record: string): string {
  return `${key} = ${tomlString(record)}`
}

function scramLine(record: string): string {
  return lineOf(scramKeyOf(record), record)
}

/** `scram-sha-256` of a record `SCRAM-SHA-256$…`. */
function scramKeyOf(record: string): string {
  return record.slice(0, record.indexOf('$')).toLowerCase()
}

function entryOf({ record, scram = [] }: UserRecords): TomlTable {
  return { 'password-hash': record, ...Object.fromEntries(scram.map((one) => [scramKeyOf(one), one])) }
}

/** The text with one more user at its end. */
export function appendUser(
  text: string,
  name: string,
  { path, ...records }: UserRecords & { readonly path: string },
): string {
  const separator = text === '' ? '' : text.endsWith('\n') ? '\n' : '\n\n'
  const changed = `${text}${separator}${formatUser(name, records.record, records.scram)}`
  const meant = withUser(parseToml(text, path, { hideSource: true }), name, entryOf(records))
  return requireMeant([changed], meant, { path, what: `add user "${name}"` })
}

/** The text with the user's records replaced, in place where they stand. SCRAM records of the old password go. */
export function replaceUser(
  text: string,
  name: string,
  { path, ...records }: UserRecords & { readonly path: string },
): string {
  const lines = text.split('\n')
  const block = findBlock(lines, name)
  const meant = withUser(parseToml(text, path, { hideSource: true }), name, entryOf(records))
  const candidates: string[] = []
  if (block !== undefined) {
    for (let index = block.header + 1; index <= block.last; index++) {
      const line = lines[index] ?? ''
      if (/^\s*["']?password-hash["']?\s*=/.test(line)) {
        const ending = line.endsWith('\r') ? '\r' : ''
        const fresh = [lineOf('password-hash', records.record), ...(records.scram ?? []).map(scramLine)]
        const kept = lines.map((one, i) => (i > block.header && i <= block.last && isScramLine(one) ? undefined : one))
        const changed = kept.toSpliced(index, 1, ...fresh.map((one) => one + ending))
        candidates.push(changed.filter((one) => one !== undefined).join('\n'))
      }
    }
  }
  return requireMeant(candidates, meant, { path, what: `replace user "${name}"` })
}

function isScramLine(line: string): boolean {
  return /^\s*["']?scram-sha-(?:256|512)["']?\s*=/.test(line)
}

/** The text without the user. Comments above its header and below its last line stay. */
export function deleteUser(text: string, name: string, path: string): string {
  const lines = text.split('\n')
  const block = findBlock(lines, name)
  const meant = withUser(parseToml(text, path, { hideSource: true }), name, undefined)
  const candidates: string[] = []
  if (block !== undefined) {
    // One of the blank lines around the block goes with it.
    const after =
      lines[block.last + 1]?.trim() === '' && block.header > 0 && lines[block.header - 1]?.trim() === '' ? 1 : 0
    candidates.push(lines.toSpliced(block.header, block.last - block.header + 1 + after).join('\n'))
    candidates.push(lines.toSpliced(block.header + 1, block.last - block.header).join('\n'))
  }
  return requireMeant(candidates, meant, { path, what: `delete user "${name}"` })
}

/** The first candidate that parses to what was meant; else nothing is changed and a person is asked to edit. */
function requireMeant(
  candidates: readonly string[],
  meant: TomlTable,
  { path, what }: { readonly path: string; readonly what: string },
): string {
  for (const candidate of candidates) {
    try {
      if (isDeepStrictEqual(normalised(parseToml(candidate, path, { hideSource: true })), normalised(meant)))
        return candidate
    } catch (error) {
      if (!(error instanceof CommandError)) throw error
    }
  }
  throw new CommandError(
    ExitCode.configuration,
    `Cannot ${what} in ${path}: the entry is written in a form this command does not edit`,
    {
      remedy: 'Write each user as a table [users.NAME] of its own, or edit the file by hand. The file is unchanged',
    },
  )
}

/** Plain objects throughout, and no difference between an empty and a missing users table. */
function normalised(table: TomlTable): unknown {
  const plain = structuredClone(table) as { users?: unknown }
  if (isTable(plain.users) && Object.keys(plain.users).length === 0) delete plain.users
  return JSON.parse(JSON.stringify(plain))
}

function withUser(document: TomlTable, name: string, entry: TomlTable | undefined): TomlTable {
  const users = isTable(document.users) ? Object.entries(document.users).filter(([other]) => other !== name) : []
  if (entry !== undefined) users.push([name, entry])
  return { ...document, users: Object.fromEntries(users) }
}

/** Lines of a `[users.NAME]` table: its header, and the last line that is neither blank nor comment. */
function findBlock(
  lines: readonly string[],
  name: string,
): { readonly header: number; readonly last: number } | undefined {
  const header = lines.findIndex((line) => headerName(line) === name)
  if (header === -1) return undefined
  let last = header
  for (let index = header + 1; index < lines.length; index++) {
    const line = lines[index]?.trim() ?? ''
    if (line.startsWith('[')) break
    if (line !== '' && !line.startsWith('#')) last = index
  }
  return { header, last }
}

/** The user a header line is about, whatever its spacing and quoting; undefined for any other line. */
function headerName(line: string): string | undefined {
  if (!/^\s*\[\s*["']?users["']?\s*\./.test(line)) return undefined
  try {
    const { users } = parseToml(line, '', { hideSource: true })
    const names = isTable(users) ? Object.keys(users) : []
    return names.length === 1 && isTable(users) && Object.keys(users[names[0] ?? ''] as object).length === 0
      ? names[0]
      : undefined
  } catch {
    return undefined
  }
}
