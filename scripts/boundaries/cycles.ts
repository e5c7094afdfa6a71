/**
 * Finds circles in a graph of imports: one shortest circle for each group of files that reach each other, which is what a
 * person needs to cut it. Groups are the strongly connected components (Tarjan 1972).
 */

/** Circles as paths that end where they begin; empty if there is none. The order follows the order of `edges`. */
export function cyclesIn(edges: ReadonlyMap<string, readonly string[]>): string[][] {
  return componentsOf(edges)
    .filter((group) => group.length > 1 || edges.get(group[0] ?? '')?.includes(group[0] ?? '') === true)
    .map((group) => shortestCircle(edges, group))
}

function componentsOf(edges: ReadonlyMap<string, readonly string[]>): string[][] {
  const index = new Map<string, number>()
  const low = new Map<string, number>()
  const open: string[] = []
  const isOpen = new Set<string>()
  const groups: string[][] = []

  const visit = (node: string): void => {
    index.set(node, index.size)
    low.set(node, index.size - 1)
    open.push(node)
    isOpen.add(node)
    for (const next of edges.get(node) ?? []) {
      if (!index.has(next)) {
        visit(next)
        low.set(node, Math.min(low.get(node) ?? 0, low.get(next) ?? 0))
      } else if (isOpen.has(next)) low.set(node, Math.min(low.get(node) ?? 0, index.get(next) ?? 0))
    }
    if (low.get(node) !== index.get(node)) return
    const group = open.splice(open.indexOf(node))
    for (const member of group) isOpen.delete(member)
    groups.push(group)
  }
  for (const node of edges.keys()) if (!index.has(node)) visit(node)
  return groups
}

/** Breadth first from the first member of the group, inside the group, until it is reached again. */
function shortestCircle(edges: ReadonlyMap<string, readonly string[]>, group: readonly string[]): string[] {
  const start = group[0] ?? ''
  const cameFrom = new Map<string, string>()
  const queue = [start]
  for (const node of queue) {
    for (const next of edges.get(node) ?? []) {
      if (next === start) {
        const circle = [start]
        for (let at = node; at !== start; at = cameFrom.get(at) ?? start) circle.unshift(at)
        return [start, ...circle]
      }
      if (group.includes(next) && !cameFrom.has(next)) {
        cameFrom.set(next, node)
        queue.push(next)
      }
    }
  }
  return [start]
}
