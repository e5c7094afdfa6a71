/**
 * Values that have a topic name, found by topic filter: the mirror image of the filter tree. Retained messages lie in one, and
 * a cache of routes can keep its keys in one to find what a changed subscription concerns.
 *
 *   a/b, a/c, a/c/d        root ─ "a" ─ "b" ■
 *                                    └ "c" ■ ─ "d" ■
 *
 * A level has a node only if something lies below it; else the value itself stands there. Very many topics mostly end in a level
 * of their own, and a node for each would double what they cost the engine's collector.
 *
 * Only branches that the filter can match are walked. Visits come in no defined order; whoever decides something by the
 * order sorts. A tree is as deep as its deepest topic; the owner bounds that (`topicLevelsMax`).
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

/** Something with a topic name; its level is the last one of that. */
export interface Topical extends Leveled {
  readonly topic: string
}

/** The plainest one, to be extended. */
export class TopicEntry implements Topical {
  readonly topic: string

  constructor(topic: string) {
    this.topic = topic
  }

  get levelText(): string {
    return lastLevel(this.topic)
  }

  isLevel(text: string, start: number, end: number): boolean {
    return endsInLevel(this.topic, text, start, end)
  }
}

export function lastLevel(topic: string): string {
  return topic.slice(topic.lastIndexOf('/') + 1)
}

/** Whether the last level of a topic is `text` from `start` to `end`. */
export function endsInLevel(topic: string, text: string, start: number, end: number): boolean {
  let at = topic.length - (end - start)
  if (at !== 0 && (at < 0 || topic.charCodeAt(at - 1) !== SLASH)) return false
  for (let i = start; i < end; i++) if (topic.charCodeAt(at++) !== text.charCodeAt(i)) return false
  return true
}

/** What stands for a level. */
type Below<V extends Topical> = TopicNode<V> | V

class TopicNode<V extends Topical> implements LiteralChildren<Below<V>>, Leveled {
  readonly levelText: string
  level: string | undefined = undefined
  child: Below<V> | undefined = undefined
  children: LiteralChildren<Below<V>>['children'] = undefined
  /** Of the topic that ends here. */
  value: V | undefined = undefined

  constructor(levelText: string) {
    this.levelText = levelText
  }

  isLevel(text: string, start: number, end: number): boolean {
    return isSlice(this.levelText, text, start, end)
  }
}

export type TopicVisit<V> = (value: V) => void

/**
 * ```ts
 * const tree = new TopicTree<TopicEntry>()
 * tree.set(new TopicEntry('a/b'))
 * tree.match('a/#', ({ topic }) => console.log(topic)) // a/b
 * ```
 */
export class TopicTree<V extends Topical> {
  /** How many values there are. */
  size = 0
  #root = new TopicNode<V>('')

  get(topic: string): V | undefined {
    let node = this.#root
    let start = 0
    for (;;) {
      const end = topic.indexOf('/', start)
      const below = literalChild<Below<V>>(node, topic, start, end < 0 ? topic.length : end)
      if (below === undefined) return undefined
      if (!(below instanceof TopicNode)) return end < 0 ? below : undefined
      if (end < 0) return below.value
      node = below
      start = end + 1
    }
  }

  /** Puts a value; returns the one that its topic had. */
  set(value: V): V | undefined {
    const { topic } = value
    let node = this.#root
    let start = 0
    for (;;) {
      const slash = topic.indexOf('/', start)
      const end = slash < 0 ? topic.length : slash
      const below = literalChild<Below<V>>(node, topic, start, end)
      if (slash < 0) return this.#setLast(node, start, below, value)
      if (below instanceof TopicNode) node = below
      else {
        const made: TopicNode<V> = new TopicNode(topic.slice(start, end))
        made.value = below
        if (below === undefined) addLiteralChild<Below<V>>(node, topic, start, end, made)
        else replaceLiteralChild<Below<V>>(node, topic, start, end, made)
        node = made
      }
      start = slash + 1
    }
  }

  #setLast(node: TopicNode<V>, start: number, below: Below<V> | undefined, value: V): V | undefined {
    const { topic } = value
    if (below === undefined) {
      addLiteralChild<Below<V>>(node, topic, start, topic.length, value)
      this.size++
      return undefined
    }
    if (below instanceof TopicNode) {
      const before = below.value
      below.value = value
      if (before === undefined) this.size++
      return before
    }
    replaceLiteralChild<Below<V>>(node, topic, start, topic.length, value)
    return below
  }

  /** Takes a value away; returns it. Nodes that nothing is left below go with it. */
  delete(topic: string): V | undefined {
    const levels = topic.split('/')
    const path: TopicNode<V>[] = []
    let below: Below<V> | undefined = this.#root
    for (const level of levels) {
      if (!(below instanceof TopicNode)) return undefined
      path.push(below)
      below = literalChild<Below<V>>(below, level, 0, level.length)
    }
    const gone = below instanceof TopicNode ? below.value : below
    if (gone === undefined) return undefined
    this.size--
    if (below instanceof TopicNode) {
      below.value = undefined
      return gone
    }
    for (let depth = levels.length - 1; depth >= 0; depth--) {
      const node = path[depth] as TopicNode<V>
      removeLiteralChild<Below<V>>(node, levels[depth] as string)
      if (depth === 0 || hasLiteralChild(node)) break
      if (node.value === undefined) continue
      const level = levels[depth - 1] as string
      replaceLiteralChild<Below<V>>(path[depth - 1] as TopicNode<V>, level, 0, level.length, node.value)
      break
    }
    return gone
  }

  /** Visits every value whose topic name the filter matches. The tree must not change meanwhile. */
  match(filter: string, visit: TopicVisit<V>): void {
    if (this.size === 0) return
    const wildcards = filter.includes('+') || filter.endsWith('#')
    if (wildcards) {
      matchLevel(this.#root, filter.split('/'), 0, visit)
      return
    }
    const value = this.get(filter)
    if (value !== undefined) visit(value)
  }

  /** Visits every value, in no defined order, `$` topics included. */
  forEach(visit: TopicVisit<V>): void {
    visitAll(this.#root, visit)
  }
}

function matchLevel<V extends Topical>(
  node: TopicNode<V>,
  levels: readonly string[],
  depth: number,
  visit: TopicVisit<V>,
): void {
  const level = levels[depth] as string
  if (level === '#') {
    // [MQTT-4.7.1-2] # includes the level above it.
    if (depth > 0) return visitAll(node, visit)
    forEachLiteralChild<Below<V>>(node, (child) => {
      if (!child.levelText.startsWith('$')) visitAll(child, visit)
    })
    return
  }
  if (level === '+') {
    // [MQTT-4.7.2-1] A filter that begins with a wildcard does not match a topic that begins with $.
    forEachLiteralChild<Below<V>>(node, (child) => {
      if (depth > 0 || !child.levelText.startsWith('$')) matchBelow(child, levels, depth, visit)
    })
    return
  }
  const child = literalChild<Below<V>>(node, level, 0, level.length)
  if (child !== undefined) matchBelow(child, levels, depth, visit)
}

function matchBelow<V extends Topical>(
  below: Below<V>,
  levels: readonly string[],
  depth: number,
  visit: TopicVisit<V>,
): void {
  if (below instanceof TopicNode) {
    if (depth + 1 < levels.length) matchLevel(below, levels, depth + 1, visit)
    else if (below.value !== undefined) visit(below.value)
  } else if (depth + 1 === levels.length || levels[depth + 1] === '#') visit(below)
}

function visitAll<V extends Topical>(below: Below<V>, visit: TopicVisit<V>): void {
  if (!(below instanceof TopicNode)) {
    visit(below)
    return
  }
  if (below.value !== undefined) visit(below.value)
  forEachLiteralChild<Below<V>>(below, (child) => visitAll(child, visit))
}
