/**
 * The children of a node in a tree of topic levels, by the text of their level. Most nodes have one child, so the first
 * stands in plain fields, and a `Map` is made only for the second; it goes when one is left again.
 */

export interface LiteralChildren<N> {
  /** Level of the only child; undefined: there is none, or there is a map. */
  level: string | undefined
  child: N | undefined
  /** Once it exists, all children are in it. */
  children: Map<string, N> | undefined
}

export function literalChild<N>(node: LiteralChildren<N>, level: string): N | undefined {
  if (node.children !== undefined) return node.children.get(level)
  return node.level === level ? node.child : undefined
}

/** The level must not have a child yet. */
export function addLiteralChild<N>(node: LiteralChildren<N>, level: string, child: N): void {
  if (node.children !== undefined) node.children.set(level, child)
  else if (node.level === undefined) {
    node.level = level
    node.child = child
  } else {
    node.children = new Map([
      [node.level, node.child as N],
      [level, child],
    ])
    node.level = undefined
    node.child = undefined
  }
}

/** The level must have a child. */
export function replaceLiteralChild<N>(node: LiteralChildren<N>, level: string, child: N): void {
  if (node.children !== undefined) node.children.set(level, child)
  else node.child = child
}

/** The level must have a child. */
export function removeLiteralChild<N>(node: LiteralChildren<N>, level: string): void {
  if (node.children === undefined) {
    node.level = undefined
    node.child = undefined
    return
  }
  node.children.delete(level)
  if (node.children.size > 1) return
  for (const [lastLevel, lastChild] of node.children) {
    node.level = lastLevel
    node.child = lastChild
  }
  node.children = undefined
}

export function hasLiteralChild(node: LiteralChildren<unknown>): boolean {
  return node.level !== undefined || node.children !== undefined
}
