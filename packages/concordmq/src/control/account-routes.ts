/**
 * Accounts of a running node (row U15): kept in `users.toml` as Argon2id records, changed in the file under its lock and in
 * force as soon as the file has been read again, which happens before the answer. No answer holds a password or a record.
 */
import { join } from 'node:path'
import { CommandError } from '../command-error.ts'
import { readUsersFile } from '../running/plan.ts'
import { removeUser, storeUser } from '../users/edit-users.ts'
import { makeRecord } from '../users/password-record.ts'
import { userNameProblem } from '../users/users-file.ts'
import { ControlError } from './control-error.ts'
import type { ControlHandler, ControlledNode } from './controlled-node.ts'
import { pageOf, pageOrder } from './page.ts'
import { readBody } from './read-body.ts'

export const listAccounts: ControlHandler = ({ query }, node) => {
  const { read } = usersInForce(node)
  const text = query.get('filter') ?? ''
  return pageOf(accountsOf(read.users), ({ name }) => name.includes(text), pageOrder(query))
}

export const showAccount: ControlHandler = ({ names: [name = ''] }, node) => {
  const { read } = usersInForce(node)
  const record = read.users.get(name)
  if (record === undefined) throw noAccount(name)
  let connected = 0
  for (const client of node.broker.clients()) if (client.username === name) connected++
  return { name, record: kindOf(record), connected }
}

export const setAccount: ControlHandler = async ({ names: [name = ''], body }, node) => {
  const { password } = readBody(body, { password: 'text' })
  if (password === undefined) throw new ControlError(400, 'The password is missing')
  const problem = userNameProblem(name)
  if (problem !== undefined)
    throw new ControlError(400, `Cannot use ${JSON.stringify(name)} as a user name: ${problem}`)
  requireOwnFile(node)
  const record = await recordOf(password)
  const file = usersFile(node)
  const replaced = await storeUser({ name, record }, { file, writeMode: 'append', replace: true })
  await readAgain(node, file)
  node.logger.info({ event: 'account.set', user: name, replaced }, 'set an account, as an operator asked')
  return { name, replaced }
}

export const deleteAccount: ControlHandler = async ({ names: [name = ''], query }, node) => {
  requireOwnFile(node)
  const file = usersFile(node)
  if (!(await removeUser(name, file))) throw noAccount(name)
  await readAgain(node, file)
  let disconnected = 0
  if (query.get('disconnect') === 'true') {
    const theirs = [...node.broker.clients()].filter(({ username }) => username === name)
    for (const { clientId } of theirs) if (node.broker.disconnectClient(clientId)) disconnected++
  }
  node.logger.info({ event: 'account.deleted', user: name, disconnected }, 'deleted an account, as an operator asked')
  return { name, disconnected }
}

function* accountsOf(users: ReadonlyMap<string, string>): Iterable<{ readonly name: string; readonly record: string }> {
  for (const [name, record] of users) yield { name, record: kindOf(record) }
}

/** How the password is kept, without any of it. */
function kindOf(record: string): string {
  return record.startsWith('$7$') ? 'pbkdf2-sha512' : record.startsWith('$6$') ? 'sha512' : 'argon2id'
}

async function recordOf(password: string): Promise<string> {
  try {
    return await makeRecord(password)
  } catch (error) {
    if (error instanceof CommandError) throw new ControlError(400, error.message)
    throw error
  }
}

async function readAgain({ reload }: ControlledNode, file: string): Promise<void> {
  try {
    await reload.requestUsers()
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new ControlError(409, `${file} is changed, but the node keeps the accounts it had: ${why}`)
  }
}

function usersInForce({ plan, reload }: ControlledNode) {
  return readUsersFile(plan.configuration.directory, reload.ordered.users)
}

/** What operators signed no node changes by itself. */
function requireOwnFile({ reload }: ControlledNode): void {
  const { users } = reload.ordered
  if (users === undefined) return
  throw new ControlError(
    409,
    `The ${users.name}, are in force: accounts are the same on all nodes`,
    'Change a users.toml with `concordmq user`, and have it ordered with `concordmq ctl cluster apply`',
  )
}

function usersFile({ plan }: ControlledNode): string {
  return join(plan.configuration.directory, 'users.toml')
}

function noAccount(name: string): ControlError {
  return new ControlError(404, `There is no account "${name}"`, '`concordmq account list` lists the names')
}
