/**
 * Strongly connected components of a graph given by its next edges (Tarjan 1972), without recursion: an adversary may arrange
 * cycles through thousands of units. Components come with those their edges lead to first.
 */

export interface Graph {
  readonly size: number
  /** Whether a node takes part. */
  has(node: number): boolean
  /**
   * The next edge of `node` at or behind `cursor`, as target, and where to go on in `cursorOut`; -1 when there is none.
   */
  edge(node: number, cursor: number): number
  /** The cursor behind the edge that was returned last. */
  readonly cursorOut: number
}

export function components(graph: Graph): number[][] {
  const found: number[][] = []
  const index = new Int32Array(graph.size).fill(-1)
  const low = new Int32Array(graph.size)
  const cursor = new Int32Array(graph.size)
  const onStack = new Uint8Array(graph.size)
  const stack: number[] = []
  const path: number[] = []
  let counter = 0

  const enter = (node: number): void => {
    index[node] = low[node] = counter++
    stack.push(node)
    onStack[node] = 1
    path.push(node)
  }
  const leave = (node: number): void => {
    path.pop()
    const parent = path.at(-1)
    if (parent !== undefined) low[parent] = Math.min(low[parent] as number, low[node] as number)
    if (low[node] !== index[node]) return
    const first = stack.lastIndexOf(node)
    const members = stack.slice(first)
    stack.length = first
    for (const member of members) onStack[member] = 0
    found.push(members)
  }

  for (let root = 0; root < graph.size; root++) {
    if (index[root] !== -1 || !graph.has(root)) continue
    enter(root)
    while (path.length > 0) {
      const node = path.at(-1) as number
      const target = graph.edge(node, cursor[node] as number)
      if (target === -1) {
        leave(node)
        continue
      }
      cursor[node] = graph.cursorOut
      if (index[target] === -1) enter(target)
      else if (onStack[target] === 1) low[node] = Math.min(low[node] as number, index[target] as number)
    }
  }
  return found
}
