/**
 * `permissions.toml` (row F28): who may publish and subscribe to what. FoxMQ's files are read as they are; what goes beyond
 * them (a default, groups, rules for client identifiers and addresses) is in tables and keys that FoxMQ ignores.
 *
 *   default = "deny"                      # for what no rule matches; FoxMQ's way, and ours without this line, is "allow"
 *   wider-subscriptions = "narrow"        # or "refuse", as without this line
 *   [permissions.alice]                   # a user; "*" is everybody without a table of his own
 *   topic = [{ filter = "a/#", allowed = ["publish"], denied = ["subscribe"] }]
 *   groups = ["sensors"]
 *   [groups.sensors]                      # rules that tables share
 *   topic = [{ filter = "s/%c", access = 2 }]
 *   [clients."gateway-*"]                 # a client identifier, or the beginning of some
 *   [addresses."10.0.0.0/8"]
 */
import {
  type PermissionOptions,
  type PermissionRule,
  type PermissionTable,
  permissionProblems,
} from '@concordmq/broker'
import { configurationErrors } from '../command-error.ts'
import { didYouMean } from '../config/suggest.ts'
import { isTable, parseToml, type TomlTable, tomlKey } from '../files/parse-toml.ts'
import { ruleLines } from './rule-lines.ts'

const topKeys = ['default', 'wider-subscriptions', 'permissions', 'groups', 'clients', 'addresses']
const tableKeys = ['topic', 'groups']
const ruleKeys = ['filter', 'allowed', 'denied', 'access']

/** comqtt's codes (row C11) as lists. */
const accessCodes: readonly Pick<PermissionRule, 'allowed' | 'denied'>[] = [
  { allowed: [], denied: ['publish', 'subscribe'] },
  { allowed: ['subscribe'], denied: ['publish'] },
  { allowed: ['publish'], denied: ['subscribe'] },
  { allowed: ['publish', 'subscribe'] },
]

/** Throws a `CommandError` that lists every problem, each with its line. */
export function parsePermissionsFile(text: string, path: string): PermissionOptions {
  const document = parseToml(text, path, { hideSource: false })
  const reader = new Reader(text, path)
  const options = reader.read(document)
  const problems = [...reader.problems, ...(reader.problems.length > 0 ? [] : permissionProblems(options))]
  if (problems.length > 0) throw configurationErrors(`Cannot use the permissions file ${path}`, problems)
  return options
}

class Reader {
  readonly problems: string[] = []
  readonly #path: string
  readonly #linesOf: ReturnType<typeof ruleLines>

  constructor(text: string, path: string) {
    this.#path = path
    this.#linesOf = ruleLines(text)
  }

  read(document: TomlTable): PermissionOptions {
    this.#checkKeys('', document, topKeys)
    const groups = new Map<string, readonly PermissionRule[]>()
    for (const [name, table] of this.#tables(document, 'groups')) {
      if (table.groups !== undefined) this.problems.push(`groups.${tomlKey(name)} has no groups of its own`)
      groups.set(name, this.#rules(['groups', name], table.topic))
    }
    return {
      default: this.#oneOf(document, 'default', ['allow', 'deny']) ?? 'allow',
      widerSubscriptions: this.#oneOf(document, 'wider-subscriptions', ['refuse', 'narrow']) ?? 'refuse',
      users: this.#subjects(document, 'permissions'),
      clients: this.#subjects(document, 'clients'),
      addresses: this.#subjects(document, 'addresses'),
      groups,
    }
  }

  #subjects(document: TomlTable, kind: string): Map<string, PermissionTable> {
    const subjects = new Map<string, PermissionTable>()
    for (const [name, table] of this.#tables(document, kind)) {
      const where = `${kind}.${tomlKey(name)}`
      if (table.topic === undefined && table.groups === undefined) this.problems.push(`${where} needs topic or groups`)
      const groups = this.#names(where, table.groups)
      subjects.set(name, { topics: this.#rules([kind, name], table.topic), ...(groups !== undefined && { groups }) })
    }
    return subjects
  }

  #tables(document: TomlTable, kind: string): [string, TomlTable][] {
    const value = document[kind]
    if (value === undefined) return []
    if (!isTable(value)) {
      this.problems.push(`"${kind}" must be tables, written as [${kind}.NAME]`)
      return []
    }
    const tables: [string, TomlTable][] = []
    for (const [name, table] of Object.entries(value)) {
      const where = `${kind}.${tomlKey(name)}`
      if (isTable(table)) {
        this.#checkKeys(where, table, tableKeys)
        tables.push([name, table])
      } else this.problems.push(`${where} must be a table with topic = [ … ]`)
    }
    return tables
  }

  #rules(path: readonly [string, string], value: unknown): PermissionRule[] {
    if (value === undefined) return []
    const where = path.map(tomlKey).join('.')
    if (!Array.isArray(value)) {
      this.problems.push(`${where}: topic must be a list of { filter, allowed, denied }`)
      return []
    }
    const lines = this.#linesOf(path, value.length)
    return value.flatMap((rule: unknown, i) => {
      const line = lines?.[i]
      const origin = line === undefined ? `${this.#path}: ${where}.topic[${i}]` : `${this.#path}:${line}`
      return isTable(rule) ? this.#rule(rule, origin) : this.#problem(`${origin} must be { filter, allowed, denied }`)
    })
  }

  #rule(rule: TomlTable, origin: string): PermissionRule[] {
    this.#checkKeys(origin, rule, ruleKeys)
    const { filter, access } = rule
    if (typeof filter !== 'string') return this.#problem(`${origin}: filter must be a topic filter`)
    if (access !== undefined) {
      const lists = typeof access === 'number' ? accessCodes[access] : undefined
      if (lists === undefined || rule.allowed !== undefined || rule.denied !== undefined) {
        return this.#problem(
          `${origin}: access must be 0 (nothing), 1 (subscribe), 2 (publish) or 3 (both), and stands in the place of allowed and denied`,
        )
      }
      return [{ filter, ...lists, origin }]
    }
    if (rule.allowed === undefined && rule.denied === undefined) {
      return this.#problem(`${origin}: the rule for ${JSON.stringify(filter)} needs allowed, denied or access`)
    }
    const allowed = this.#names(`${origin}: allowed`, rule.allowed) as PermissionRule['allowed']
    const denied = this.#names(`${origin}: denied`, rule.denied) as PermissionRule['denied']
    return [{ filter, ...(allowed !== undefined && { allowed }), ...(denied !== undefined && { denied }), origin }]
  }

  #names(where: string, value: unknown): string[] | undefined {
    if (value === undefined) return undefined
    if (Array.isArray(value) && value.every((name) => typeof name === 'string')) return value as string[]
    this.problems.push(`${where} must be a list of texts`)
    return undefined
  }

  #oneOf<const T extends string>(document: TomlTable, key: string, values: readonly T[]): T | undefined {
    const value = document[key]
    if (value === undefined) return undefined
    const known = values.find((one) => one === value)
    if (known === undefined) this.problems.push(`${key} must be ${values.map((one) => `"${one}"`).join(' or ')}`)
    return known
  }

  #checkKeys(where: string, table: TomlTable, known: readonly string[]): void {
    for (const name of Object.keys(table)) {
      if (known.includes(name)) continue
      const place = where === '' ? '' : `${where}: `
      this.problems.push(`${place}"${name}" is no key of a permissions file here${didYouMean(name, known)}`)
    }
  }

  #problem(text: string): [] {
    this.problems.push(text)
    return []
  }
}
