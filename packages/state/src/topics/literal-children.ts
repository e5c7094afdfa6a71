/**
 * The children of a node in a tree of topic levels, by the text of their level. Most nodes have one child, so the first
 * stands in plain fields; the second makes a `Map`, and many a table of their own (`level-table.ts`). A `Map` goes when one is left
 * again.
 */
import { isSlice, type Leveled, LevelTable } from './level-table.ts'

/** A `Map` becomes a table when it would have more. */
const MAP_MAX = 64

export interface LiteralChildren<N extends Leveled> {
  /** Level of the only child; undefined: there is none, or there are several. */
  level: string | undefined
  child: N | undefined
  /** Once it exists, all children are in it. */
  children: Map<string, N> | LevelTable<N> | undefined
}

/** The child whose level is `text` from `start` to `end`. */
export function literalChild<N extends Leveled>(
  node: LiteralChildren<N>,
  text: string,
  start: number,
  end: number,
): N | undefined {
  const { level, children } = node
  if (level !== undefined) return isSlice(level, text, start, end) ? node.child : undefined
  if (children === undefined) return undefined
  if (children instanceof LevelTable) return children.get(text, start, end)
  return children.get(text.slice(start, end))
}

/** A child whose level is `text` from `start` to `end`, which must not have one yet. */
export function addLiteralChild<N extends Leveled>(
  node: LiteralChildren<N>,
  text: string,
  start: number,
  end: number,
  child: N,
): void {
  const { children } = node
  if (children instanceof LevelTable) {
    if (!children.add(text, start, end, child)) node.children = mapOf(children).set(text.slice(start, end), child)
    return
  }
  const level = text.slice(start, end)
  if (children === undefined) {
    if (node.level === undefined) {
      node.level = level
      node.child = child
      return
    }
    node.children = new Map([
      [node.level, node.child as N],
      [level, child],
    ])
    node.level = undefined
    node.child = undefined
    return
  }
  children.set(level, child)
  // Only here: what could not be a table stays a map.
  if (children.size === MAP_MAX + 1) node.children = tableOf(children) ?? children
}

function tableOf<N extends Leveled>(map: ReadonlyMap<string, N>): LevelTable<N> | undefined {
  const table = new LevelTable<N>()
  for (const [level, child] of map) if (!table.add(level, 0, level.length, child)) return undefined
  return table
}

function mapOf<N extends Leveled>(table: LevelTable<N>): Map<string, N> {
  const map = new Map<string, N>()
  table.forEach((child) => {
    map.set(child.levelText, child)
  })
  return map
}

/** The same in the place of the child that is there. */
export function replaceLiteralChild<N extends Leveled>(
  node: LiteralChildren<N>,
  text: string,
  start: number,
  end: number,
  child: N,
): void {
  const { children } = node
  if (children === undefined) node.child = child
  else if (children instanceof LevelTable) children.replace(text, start, end, child)
  else children.set(text.slice(start, end), child)
}

/** The level must have a child. */
export function removeLiteralChild<N extends Leveled>(node: LiteralChildren<N>, level: string): void {
  const { children } = node
  if (children === undefined) {
    node.level = undefined
    node.child = undefined
    return
  }
  if (children instanceof LevelTable) children.delete(level, 0, level.length)
  else children.delete(level)
  if (children.size > 1) return
  forEachLiteralChild(node, (last) => {
    node.level = last.levelText
    node.child = last
  })
  node.children = undefined
}

export function hasLiteralChild<N extends Leveled>(node: LiteralChildren<N>): boolean {
  return node.level !== undefined || node.children !== undefined
}

/** In no defined order. */
export function forEachLiteralChild<N extends Leveled>(node: LiteralChildren<N>, visit: (child: N) => void): void {
  const { children } = node
  if (children === undefined) {
    if (node.level !== undefined) visit(node.child as N)
  } else if (children instanceof LevelTable) children.forEach(visit)
  else for (const child of children.values()) visit(child)
}
