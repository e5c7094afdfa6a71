/**
 * The dependency graph of ARCHITECTURE.md, drawn from the imports as they are, tests left out. Packages, and inside the
 * broker its folders, with the levels of `boundaries.mjs` from low to high; a line to a neighbour that can be reached by way
 * of others is left out, or the picture would be a net.
 */
import { brokerLevels } from '../../boundaries.mjs'
import { readWorkspace, resolveImport, type Workspace } from '../boundaries/workspace.ts'

type Graph = Map<string, Set<string>>

/** Two Mermaid diagrams with a line of text before each. */
export function drawGraph(root: string): string {
  const workspace = readWorkspace(root)
  const packageGraph = edgesOf(workspace, (path) => (path.startsWith('packages/') ? path.split('/')[1] : undefined))
  const brokerGraph = edgesOf(workspace, (path) =>
    path.startsWith('packages/broker/src/') ? path.split('/')[3] : undefined,
  )
  return [
    'Packages; an arrow means "imports":',
    '',
    draw(packageGraph, []),
    '',
    'Inside `packages/broker/src`, every level on those below it:',
    '',
    draw(brokerGraph, brokerLevels),
  ].join('\n')
}

function edgesOf(workspace: Workspace, groupOf: (path: string) => string | undefined): Graph {
  const graph: Graph = new Map()
  for (const file of workspace.files) {
    const from = groupOf(file.path)
    if (from === undefined || file.isTest) continue
    const targets = graph.get(from) ?? new Set()
    graph.set(from, targets)
    for (const { specifier } of file.imports) {
      const target = resolveImport(workspace, file, specifier)
      const path = target.kind === 'file' ? target.path : target.kind === 'workspace' ? `${target.name}/` : ''
      const to = groupOf(path)
      if (to !== undefined && to !== from && to !== '') targets.add(to)
    }
  }
  return graph
}

function draw(graph: Graph, levels: readonly (readonly string[])[]): string {
  const lines = ['```mermaid', 'flowchart BT']
  const rows = levels.map((row) => row.filter((name) => graph.has(name))).filter((row) => row.length > 0)
  for (const [index, row] of rows.entries()) {
    lines.push(`  subgraph level${index} [" "]`, ...row.map((name) => `    ${idOf(name)}["${name}"]`), '  end')
  }
  for (const from of [...graph.keys()].sort()) {
    const direct = [...(graph.get(from) ?? [])].sort()
    if (levels.length === 0) lines.push(`  ${idOf(from)}["${from}"]`)
    for (const to of direct) {
      const byWayOfOthers = direct.some((other) => other !== to && reaches(graph, other, to))
      if (!byWayOfOthers) lines.push(`  ${idOf(from)} --> ${idOf(to)}`)
    }
  }
  return [...lines, '```'].join('\n')
}

/** Breadth first; the graph has no circles where the boundaries hold, and ends here even if it has. */
function reaches(graph: Graph, from: string, to: string): boolean {
  const queue = [from]
  for (const node of queue) {
    if (node === to) return true
    for (const next of graph.get(node) ?? []) if (!queue.includes(next)) queue.push(next)
  }
  return false
}

function idOf(name: string): string {
  return name.replaceAll(/\W/gu, '_')
}
