/**
 * The rules of one table as a tree over the levels of their filters, so that a thousand rules cost one walk down the levels
 * of a topic and not a thousand comparisons. Every node knows the first rule that ends there; the least number met is the
 * first matching rule.
 *
 *            ┌─ a ─┬─ b   rule 0  (a/b)
 *   root ────┤     └─ +   rule 4  (a/+)
 *            ├─ %c ─ in   rule 2  (%c/in)
 *            └─ #         rule 9  (#)
 *
 * `%c` stands for the client identifier and `%u` for the user name, anywhere in a level. What they stand for is compared as
 * one literal level, so a name with `/`, `+` or `#` in it matches nothing at all: no level of a topic holds these. `%u` of an
 * anonymous client and `%c` without identifier match nothing either.
 */
import { ANY, type Level, REST } from './filter-sets.ts'
import type { PermissionClient, Work } from './permissions.ts'

/** Whom patterns are replaced for. */
export type Named = Pick<PermissionClient, 'clientId' | 'principal'>

/** A level of a rule's filter: literal, wildcard, or a text with patterns in it. */
export type RuleLevel = Level | Pattern

const NONE = Number.MAX_SAFE_INTEGER

/** A level that depends on the client. */
export class Pattern {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }

  /** The literal level number `depth` that it is for a client; undefined: it matches nothing. */
  levelFor({ clientId, principal }: Named, depth: number): string | undefined {
    const { text } = this
    if (text.includes('%u') && principal === '') return undefined
    if (text.includes('%c') && clientId === '') return undefined
    const level = text.replaceAll(/%[cu]/g, (name) => (name === '%c' ? clientId : principal))
    // No level of a topic or filter holds these; and nobody gets at the broker's own topics by calling himself $SYS.
    if (/[/+#]/.test(level) || (depth === 0 && level.startsWith('$') && !text.startsWith('$'))) return undefined
    return level
  }
}

/** Levels of a valid filter as a rule writes it. */
export function levelsOfRule(filter: string): RuleLevel[] {
  return filter.split('/').map((level) => {
    if (level === '+') return ANY
    if (level === '#') return REST
    return level.includes('%c') || level.includes('%u') ? new Pattern(level) : level
  })
}

/** The filter as it is for one client; undefined: it matches nothing. */
export function levelsFor(levels: readonly RuleLevel[], client: Named): readonly Level[] | undefined {
  // Most rules have no pattern, and are what they are for everybody.
  if (levels.every((level) => !(level instanceof Pattern))) return levels as readonly Level[]
  const out: Level[] = []
  for (const [depth, level] of levels.entries()) {
    const literal = level instanceof Pattern ? level.levelFor(client, depth) : level
    if (literal === undefined) return undefined
    out.push(literal)
  }
  return out
}

interface Query {
  readonly filter: readonly Level[]
  readonly client: Named
  readonly work: Work
  readonly found: number[]
}

interface Node {
  /** Levels above it. */
  readonly depth: number
  children: Map<string, Node> | undefined
  patterns: { readonly pattern: Pattern; readonly node: Node }[] | undefined
  any: Node | undefined
  /** First rule that ends at this node. */
  here: number
  /** First rule that ends in `#` below this node. */
  rest: number
}

export class RuleTrie {
  readonly #root: Node = node(0)
  /** Levels of the deepest rule. */
  #deepest = 0

  /** Adds rule `index`; rules are added in ascending order. */
  add(levels: readonly RuleLevel[], index: number): void {
    this.#deepest = Math.max(this.#deepest, levels.length)
    let at = this.#root
    for (const level of levels) {
      if (level === REST) {
        at.rest = Math.min(at.rest, index)
        return
      }
      at = below(at, level)
    }
    at.here = Math.min(at.here, index)
  }

  /** The first rule that matches a topic, given as its levels; -1: none does. */
  first(topic: readonly string[], client: Named): number {
    const found = this.#walk(this.#root, topic, 0, client, NONE)
    return found === NONE ? -1 : found
  }

  /**
   * The first rule of each filter that shares a topic with the given one, ascending. Costs a step for each node it looks at:
   * few for most filters, all of them for `#`.
   */
  overlapping(filter: readonly Level[], client: Named, work: Work): number[] {
    const found: number[] = []
    this.#collect(this.#root, { filter, client, work, found })
    return found.sort((a, b) => a - b)
  }

  #collect(at: Node, query: Query): void {
    const { filter, client, work, found } = query
    const level = filter[at.depth]
    if (level === REST) {
      this.#collectAll(at, query)
      return
    }
    work.left--
    // [MQTT-4.7.2-1] a wildcard at the start never matches a name that begins with $
    const first = at.depth === 0
    const dollar = first && typeof level === 'string' && level.startsWith('$')
    if (at.rest !== NONE && !dollar) found.push(at.rest)
    if (level === undefined) {
      if (at.here !== NONE) found.push(at.here)
      return
    }
    if (at.any !== undefined && !dollar) this.#collect(at.any, query)
    if (level === ANY) {
      for (const [name, child] of at.children ?? []) if (!first || !name.startsWith('$')) this.#collect(child, query)
    } else {
      const child = at.children?.get(level)
      if (child !== undefined) this.#collect(child, query)
    }
    for (const { pattern, node: child } of at.patterns ?? []) {
      const literal = pattern.levelFor(client, at.depth)
      if (literal === undefined) continue
      if (level === ANY ? !first || !literal.startsWith('$') : literal === level) this.#collect(child, query)
    }
  }

  /** Everything from a node down: the filter ends there in `#`. */
  #collectAll(at: Node, query: Query): void {
    const { client, work, found } = query
    work.left--
    const first = at.depth === 0
    if (at.here !== NONE) found.push(at.here)
    if (at.rest !== NONE) found.push(at.rest)
    if (at.any !== undefined) this.#collectAll(at.any, query)
    for (const [name, child] of at.children ?? []) if (!first || !name.startsWith('$')) this.#collectAll(child, query)
    for (const { pattern, node: child } of at.patterns ?? []) {
      const literal = pattern.levelFor(client, at.depth)
      if (literal !== undefined && !(first && literal.startsWith('$'))) this.#collectAll(child, query)
    }
  }

  #walk(at: Node, topic: readonly string[], depth: number, client: Named, best: number): number {
    // [MQTT-4.7.2-1] a wildcard at the start never matches a name that begins with $
    const dollar = depth === 0 && (topic[0] as string).startsWith('$')
    let found = dollar ? best : Math.min(best, at.rest)
    if (depth === topic.length) return Math.min(found, at.here)
    if (depth === this.#deepest) return found
    const level = topic[depth] as string
    const child = at.children?.get(level)
    if (child !== undefined) found = this.#walk(child, topic, depth + 1, client, found)
    if (at.any !== undefined && !dollar) found = this.#walk(at.any, topic, depth + 1, client, found)
    if (at.patterns !== undefined) {
      for (const { pattern, node: next } of at.patterns) {
        if (pattern.levelFor(client, depth) === level) found = this.#walk(next, topic, depth + 1, client, found)
      }
    }
    return found
  }
}

function node(depth: number): Node {
  return { depth, children: undefined, patterns: undefined, any: undefined, here: NONE, rest: NONE }
}

function below(at: Node, level: Exclude<RuleLevel, typeof REST>): Node {
  if (level === ANY) {
    at.any ??= node(at.depth + 1)
    return at.any
  }
  if (level instanceof Pattern) {
    at.patterns ??= []
    const known = at.patterns.find(({ pattern }) => pattern.text === level.text)
    if (known !== undefined) return known.node
    const fresh = { pattern: level, node: node(at.depth + 1) }
    at.patterns.push(fresh)
    return fresh.node
  }
  at.children ??= new Map()
  let child = at.children.get(level)
  if (child === undefined) {
    child = node(at.depth + 1)
    at.children.set(level, child)
  }
  return child
}
