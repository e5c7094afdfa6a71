/**
 * Values under topic filters, found by topic name: a tree of levels.
 *
 *   a/+/c, a/+/d/e, a/#, b/+/c     root ─ "a" ─ + ─ "c" ■         ■ values of a filter
 *                                    │     │    └─ "d" ■ e       a filter alone below its level is not spread over nodes:
 *                                    │     └ # ■                  what is left of it is compared as text
 *                                    └─ "b" ■ +/c                 # and + have their own places, never a map entry
 *
 * Most nodes have one child and one value, so the first of each stands in plain fields.
 * Among many filters a match costs what the memory it touches costs: `base/<n>/+/v` is two nodes and one comparison, however
 * many levels follow <n>. A filter taken away does not fold up again what it had spread.
 *
 * `match` visits in no defined order: whoever decides something by the order sorts what was visited. A tree is as deep as
 * its deepest filter; the owner bounds that (`topicLevelsMax`). Filters are taken as they are: validity is checked before.
 */

import { isSlice, type Leveled } from '../topics/level-table.ts'
import {
  addLiteralChild,
  forEachLiteralChild,
  hasLiteralChild,
  type LiteralChildren,
  literalChild,
  removeLiteralChild,
  replaceLiteralChild,
} from '../topics/literal-children.ts'

const SLASH = 0x2f
const PLUS = 0x2b
const HASH = 0x23

/** What lies below a level: a node, or the values of the only filter there. */
type Below<V> = FilterNode<V> | FilterValues<V>

class FilterNode<V> implements LiteralChildren<Below<V>>, Leveled {
  readonly levelText: string
  level: string | undefined = undefined
  child: Below<V> | undefined = undefined
  children: LiteralChildren<Below<V>>['children'] = undefined
  plus: Below<V> | undefined = undefined
  /** Values of the filter that ends here with `#`. */
  rest: FilterValues<V> | undefined = undefined
  /** Values of the filter that ends here. */
  values: FilterValues<V> | undefined = undefined

  constructor(levelText: string) {
    this.levelText = levelText
  }

  isLevel(text: string, start: number, end: number): boolean {
    return isSlice(this.levelText, text, start, end)
  }
}

/** The values of one filter by key: one in plain fields, more in a map. */
class FilterValues<V> implements Leveled {
  readonly filter: string
  /** Where the levels begin that no node stands for; -1: there are none. */
  tail: number
  key: string
  value: V
  more: Map<string, V> | undefined = undefined

  constructor(filter: string, tail: number, key: string, value: V) {
    this.filter = filter
    this.tail = tail
    this.key = key
    this.value = value
  }

  /** The level that it hangs from: the one before the tail. */
  get levelText(): string {
    const end = this.#levelEnd
    return this.filter.slice(this.filter.lastIndexOf('/', end - 1) + 1, end)
  }

  get #levelEnd(): number {
    return this.tail < 0 ? this.filter.length : this.tail - 1
  }

  isLevel(text: string, start: number, end: number): boolean {
    const { filter } = this
    let at = this.#levelEnd - (end - start)
    if (at !== 0 && (at < 0 || filter.charCodeAt(at - 1) !== SLASH)) return false
    for (let i = start; i < end; i++) if (filter.charCodeAt(at++) !== text.charCodeAt(i)) return false
    return true
  }
}

export type FilterVisit<V> = (value: V, key: string, filter: string) => void

/**
 * ```ts
 * const tree = new FilterTree<number>()
 * tree.set('a/+', 'client-1', 1)
 * tree.match('a/b', (value, key, filter) => console.log(value, key, filter)) // 1 client-1 a/+
 * ```
 */
export class FilterTree<V> {
  /** How many values there are. */
  size = 0
  /** Told after each `set` and each `delete` that found something; for caches of what matches. */
  onChange: ((filter: string) => void) | undefined = undefined
  #root = new FilterNode<V>('')

  /** Puts a value under a filter; returns the one that was there. */
  set(filter: string, key: string, value: V): V | undefined {
    const before = this.#put(filter, key, value)
    if (before === undefined) this.size++
    this.onChange?.(filter)
    return before
  }

  #put(filter: string, key: string, value: V): V | undefined {
    let node = this.#root
    let start = 0
    for (;;) {
      const end = filter.indexOf('/', start)
      const level = end < 0 ? filter.slice(start) : filter.slice(start, end)
      if (level === '#' && end < 0) {
        if (node.rest !== undefined) return put(node.rest, key, value)
        node.rest = new FilterValues(filter, -1, key, value)
        return undefined
      }
      const tail = end < 0 ? -1 : end + 1
      const child = childOf(node, filter, start, end < 0 ? filter.length : end)
      if (child === undefined) {
        addChild(node, level, new FilterValues(filter, tail, key, value))
        return undefined
      }
      if (child instanceof FilterValues && child.filter === filter) return put(child, key, value)
      node = child instanceof FilterValues ? spread(node, level, child) : child
      if (end < 0) {
        if (node.values !== undefined) return put(node.values, key, value)
        node.values = new FilterValues(filter, -1, key, value)
        return undefined
      }
      start = tail
    }
  }

  get(filter: string, key: string): V | undefined {
    const values = this.#find(filter)
    if (values === undefined) return undefined
    if (values.more !== undefined) return values.more.get(key)
    return values.key === key ? values.value : undefined
  }

  /** Whether any value lies under exactly this filter. */
  has(filter: string): boolean {
    return this.#find(filter) !== undefined
  }

  /** How many values lie under exactly this filter. */
  count(filter: string): number {
    const values = this.#find(filter)
    return values === undefined ? 0 : (values.more?.size ?? 1)
  }

  /** Takes a value away; returns it. Branches left empty go with it. */
  delete(filter: string, key: string): V | undefined {
    const levels = filter.split('/')
    const rest = levels[levels.length - 1] === '#'
    const path: FilterNode<V>[] = [this.#root]
    let below: Below<V> | undefined = this.#root
    for (let depth = 0; depth < levels.length - (rest ? 1 : 0) && below instanceof FilterNode; depth++) {
      const level: string = levels[depth] as string
      below = childOf(below, level, 0, level.length)
      if (below instanceof FilterNode) path.push(below)
    }
    const last = path[path.length - 1] as FilterNode<V>
    const values: FilterValues<V> | undefined =
      below instanceof FilterNode ? (rest ? below.rest : below.values) : below?.filter === filter ? below : undefined
    if (values === undefined) return undefined
    const gone = take(values, key)
    if (gone === undefined) return undefined
    if (gone.last) {
      if (values === last.rest) last.rest = undefined
      else if (values === last.values) last.values = undefined
      else removeChild(last, levels[path.length - 1] as string)
      for (let depth = path.length - 1; depth > 0 && isEmpty(path[depth] as FilterNode<V>); depth--) {
        removeChild(path[depth - 1] as FilterNode<V>, levels[depth - 1] as string)
      }
    }
    this.size--
    this.onChange?.(filter)
    return gone.value
  }

  /** Visits every value whose filter matches the topic name. The tree must not change meanwhile. */
  match(topic: string, visit: FilterVisit<V>): void {
    if (this.size === 0) return
    // [MQTT-4.7.2-1] A filter that begins with a wildcard does not match a topic that begins with $.
    if (topic.charCodeAt(0) === 0x24) {
      const end = topic.indexOf('/')
      const child = literalChild(this.#root, topic, 0, end < 0 ? topic.length : end)
      if (child !== undefined) matchBelow(child, topic, end, visit)
      return
    }
    matchLevel(this.#root, topic, 0, visit)
  }

  /** Visits every value, in no defined order. */
  forEach(visit: FilterVisit<V>): void {
    visitAll(this.#root, visit)
  }

  #find(filter: string): FilterValues<V> | undefined {
    let node = this.#root
    let start = 0
    for (;;) {
      const end = filter.indexOf('/', start)
      if (end < 0 && start === filter.length - 1 && filter.charCodeAt(start) === HASH) return node.rest
      const child: Below<V> | undefined = childOf(node, filter, start, end < 0 ? filter.length : end)
      if (child === undefined) return undefined
      if (child instanceof FilterValues) return child.filter === filter ? child : undefined
      node = child
      if (end < 0) return node.values
      start = end + 1
    }
  }
}

/** The level of `topic` that begins at `start` is matched against the children of `node`. */
function matchLevel<V>(node: FilterNode<V>, topic: string, start: number, visit: FilterVisit<V>): void {
  if (node.rest !== undefined) visitValues(node.rest, visit)
  const { plus } = node
  const end = topic.indexOf('/', start)
  const child = literalChild(node, topic, start, end < 0 ? topic.length : end)
  if (child !== undefined) matchBelow(child, topic, end, visit)
  if (plus !== undefined) matchBelow(plus, topic, end, visit)
}

/** What lies below the level that ends at `end`, the place of a slash or -1. */
function matchBelow<V>(node: Below<V>, topic: string, end: number, visit: FilterVisit<V>): void {
  if (node instanceof FilterValues) {
    if (tailMatches(node.filter, node.tail, topic, end)) visitValues(node, visit)
    return
  }
  if (end >= 0) return matchLevel(node, topic, end + 1, visit)
  if (node.values !== undefined) visitValues(node.values, visit)
  // [MQTT-4.7.1-2] `sport/#` matches `sport` too: # includes the level above it.
  if (node.rest !== undefined) visitValues(node.rest, visit)
}

/** Whether the levels of `filter` from `tail` on match those of `topic` behind the slash at `end`; -1: there are none. */
function tailMatches(filter: string, tail: number, topic: string, end: number): boolean {
  if (tail < 0) return end < 0
  const last = filter.length - 1
  // [MQTT-4.7.1-2] # includes the level above it.
  if (end < 0) return tail === last && filter.charCodeAt(last) === HASH
  let t = end + 1
  for (let f = tail; f <= last; f++) {
    const unit = filter.charCodeAt(f)
    if (unit === HASH) return true
    if (unit === PLUS) while (t < topic.length && topic.charCodeAt(t) !== SLASH) t++
    else if (t === topic.length) return unit === SLASH && f + 1 === last && filter.charCodeAt(last) === HASH
    else if (unit !== topic.charCodeAt(t++)) return false
  }
  return t === topic.length
}

function visitValues<V>(values: FilterValues<V>, visit: FilterVisit<V>): void {
  const { filter, more } = values
  if (more === undefined) visit(values.value, values.key, filter)
  else for (const [key, value] of more) visit(value, key, filter)
}

function visitAll<V>(node: Below<V>, visit: FilterVisit<V>): void {
  if (node instanceof FilterValues) return visitValues(node, visit)
  if (node.values !== undefined) visitValues(node.values, visit)
  if (node.rest !== undefined) visitValues(node.rest, visit)
  if (node.plus !== undefined) visitAll(node.plus, visit)
  forEachLiteralChild(node, (child) => visitAll(child, visit))
}

function put<V>(values: FilterValues<V>, key: string, value: V): V | undefined {
  if (values.more !== undefined) {
    const before = values.more.get(key)
    values.more.set(key, value)
    return before
  }
  if (values.key === key) {
    const before = values.value
    values.value = value
    return before
  }
  values.more = new Map([
    [values.key, values.value],
    [key, value],
  ])
  return undefined
}

/** Takes the value of a key; `last`: none is left. */
function take<V>(values: FilterValues<V>, key: string): { readonly value: V; readonly last: boolean } | undefined {
  const { more, value } = values
  if (more === undefined) return values.key === key ? { value, last: true } : undefined
  const gone = more.get(key)
  if (gone === undefined) return undefined
  more.delete(key)
  if (more.size === 1) {
    for (const [lastKey, lastValue] of more) {
      values.key = lastKey
      values.value = lastValue
    }
    values.more = undefined
  }
  return { value: gone, last: false }
}

/** Makes room for another filter below a level that one filter had for itself. */
function spread<V>(parent: FilterNode<V>, level: string, values: FilterValues<V>): FilterNode<V> {
  const node = new FilterNode<V>(level)
  // Before the tail changes, which tells the level.
  if (level === '+') parent.plus = node
  else replaceLiteralChild(parent, level, 0, level.length, node)
  const { filter, tail } = values
  if (tail < 0) node.values = values
  else {
    const end = filter.indexOf('/', tail)
    const next = end < 0 ? filter.slice(tail) : filter.slice(tail, end)
    values.tail = end < 0 ? -1 : end + 1
    if (next === '#' && end < 0) node.rest = values
    else addChild(node, next, values)
  }
  return node
}

function childOf<V>(node: FilterNode<V>, text: string, start: number, end: number): Below<V> | undefined {
  if (end - start === 1 && text.charCodeAt(start) === PLUS) return node.plus
  return literalChild(node, text, start, end)
}

function addChild<V>(node: FilterNode<V>, level: string, child: Below<V>): void {
  if (level === '+') node.plus = child
  else addLiteralChild(node, level, 0, level.length, child)
}

function removeChild<V>(node: FilterNode<V>, level: string): void {
  if (level === '+') node.plus = undefined
  else removeLiteralChild(node, level)
}

function isEmpty<V>(node: FilterNode<V>): boolean {
  return node.values === undefined && node.rest === undefined && node.plus === undefined && !hasLiteralChild(node)
}
