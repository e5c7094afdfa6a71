/**
 * Rules for addresses of a running node (row U16): kept in `addresses.toml`, changed in the file under its lock, in force as
 * soon as the file has been read again, which happens before the answer. Who is connected stays.
 */
import { join } from 'node:path'
import { CommandError } from '../command-error.ts'
import { readTextIfPresent } from '../files/read-text.ts'
import { type AddressRule, editAddressesFile, parseAddressesFile } from '../permissions/addresses-file.ts'
import { type Question, testPermission } from '../permissions/test-permission.ts'
import { ControlError } from './control-error.ts'
import type { ControlHandler, ControlledNode } from './controlled-node.ts'
import { pageOf, pageOrder } from './page.ts'
import { readBody } from './read-body.ts'

export const listAddressRules: ControlHandler = ({ query }, node) => {
  const text = query.get('filter') ?? ''
  return pageOf(rulesOf(node), ({ address }) => address.includes(text), pageOrder(query))
}

export const showAddressRule: ControlHandler = ({ names: [address = ''] }, node) => {
  const found = [...rulesOf(node)].find((rule) => rule.address === address)
  if (found === undefined) throw noRule(address)
  return found
}

export const setAddressRule: ControlHandler = async ({ names: [address = ''], body }, node) => {
  const { rule } = readBody(body, { rule: 'text' })
  if (rule !== 'allow' && rule !== 'deny') throw new ControlError(400, '"rule" must be "allow" or "deny"')
  return { address, rule, before: (await change(node, address, rule)) ?? null }
}

export const deleteAddressRule: ControlHandler = async ({ names: [address = ''] }, node) => {
  const before = await change(node, address, undefined)
  if (before === undefined) throw noRule(address)
  return { address, before }
}

/** What the rules in force here say to one question, wherever they come from. */
export const testPermissionHere: ControlHandler = ({ query }, { plan, reload }) => {
  const action = query.get('action')
  if (action !== 'publish' && action !== 'subscribe')
    throw new ControlError(400, '"action" must be "publish" or "subscribe"')
  const of = (name: string): string => query.get(name) ?? ''
  const question: Question = {
    action,
    user: of('user'),
    topic: of('topic'),
    clientId: of('client-id'),
    address: of('address'),
  }
  const ignored = reload.current.settings['auth.ignore-permissions']
  try {
    return testPermission(question, plan.configuration.directory, { ordered: reload.ordered.permissions, ignored })
  } catch (error) {
    if (error instanceof CommandError) throw new ControlError(400, error.message, error.remedy)
    throw error
  }
}

async function change(
  node: ControlledNode,
  address: string,
  rule: AddressRule | undefined,
): Promise<AddressRule | undefined> {
  const file = addressesFile(node)
  let before: AddressRule | undefined
  try {
    before = await editAddressesFile(file, address, rule)
  } catch (error) {
    if (error instanceof CommandError) throw new ControlError(400, error.message, error.remedy)
    throw error
  }
  try {
    await node.reload.requestAccess('addresses')
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new ControlError(409, `${file} is changed, but the node keeps the rules it had: ${why}`)
  }
  if (before !== rule) {
    node.logger.info(
      { event: 'acl.set', address, rule: rule ?? 'none' },
      'changed an address rule, as an operator asked',
    )
  }
  return before
}

function* rulesOf(node: ControlledNode): Iterable<{ readonly address: string; readonly rule: AddressRule }> {
  const file = addressesFile(node)
  const text = readTextIfPresent(file)?.text ?? ''
  for (const [address, rule] of parseAddressesFile(text, file)) yield { address, rule }
}

function addressesFile({ plan }: ControlledNode): string {
  return join(plan.configuration.directory, 'addresses.toml')
}

function noRule(address: string): ControlError {
  return new ControlError(404, `There is no rule for ${address}`, '`concordmq acl list` lists them')
}
