/**
 * Values under topic names, found by topic filter: the mirror image of the filter tree. Retained messages lie in one, and
 * a cache of routes can keep its keys in one to find what a changed subscription concerns.
 *
 *   a/b, a/c/d        root ─ "a" ─ "b" ■
 *                               └ "c" ─ "d" ■
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
} from '../topics/literal-children.ts'

class TopicNode<V> implements LiteralChildren<TopicNode<V>>, Leveled {
  readonly levelText: string
  level: string | undefined = undefined
  child: TopicNode<V> | undefined = undefined
  children: LiteralChildren<TopicNode<V>>['children'] = undefined
  /** The whole topic name, when a value lies here. */
  topic: string | undefined = undefined
  value: V | undefined = undefined

  constructor(levelText: string) {
    this.levelText = levelText
  }

  isLevel(text: string, start: number, end: number): boolean {
    return isSlice(this.levelText, text, start, end)
  }
}

export type TopicVisit<V> = (value: V, topic: string) => void

/**
 * ```ts
 * const tree = new TopicTree<number>()
 * tree.set('a/b', 1)
 * tree.match('a/#', (value, topic) => console.log(value, topic)) // 1 a/b
 * ```
 */
export class TopicTree<V> {
  /** How many topics have a value. */
  size = 0
  #root = new TopicNode<V>('')

  get(topic: string): V | undefined {
    let node: TopicNode<V> | undefined = this.#root
    let start = 0
    for (;;) {
      const end = topic.indexOf('/', start)
      node = literalChild(node, topic, start, end < 0 ? topic.length : end)
      if (node === undefined) return undefined
      if (end < 0) return node.topic === undefined ? undefined : node.value
      start = end + 1
    }
  }

  /** Puts a value; returns the one that was there. */
  set(topic: string, value: V): V | undefined {
    let node = this.#root
    let start = 0
    for (;;) {
      const end = topic.indexOf('/', start)
      node = makeChild(node, topic, start, end < 0 ? topic.length : end)
      if (end < 0) break
      start = end + 1
    }
    const before = node.value
    if (node.topic === undefined) this.size++
    node.topic = topic
    node.value = value
    return before
  }

  /** Takes a value away; returns it. Branches left empty go with it. */
  delete(topic: string): V | undefined {
    const levels = topic.split('/')
    const path: TopicNode<V>[] = [this.#root]
    let node: TopicNode<V> | undefined = this.#root
    for (const level of levels) {
      node = literalChild(node, level, 0, level.length)
      if (node === undefined) return undefined
      path.push(node)
    }
    if (node.topic === undefined) return undefined
    const gone = node.value
    node.topic = undefined
    node.value = undefined
    this.size--
    for (let depth = levels.length; depth > 0; depth--) {
      const below = path[depth] as TopicNode<V>
      if (below.topic !== undefined || hasLiteralChild(below)) break
      removeLiteralChild(path[depth - 1] as TopicNode<V>, levels[depth - 1] as string)
    }
    return gone
  }

  /** Visits every value whose topic name the filter matches. The tree must not change meanwhile. */
  match(filter: string, visit: TopicVisit<V>): void {
    if (this.size === 0) return
    const wildcards = filter.includes('+') || filter.endsWith('#')
    if (!wildcards) {
      const value = this.get(filter)
      if (value !== undefined) visit(value, filter)
      return
    }
    matchLevel(this.#root, filter.split('/'), 0, visit)
  }

  /** Visits every value, in no defined order, `$` topics included. */
  forEach(visit: TopicVisit<V>): void {
    visitAll(this.#root, visit)
  }
}

function matchLevel<V>(node: TopicNode<V>, levels: readonly string[], depth: number, visit: TopicVisit<V>): void {
  const level = levels[depth] as string
  if (level === '#') {
    // [MQTT-4.7.1-2] # includes the level above it.
    if (depth > 0) return visitAll(node, visit)
    forEachLiteralChild(node, (child) => {
      if (!child.levelText.startsWith('$')) visitAll(child, visit)
    })
    return
  }
  if (level === '+') {
    // [MQTT-4.7.2-1] A filter that begins with a wildcard does not match a topic that begins with $.
    forEachLiteralChild(node, (child) => {
      if (depth > 0 || !child.levelText.startsWith('$')) matchBelow(child, levels, depth, visit)
    })
    return
  }
  const child = literalChild(node, level, 0, level.length)
  if (child !== undefined) matchBelow(child, levels, depth, visit)
}

function matchBelow<V>(node: TopicNode<V>, levels: readonly string[], depth: number, visit: TopicVisit<V>): void {
  if (depth + 1 < levels.length) matchLevel(node, levels, depth + 1, visit)
  else if (node.topic !== undefined) visit(node.value as V, node.topic)
}

function visitAll<V>(node: TopicNode<V>, visit: TopicVisit<V>): void {
  if (node.topic !== undefined) visit(node.value as V, node.topic)
  forEachLiteralChild(node, (child) => visitAll(child, visit))
}

function makeChild<V>(node: TopicNode<V>, topic: string, start: number, end: number): TopicNode<V> {
  const found = literalChild(node, topic, start, end)
  if (found !== undefined) return found
  const level = topic.slice(start, end)
  const child = new TopicNode<V>(level)
  addLiteralChild(node, level, child)
  return child
}
