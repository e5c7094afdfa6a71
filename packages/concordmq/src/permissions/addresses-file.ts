/**
 * `addresses.toml` (row U16): addresses whose clients are closed unheard, and such as need no credentials, one a line, so that
 * a change touches one line and leaves comments and order alone.
 *
 *   [addresses]
 *   "203.0.113.0/24" = "deny"
 *   "127.0.0.1" = "allow"
 */
import { type AddressRuleOptions, addressRuleProblems } from '@concordmq/broker'
import { configurationErrors } from '../command-error.ts'
import { didYouMean } from '../config/suggest.ts'
import { isTable, parseToml, tomlString } from '../files/parse-toml.ts'
import { readTextIfPresent } from '../files/read-text.ts'
import { withLock } from '../files/with-lock.ts'
import { writeAtomically } from '../files/write-atomically.ts'

export type AddressRule = 'allow' | 'deny'

/** By address or range, in the order of the file. Throws a `CommandError` that lists every problem. */
export function parseAddressesFile(text: string, path: string): ReadonlyMap<string, AddressRule> {
  const document = parseToml(text, path, { hideSource: false })
  const problems: string[] = []
  for (const name of Object.keys(document)) {
    if (name !== 'addresses')
      problems.push(`"${name}" is no table of an addresses file${didYouMean(name, ['addresses'])}`)
  }
  const rules = new Map<string, AddressRule>()
  const table = document.addresses ?? {}
  if (!isTable(table)) problems.push('"addresses" must be a table, written as [addresses]')
  else {
    for (const [address, rule] of Object.entries(table)) {
      if (rule === 'allow' || rule === 'deny') rules.set(address, rule)
      else problems.push(`${tomlString(address)} must be "allow" or "deny"`)
    }
  }
  problems.push(...addressRuleProblems(addressRulesOf(rules)))
  if (problems.length > 0) throw configurationErrors(`Cannot use the addresses file ${path}`, problems)
  return rules
}

/** As the broker takes them. */
export function addressRulesOf(rules: ReadonlyMap<string, AddressRule>): AddressRuleOptions {
  const of = (wanted: AddressRule): string[] => [...rules].filter(([, rule]) => rule === wanted).map(([text]) => text)
  return { allow: of('allow'), deny: of('deny') }
}

/**
 * Sets or takes away (`undefined`) the rule of one address or range in the file, under its lock. Resolves with the rule that
 * stood there; throws a `CommandError`, and then the file is as it was.
 */
export function editAddressesFile(
  path: string,
  address: string,
  rule: AddressRule | undefined,
): Promise<AddressRule | undefined> {
  return withLock(path, () => {
    const text = readTextIfPresent(path)?.text ?? ''
    const before = parseAddressesFile(text, path).get(address)
    if (before === rule) return before
    const changed = withRule(text, address, rule)
    const read = parseAddressesFile(changed, path)
    if (read.get(address) !== rule) {
      throw configurationErrors(`Cannot change the addresses file ${path}`, [
        `the entry of ${address} is written in a form this command does not edit; edit the file by hand`,
      ])
    }
    writeAtomically([{ path, text: changed, mode: 0o644 }])
    return before
  })
}

function withRule(text: string, address: string, rule: AddressRule | undefined): string {
  const lines = text === '' ? [] : text.split('\n')
  const entry = rule === undefined ? undefined : `${tomlString(address)} = "${rule}"`
  const at = lines.findIndex((line) => keyOf(line) === address)
  if (at >= 0) return (entry === undefined ? lines.toSpliced(at, 1) : lines.with(at, entry)).join('\n')
  if (entry === undefined) return text
  const header = lines.findIndex((line) => /^\s*\[\s*addresses\s*\]/.test(line))
  if (header < 0)
    return [...lines, ...(text === '' || text.endsWith('\n\n') ? [] : ['']), '[addresses]', entry, ''].join('\n')
  let last = header
  for (let i = header + 1; i < lines.length && !/^\s*\[/.test(lines[i] ?? ''); i++) {
    if (keyOf(lines[i] ?? '') !== undefined) last = i
  }
  return lines.toSpliced(last + 1, 0, entry).join('\n')
}

/** The key of a line `"KEY" = …`. */
function keyOf(line: string): string | undefined {
  const match = /^\s*(?:"([^"\\]*)"|'([^']*)')\s*=/.exec(line)
  return match?.[1] ?? match?.[2]
}
