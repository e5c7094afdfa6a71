/**
 * Reads the tables of permission options into what `rules.ts` walks: checks every rule, and puts tables of client identifiers
 * and addresses in order, the most specific first, so that the order of a file decides only within one table.
 */
import { filterProblem } from '@concordmq/protocol'
import type { PermissionOptions, PermissionRule, PermissionTable } from '../config/options.ts'
import { suggest } from '../config/suggest.ts'
import { type AddressRange, parseRange } from './address-ranges.ts'
import type { Action, PermissionClient } from './permissions.ts'
import { levelsOfRule, type RuleLevel, RuleTrie } from './rule-trie.ts'

/** Rules of all tables and groups together. */
export const RULES_MAX = 100_000
/** Tables, and groups of one table. */
export const TABLES_MAX = 100_000
export const GROUPS_MAX = 100

export interface Rule {
  readonly levels: readonly RuleLevel[]
  /** Whether each action is allowed. */
  readonly publish: boolean
  readonly subscribe: boolean
  /** `permissions.toml:12`, or its place in the options. */
  readonly where: string
  /** The rule in words. */
  readonly says: string
}

/** One list of rules, walked as a whole: of a table, or of a group. */
export interface Section {
  readonly trie: RuleTrie
  readonly rules: readonly Rule[]
}

/** A table for whoever matches. */
export interface Subject {
  readonly matches: (client: PermissionClient, inside: (range: AddressRange) => boolean) => boolean
  readonly sections: readonly Section[]
}

export interface Findings {
  readonly problems: string[]
  readonly notices: string[]
}

export interface Tables {
  readonly users: ReadonlyMap<string, readonly Section[]>
  /** Tables of one client identifier each (row C10). */
  readonly clients: ReadonlyMap<string, readonly Section[]>
  /** Those of identifiers that begin alike, the longest beginning first. */
  readonly beginnings: readonly Subject[]
  readonly addresses: readonly Subject[]
}

export function subjectsOf(options: PermissionOptions, findings: Findings): Tables {
  const reader = new TableReader(options, findings)
  const users = reader.tables('users', options.users)
  const clients = new Map<string, readonly Section[]>()
  const beginnings: (Subject & { readonly specific: number })[] = []
  for (const [text, sections] of reader.tables('clients', options.clients)) {
    const star = text.indexOf('*')
    if (star === -1) {
      clients.set(text, sections)
      continue
    }
    if (star !== text.length - 1) findings.problems.push(`clients.${JSON.stringify(text)}: * may stand only at the end`)
    const beginning = text.slice(0, star)
    beginnings.push({ matches: ({ clientId }) => clientId.startsWith(beginning), sections, specific: beginning.length })
  }
  beginnings.sort((a, b) => b.specific - a.specific)
  const addresses: (Subject & { readonly specific: number })[] = []
  for (const [text, sections] of reader.tables('addresses', options.addresses)) {
    const range = parseRange(text)
    if (typeof range === 'string') findings.problems.push(`addresses.${JSON.stringify(text)}: ${range}`)
    else addresses.push({ matches: (_client, inside) => inside(range), sections, specific: range.bits })
  }
  addresses.sort((a, b) => b.specific - a.specific)
  return { users, clients, beginnings, addresses }
}

class TableReader {
  readonly #findings: Findings
  readonly #groups = new Map<string, Section>()
  readonly #allowDefault: boolean
  #rules = 0

  constructor(options: PermissionOptions, findings: Findings) {
    this.#findings = findings
    this.#allowDefault = options.default === 'allow'
    const { problems } = findings
    checkKeys('', options, optionNames, problems)
    if (options.default !== 'allow' && options.default !== 'deny') problems.push('default must be "allow" or "deny"')
    const wider: unknown = options.widerSubscriptions
    if (wider !== undefined && wider !== 'refuse' && wider !== 'narrow') {
      problems.push('widerSubscriptions must be "refuse" or "narrow"')
    }
    for (const [name, rules] of this.#map('groups', options.groups)) {
      this.#groups.set(name, this.#section(`groups.${JSON.stringify(name)}`, rules))
    }
  }

  #map<T>(kind: string, given: ReadonlyMap<string, T> | undefined): ReadonlyMap<string, T> {
    const map: unknown = given ?? new Map()
    if (map instanceof Map && [...map.keys()].every((name) => typeof name === 'string')) return map as Map<string, T>
    this.#findings.problems.push(`${kind} must be a Map by name`)
    return new Map()
  }

  tables(kind: string, given: ReadonlyMap<string, PermissionTable> | undefined): Map<string, readonly Section[]> {
    const read = new Map<string, readonly Section[]>()
    const { problems } = this.#findings
    const map = this.#map(kind, given)
    if (map.size > TABLES_MAX) problems.push(`${kind} has more than ${TABLES_MAX} tables`)
    for (const [name, table] of map) {
      const where = `${kind}.${JSON.stringify(name)}`
      if (!checkKeys(where, table, tableNames, problems)) continue
      const sections: Section[] = []
      if (table.topics !== undefined) sections.push(this.#section(where, table.topics))
      const groups = table.groups ?? []
      if (!Array.isArray(groups)) {
        problems.push(`${where}: groups must be a list of names`)
        continue
      }
      if (groups.length > GROUPS_MAX) problems.push(`${where} has more than ${GROUPS_MAX} groups`)
      for (const group of groups.slice(0, GROUPS_MAX)) {
        const found = this.#groups.get(group)
        if (found !== undefined) sections.push(found)
        else {
          const meant = suggest(group, [...this.#groups.keys()])
          const hint = meant === undefined ? '' : `, did you mean ${JSON.stringify(meant)}?`
          problems.push(`${where}: there is no group ${JSON.stringify(group)}${hint}`)
        }
      }
      read.set(name, sections)
    }
    return read
  }

  #section(where: string, given: readonly PermissionRule[]): Section {
    const { problems, notices } = this.#findings
    const trie = new RuleTrie()
    const rules: Rule[] = []
    const seen = new Map<string, string>()
    if (!Array.isArray(given)) {
      problems.push(`${where} must be a list of rules`)
      return { trie, rules }
    }
    for (const [i, rule] of (given as readonly PermissionRule[]).entries()) {
      const place = rule?.origin ?? `${where}.topics[${i}]`
      if (!checkKeys(place, rule, ruleNames, problems)) continue
      if (++this.#rules > RULES_MAX) {
        problems.push(`there are more than ${RULES_MAX} rules`)
        break
      }
      const problem = ruleProblem(rule)
      if (problem !== undefined) {
        problems.push(`${place}: ${problem}`)
        continue
      }
      const before = seen.get(rule.filter)
      if (before !== undefined) notices.push(`${place} is never reached: ${before} has the same filter`)
      else seen.set(rule.filter, place)
      const levels = levelsOfRule(rule.filter)
      trie.add(levels, rules.length)
      rules.push({
        levels,
        publish: verdictOf(rule, 'publish', this.#allowDefault),
        subscribe: verdictOf(rule, 'subscribe', this.#allowDefault),
        where: place,
        says: inWords(rule),
      })
    }
    return { trie, rules }
  }
}

const ACTIONS: readonly Action[] = ['publish', 'subscribe']
const optionNames = ['default', 'widerSubscriptions', 'users', 'clients', 'addresses', 'groups']
const tableNames = ['topics', 'groups']
const ruleNames = ['filter', 'allowed', 'denied', 'origin']

/** False, and a problem said, for what is no object or has a key that nobody reads. */
function checkKeys(where: string, value: unknown, names: readonly string[], problems: string[]): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    problems.push(`${where} must be an object`)
    return false
  }
  const unknown = Object.keys(value).find((key) => !names.includes(key))
  if (unknown === undefined) return true
  const meant = suggest(unknown, names)
  const path = where === '' ? '' : `${where}: `
  problems.push(
    `${path}${JSON.stringify(unknown)} is unknown${meant === undefined ? '' : `, did you mean "${meant}"?`}`,
  )
  return false
}

function ruleProblem({ filter, allowed = [], denied = [] }: PermissionRule): string | undefined {
  if (typeof filter !== 'string') return 'filter must be a topic filter'
  if (filter.startsWith('$share/')) return `filter ${JSON.stringify(filter)}: rules speak of what follows $share/NAME/`
  const problem = filterProblem(filter)
  if (problem !== undefined) return problem.detail
  for (const [name, list] of [
    ['allowed', allowed],
    ['denied', denied],
  ] as const) {
    if (!Array.isArray(list)) return `${name} must be a list of "publish" and "subscribe"`
    const wrong = (list as readonly Action[]).find((action) => !ACTIONS.includes(action))
    if (wrong === undefined) continue
    const meant = suggest(String(wrong), ACTIONS)
    return `${name} may list "publish" and "subscribe", not ${JSON.stringify(wrong)}${meant === undefined ? '' : `, did you mean "${meant}"?`}`
  }
  const both = allowed.find((action) => denied.includes(action))
  return both === undefined ? undefined : `the rule for ${JSON.stringify(filter)} both allows and denies "${both}"`
}

/** Only a rule that denies and allows nothing leaves the action it does not list to the default. */
function verdictOf({ allowed = [], denied = [] }: PermissionRule, action: Action, allowDefault: boolean): boolean {
  if (allowed.includes(action)) return true
  return allowed.length === 0 && denied.length > 0 && !denied.includes(action) && allowDefault
}

function inWords({ filter, allowed = [], denied = [] }: PermissionRule): string {
  const lists = [
    ...(allowed.length > 0 ? [`allowed ${allowed.join(' and ')}`] : []),
    ...(denied.length > 0 ? [`denied ${denied.join(' and ')}`] : []),
  ]
  return `${JSON.stringify(filter)} ${lists.length === 0 ? 'allows nothing' : lists.join(', ')}`
}
