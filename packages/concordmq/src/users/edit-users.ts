/**
 * The commands on the users file. A change is made on the text read at that moment and written whole; names and passwords
 * come from arguments, from a prompt, or from lines of standard input.
 */
import { randomInt } from 'node:crypto'
import { CommandError, configurationError } from '../command-error.ts'
import { ExitCode } from '../exit-codes.ts'
import { readText, readTextIfPresent } from '../files/read-text.ts'
import { withLock } from '../files/with-lock.ts'
import { writeAtomically } from '../files/write-atomically.ts'
import type { LogFormat } from '../log/entry.ts'
import { openPrompt, type Prompt } from '../terminal/prompt.ts'
import { openSay, type Say } from '../terminal/say.ts'
import { makeRecord, makeScram, recordProblem } from './password-record.ts'
import {
  appendUser,
  deleteUser,
  formatUser,
  parseUsersFile,
  replaceUser,
  type UserRecords,
  userNameProblem,
} from './users-file.ts'

export interface UserInput {
  readonly name: string | undefined
  readonly password: string | undefined
}

export interface AddOutput {
  /** `-`: print the record instead. */
  readonly file: string
  readonly writeMode: 'append' | 'truncate'
  readonly replace: boolean
  /** Whether the user may log in by SCRAM too. */
  readonly scram: boolean
  readonly format: LogFormat | undefined
}

export async function addUserTo(
  input: UserInput,
  { file, writeMode, replace, scram, format }: AddOutput,
): Promise<void> {
  const say = await openSay(format)
  const toFile = file !== '-'
  const read = () => {
    const text = toFile && writeMode === 'append' ? (readTextIfPresent(file)?.text ?? '') : ''
    return { text, users: parseUsersFile(text, file, recordProblem).users }
  }
  const requireNew = (name: string, users: ReadonlyMap<string, string>) => {
    if (users.has(name) && !replace) throw alreadyThere(name, file)
  }
  // Read first: nobody should type a password for a file that cannot be changed.
  const { users } = read()
  const { name, password } = await completeInput(input, say, (name) => requireNew(name, users))
  const records = await makeRecordsWithNote(password, { scram })
  if (!toFile) {
    process.stdout.write(formatUser(name, records.record, records.scram))
    return
  }
  const replaced = await storeUser({ name, ...records }, { file, writeMode, replace }, waiting(say, file))
  say(`${replaced ? 'Replaced' : 'Added'} user "${name}" in ${file}`)
}

export function listUsers(file: string): string {
  const { text } = readText(file, 'Give the path with --output-file, or make it with `concordmq user add`')
  const { users } = parseUsersFile(text, file, recordProblem)
  return [...users.keys()].map((name) => `${name}\n`).join('')
}

export async function deleteUserFrom(
  name: string,
  { file, format }: { readonly file: string; readonly format: LogFormat | undefined },
): Promise<void> {
  const say = await openSay(format)
  const read = () => readText(file, 'Give the path with --output-file').text
  // Where there is no file, none of its directories is made for a lock.
  read()
  if (!(await removeUser(name, file, waiting(say, file)))) {
    throw new CommandError(ExitCode.failed, `There is no user "${name}" in ${file}`, {
      remedy: '`concordmq user list` prints the names',
    })
  }
  say(`Deleted user "${name}" from ${file}`)
}

/**
 * Puts a record into the file, read at that moment: while a password was typed and hashed, another command may have changed
 * it. Whether the user was there before; throws if so and `replace` is not asked for.
 */
export function storeUser(
  { name, ...records }: UserRecords & { readonly name: string },
  { file, writeMode, replace }: Omit<AddOutput, 'format' | 'scram'>,
  waits?: () => void,
): Promise<boolean> {
  return withLock(
    file,
    () => {
      const text = writeMode === 'append' ? (readTextIfPresent(file)?.text ?? '') : ''
      const known = parseUsersFile(text, file, recordProblem).users.has(name)
      if (known && !replace) throw alreadyThere(name, file)
      const changed = (known ? replaceUser : appendUser)(text, name, { ...records, path: file })
      writeAtomically([{ path: file, text: changed, mode: 0o600 }])
      return known
    },
    waits,
  )
}

/** Takes a user out of the file; false if there is none of that name. */
export function removeUser(name: string, file: string, waits?: () => void): Promise<boolean> {
  return withLock(
    file,
    () => {
      const text = readTextIfPresent(file)?.text ?? ''
      if (!parseUsersFile(text, file, recordProblem).users.has(name)) return false
      writeAtomically([{ path: file, text: deleteUser(text, name, file), mode: 0o600 }])
      return true
    },
    waits,
  )
}

function waiting(say: Say, file: string): () => void {
  return () => say(`Waiting for another command that changes ${file}`)
}

export async function generateUser(
  name: string,
  password: string | undefined,
  { scram, format }: { readonly scram: boolean; readonly format: LogFormat | undefined },
): Promise<string> {
  const say = await openSay(format)
  const complete = await completeInput({ name, password }, say, () => {})
  const records = await makeRecordsWithNote(complete.password, { scram })
  return formatUser(complete.name, records.record, records.scram)
}

/** Asks for what is missing; `checkName` may refuse the name before a password is asked for. */
async function completeInput(
  input: UserInput,
  say: Say,
  checkName: (name: string) => void,
): Promise<{ readonly name: string; readonly password: string }> {
  const prompt = openPrompt()
  try {
    const name = input.name ?? (await prompt.ask('User name: '))
    const problem = userNameProblem(name)
    if (problem !== undefined)
      throw new CommandError(ExitCode.usage, `Cannot use ${JSON.stringify(name)} as a user name: ${problem}`)
    checkName(name)
    if (input.password !== undefined && input.password !== '') {
      say('A password given as an argument can be seen in the process list and the shell history', 'warn')
      return { name, password: input.password }
    }
    return { name, password: await askPassword(prompt, say) }
  } finally {
    prompt.close()
  }
}

const randomLength = 12

/** An empty answer offers a random password, as FoxMQ does. */
async function askPassword(prompt: Prompt, say: Say): Promise<string> {
  for (;;) {
    const password = await prompt.askSecret('Password (empty: a random one): ')
    if (password === '') {
      if (prompt.interactive) {
        const answer = await prompt.ask(`Make a random password of ${randomLength} characters? [Y/n] `)
        if (/^n/i.test(answer.trim())) continue
      }
      const random = randomPassword(randomLength)
      // The one place where a password is shown: it exists nowhere else.
      say(`Password: ${random}`)
      return random
    }
    if (!prompt.interactive || (await prompt.askSecret('Password again: ')) === password) return password
    say('The two passwords differ; try again', 'warn')
  }
}

/** Letters and digits without those that look alike: 55 to the power of the length, 69 bits for 12. */
export function randomPassword(length: number): string {
  const alphabet = 'ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789'
  return Array.from({ length }, () => alphabet[randomInt(alphabet.length)]).join('')
}

async function makeRecordsWithNote(password: string, { scram }: { readonly scram: boolean }): Promise<UserRecords> {
  const watched = process.stderr.isTTY
  if (watched) process.stderr.write('Hashing the password …\r')
  const record = await makeRecord(password)
  const methods = scram ? (['SCRAM-SHA-256', 'SCRAM-SHA-512'] as const) : []
  const scramRecords = await Promise.all(methods.map((method) => makeScram(password, method)))
  if (watched) process.stderr.write('\u001b[K')
  const problem = recordProblem(record)
  if (problem !== undefined) throw configurationError(`The new password record is not usable: ${problem}`)
  return { record, scram: scramRecords }
}

function alreadyThere(name: string, file: string): CommandError {
  return new CommandError(ExitCode.cannotCreate, `User "${name}" is already in ${file}; nothing was changed`, {
    remedy: 'Add --replace to give this user a new password',
  })
}
