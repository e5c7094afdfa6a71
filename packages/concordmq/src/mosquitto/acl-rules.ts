/**
 * An ACL of Mosquitto as rules of `permissions.toml`. They differ in how several lines are put together:
 *
 *   Mosquitto     own denies │ any own line that grants it │ pattern denies │ any pattern that grants it │ denied
 *   ConcordMQ     the first rule whose filter matches decides both actions
 *
 * A topic that one line lets a user read and another lets him write must therefore have a rule of its own before both: that of
 * the topics that both filters match, which is a filter again (`a/+` and `+/b` have `a/b` in common). So for own lines R, W
 * and D and patterns R', W' and D':
 *
 *   D: nothing · R∩W: both · [D'∩R: read · D'∩W: write · D': nothing · R∩W' and W∩R': both] · R: read · W: write · the patterns
 *
 * The part in brackets is only written where a user's lines and the patterns have topics in common at different accesses.
 * The patterns are one group: D': nothing · R'∩W': both · R': read · W': write.
 */
import type { AclFile, AclLine } from './acl-file.ts'

export interface AclRule {
  readonly filter: string
  readonly allowed: readonly ('publish' | 'subscribe')[]
}

export interface AclRules {
  /** By user name; empty: anonymous clients. Everybody else has the patterns alone. */
  readonly users: ReadonlyMap<string, readonly AclRule[]>
  readonly patterns: readonly AclRule[]
  /** Lines whose meaning depends on a client's name in a way that rules cannot say; each with the reason. */
  readonly unsaid: readonly { readonly line: AclLine; readonly reason: string }[]
}

/** More than these are no list a person wrote; the broker's own maximum is the same. */
export const aclRulesMax = 100_000
/** Pairs of filters looked at; a few seconds. */
const comparisonsMax = 10_000_000

interface Lists {
  readonly reads: readonly string[]
  readonly writes: readonly string[]
  readonly denies: readonly string[]
}

/** The rules, or undefined if there would be more than `aclRulesMax`. */
export function aclRules({ users, patterns }: AclFile): AclRules | undefined {
  const common = listsOf(patterns)
  const unsaid: { line: AclLine; reason: string }[] = []
  const budget = { left: aclRulesMax }
  const tables = new Map<string, readonly AclRule[]>()
  const group = ordered(patternRules(common, budget))
  for (const [name, lines] of users) {
    const own = listsOf(lines)
    for (const line of lines) {
      const other = patterns.find((pattern) => isConditional(line, pattern))
      if (other !== undefined) {
        unsaid.push({
          line,
          reason: `together with ${other.place} it grants more to a client whose name stands in the topic; such a client has the right of this line alone`,
        })
      }
    }
    tables.set(name, ordered(ownRules(own, common, budget)))
    if (budget.left < 0) return undefined
  }
  return { users: tables, patterns: group, unsaid }
}

const READ = ['subscribe'] as const
const WRITE = ['publish'] as const
const BOTH = ['publish', 'subscribe'] as const
const NOTHING = [] as const

interface Budget {
  left: number
}

function* patternRules({ reads, writes, denies }: Lists, budget: Budget): Iterable<AclRule> {
  for (const filter of denies) yield { filter, allowed: NOTHING }
  yield* common(reads, writes, BOTH, budget)
  for (const filter of reads) yield { filter, allowed: READ }
  for (const filter of writes) yield { filter, allowed: WRITE }
}

function* ownRules(own: Lists, patterns: Lists, budget: Budget): Iterable<AclRule> {
  for (const filter of own.denies) yield { filter, allowed: NOTHING }
  yield* common(own.reads, own.writes, BOTH, budget)
  const mixed = [
    ...common(own.reads, patterns.writes, BOTH, budget),
    ...common(own.writes, patterns.reads, BOTH, budget),
  ]
  if (mixed.length > 0) {
    yield* common(patterns.denies, own.reads, READ, budget)
    yield* common(patterns.denies, own.writes, WRITE, budget)
    for (const filter of patterns.denies) yield { filter, allowed: NOTHING }
    yield* mixed
  }
  for (const filter of own.reads) yield { filter, allowed: READ }
  for (const filter of own.writes) yield { filter, allowed: WRITE }
}

function* common(
  a: readonly string[],
  b: readonly string[],
  allowed: AclRule['allowed'],
  budget: Budget,
): Iterable<AclRule> {
  if (a.length * b.length > comparisonsMax) budget.left = -1
  const second = b.map((filter) => filter.split('/'))
  for (const first of a.map((filter) => filter.split('/'))) {
    for (const other of second) {
      if (budget.left < 0) return
      const filter = intersectionOf(first, other)
      if (filter === undefined) continue
      budget.left--
      yield { filter, allowed }
    }
  }
}

/** Without those that a rule of the same filter before them makes unreachable. */
function ordered(rules: Iterable<AclRule>): AclRule[] {
  const byFilter = new Map<string, AclRule>()
  for (const rule of rules) if (!byFilter.has(rule.filter)) byFilter.set(rule.filter, rule)
  return [...byFilter.values()]
}

function listsOf(lines: readonly AclLine[]): Lists {
  const filters = (...accesses: readonly string[]): string[] => [
    ...new Set(lines.filter(({ access }) => accesses.includes(access)).map(({ filter }) => filter)),
  ]
  return { reads: filters('read', 'readwrite'), writes: filters('write', 'readwrite'), denies: filters('deny') }
}

/** The filter of all topics that both match, or undefined if there are none. `%c` and `%u` count as themselves. */
export function intersection(a: string, b: string): string | undefined {
  return intersectionOf(a.split('/'), b.split('/'))
}

function intersectionOf(a: readonly string[], b: readonly string[]): string | undefined {
  // [MQTT-4.7.2-1] a wildcard at the start leaves out what begins with $.
  if (isWild(a[0]) && b[0]?.startsWith('$')) return undefined
  if (isWild(b[0]) && a[0]?.startsWith('$')) return undefined
  let end = 0
  for (; ; end++) {
    const [one, other] = [a[end], b[end]]
    // What `#` takes of the other filter is its rest, or nothing: `a/#` includes `a`.
    if (one === '#' || other === '#' || (one === undefined && other === undefined)) break
    if (one === undefined || other === undefined) return undefined
    if (one !== other && one !== '+' && other !== '+') return undefined
  }
  const levels = a.slice(0, end).map((level, i) => (level === '+' ? (b[i] as string) : level))
  return [...levels, ...(a[end] === '#' ? b : a).slice(end)].join('/')
}

function isWild(level: string | undefined): boolean {
  return level === '+' || level === '#'
}

const hasName = (level: string): boolean => level.includes('%c') || level.includes('%u')

/** Whether the two meet only for a client of a certain name, and grant different things there. */
function isConditional(line: AclLine, pattern: AclLine): boolean {
  if (pattern.access === 'deny' || line.access === 'deny' || line.access === 'readwrite') return false
  if (pattern.access === line.access) return false
  if (intersection(line.filter, pattern.filter) !== undefined) return false
  // Where a name stands, any level may stand.
  const wild = (filter: string): string =>
    filter
      .split('/')
      .map((level) => (hasName(level) ? '+' : level))
      .join('/')
  return hasName(pattern.filter) && intersection(line.filter, wild(pattern.filter)) !== undefined
}
