/**
 * Values under topic filters, found by topic name: a tree of levels.
 *
 *   a/+/c, a/#, +        root ─ "a" ─ + ─ "c" ■          ■ values of the filter that ends here
 *                          │     └ # ■                   # and + have their own places, never a map entry
 *                          └ + ■
 *
 * Most nodes have one child and one value, so the first of each stands in plain fields and only the second makes a `Map`.
 * With 100,000 filters `base/<n>/+/v` a match costs less than a microsecond and a filter about 370 bytes, its strings
 * included.
 *
 * `match` visits in no defined order: whoever decides something by the order sorts what was visited. A tree is as deep as
 * its deepest filter; the owner bounds that (`topicLevelsMax`). Filters are taken as they are: validity is checked before.
 */
import {
  addLiteralChild,
  hasLiteralChild,
  type LiteralChildren,
  literalChild,
  removeLiteralChild,
} from '../topics/literal-children.ts'

class FilterNode<V> implements LiteralChildren<FilterNode<V>> {
  level: string | undefined = undefined
  child: FilterNode<V> | undefined = undefined
  children: Map<string, FilterNode<V>> | undefined = undefined
  plus: FilterNode<V> | undefined = undefined
  /** Values of the filter that ends here with `#`. */
  rest: FilterValues<V> | undefined = undefined
  /** Values of the filter that ends here. */
  values: FilterValues<V> | undefined = undefined
}

/** The values of one filter by key: one in plain fields, more in a map. */
class FilterValues<V> {
  readonly filter: string
  key: string
  value: V
  more: Map<string, V> | undefined = undefined

  constructor(filter: string, key: string, value: V) {
    this.filter = filter
    this.key = key
    this.value = value
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
  #root = new FilterNode<V>()

  /** Puts a value under a filter; returns the one that was there. */
  set(filter: string, key: string, value: V): V | undefined {
    let node = this.#root
    let start = 0
    let before: V | undefined
    for (;;) {
      const end = filter.indexOf('/', start)
      const level = end < 0 ? filter.slice(start) : filter.slice(start, end)
      if (level === '#' && end < 0) {
        if (node.rest === undefined) node.rest = new FilterValues(filter, key, value)
        else before = put(node.rest, key, value)
        break
      }
      node = makeChild(node, level)
      if (end < 0) {
        if (node.values === undefined) node.values = new FilterValues(filter, key, value)
        else before = put(node.values, key, value)
        break
      }
      start = end + 1
    }
    if (before === undefined) this.size++
    this.onChange?.(filter)
    return before
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
    if (rest) levels.pop()
    const path: FilterNode<V>[] = [this.#root]
    let node: FilterNode<V> | undefined = this.#root
    for (const level of levels) {
      node = childOf(node, level)
      if (node === undefined) return undefined
      path.push(node)
    }
    const values = rest ? node.rest : node.values
    if (values === undefined) return undefined
    let gone: V | undefined
    if (values.more !== undefined) {
      gone = values.more.get(key)
      if (gone === undefined) return undefined
      values.more.delete(key)
      if (values.more.size === 1) {
        for (const [lastKey, lastValue] of values.more) {
          values.key = lastKey
          values.value = lastValue
        }
        values.more = undefined
      }
    } else {
      if (values.key !== key) return undefined
      gone = values.value
      if (rest) node.rest = undefined
      else node.values = undefined
      for (let depth = levels.length; depth > 0 && isEmpty(path[depth] as FilterNode<V>); depth--) {
        removeChild(path[depth - 1] as FilterNode<V>, levels[depth - 1] as string)
      }
    }
    this.size--
    this.onChange?.(filter)
    return gone
  }

  /** Visits every value whose filter matches the topic name. The tree must not change meanwhile. */
  match(topic: string, visit: FilterVisit<V>): void {
    if (this.size === 0) return
    // [MQTT-4.7.2-1] A filter that begins with a wildcard does not match a topic that begins with $.
    if (topic.charCodeAt(0) === 0x24) {
      const end = topic.indexOf('/')
      const child = childOf(this.#root, end < 0 ? topic : topic.slice(0, end))
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
    let node: FilterNode<V> | undefined = this.#root
    let start = 0
    for (;;) {
      const end = filter.indexOf('/', start)
      const level = end < 0 ? filter.slice(start) : filter.slice(start, end)
      if (level === '#' && end < 0) return node.rest
      node = childOf(node, level)
      if (node === undefined) return undefined
      if (end < 0) return node.values
      start = end + 1
    }
  }
}

/** The level of `topic` that begins at `start` is matched against the children of `node`. */
function matchLevel<V>(node: FilterNode<V>, topic: string, start: number, visit: FilterVisit<V>): void {
  if (node.rest !== undefined) visitValues(node.rest, visit)
  const { level, children, plus } = node
  const end = topic.indexOf('/', start)
  if (children !== undefined) {
    const child = children.get(end < 0 ? topic.slice(start) : topic.slice(start, end))
    if (child !== undefined) matchBelow(child, topic, end, visit)
  } else if (level !== undefined) {
    const length = (end < 0 ? topic.length : end) - start
    if (level.length === length && topic.startsWith(level, start)) {
      matchBelow(node.child as FilterNode<V>, topic, end, visit)
    }
  }
  if (plus !== undefined) matchBelow(plus, topic, end, visit)
}

/** `node` matched the level that ends at `end`, the place of a slash or -1. */
function matchBelow<V>(node: FilterNode<V>, topic: string, end: number, visit: FilterVisit<V>): void {
  if (end >= 0) return matchLevel(node, topic, end + 1, visit)
  if (node.values !== undefined) visitValues(node.values, visit)
  // [MQTT-4.7.1-2] `sport/#` matches `sport` too: # includes the level above it.
  if (node.rest !== undefined) visitValues(node.rest, visit)
}

function visitValues<V>(values: FilterValues<V>, visit: FilterVisit<V>): void {
  const { filter, more } = values
  if (more === undefined) visit(values.value, values.key, filter)
  else for (const [key, value] of more) visit(value, key, filter)
}

function visitAll<V>(node: FilterNode<V>, visit: FilterVisit<V>): void {
  if (node.values !== undefined) visitValues(node.values, visit)
  if (node.rest !== undefined) visitValues(node.rest, visit)
  if (node.plus !== undefined) visitAll(node.plus, visit)
  if (node.children !== undefined) for (const child of node.children.values()) visitAll(child, visit)
  else if (node.child !== undefined) visitAll(node.child, visit)
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

function childOf<V>(node: FilterNode<V>, level: string): FilterNode<V> | undefined {
  return level === '+' ? node.plus : literalChild(node, level)
}

function makeChild<V>(node: FilterNode<V>, level: string): FilterNode<V> {
  const found = childOf(node, level)
  if (found !== undefined) return found
  const child = new FilterNode<V>()
  if (level === '+') node.plus = child
  else addLiteralChild(node, level, child)
  return child
}

function removeChild<V>(node: FilterNode<V>, level: string): void {
  if (level === '+') node.plus = undefined
  else removeLiteralChild(node, level)
}

function isEmpty<V>(node: FilterNode<V>): boolean {
  return node.values === undefined && node.rest === undefined && node.plus === undefined && !hasLiteralChild(node)
}
