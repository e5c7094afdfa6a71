/**
 * Reads one source file for the boundary check: what it imports and what it mentions.
 *
 * The parser is oxc's, because dependency-cruiser reads TypeScript only through the API of TypeScript 6 or older
 * (docs/decisions/boundaries.md). Type-only imports count like others: a cycle of types is a cycle of ideas.
 */
import { parseSync } from 'oxc-parser'

export interface Import {
  /** As written: `./topic.ts`, `node:net`, `@concordmq/protocol`. */
  readonly specifier: string
  readonly line: number
}

export interface Mention {
  /** `Date`, or `Math.random` for a member. */
  readonly name: string
  readonly line: number
}

export interface Source {
  readonly imports: readonly Import[]
  /** Names used as values or types, and members read by name. Not property keys. */
  readonly mentions: readonly Mention[]
  /** Lines that hold `export * from`. */
  readonly exportsAll: readonly number[]
  readonly asynchronous: readonly number[]
  /** Why the file could not be parsed; then the rest is empty. */
  readonly problem?: Mention
}

/** A node of the syntax tree, as far as the walk needs it. */
interface Node {
  readonly type: string
  readonly start: number
  readonly [key: string]: unknown
}

/** Reads the text of a file; the path tells the parser whether it is TypeScript. */
export function parseSource(path: string, text: string): Source {
  const { program, errors } = parseSync(path, text)
  const imports: Import[] = []
  const mentions: Mention[] = []
  const exportsAll: number[] = []
  const asynchronous: number[] = []
  const line = lineFinder(text)
  const [error] = errors
  if (error !== undefined) {
    const problem = { name: error.message, line: line(error.labels[0]?.start ?? 0) }
    return { imports, mentions, exportsAll, asynchronous, problem }
  }

  walk(program as unknown as Node, (node, parent, key) => {
    const specifier = importedFrom(node)
    if (specifier !== undefined) imports.push({ specifier, line: line(node.start) })
    if (node.type === 'ExportAllDeclaration') exportsAll.push(line(node.start))
    if (node['async'] === true || node.type === 'AwaitExpression') asynchronous.push(line(node.start))
    const name = mentioned(node, parent, key)
    if (name !== undefined) mentions.push({ name, line: line(node.start) })
  })
  return { imports, mentions, exportsAll, asynchronous }
}

/** The module a node imports or re-exports from; undefined for other nodes. */
function importedFrom(node: Node): string | undefined {
  switch (node.type) {
    case 'ImportDeclaration':
    case 'ExportNamedDeclaration':
    case 'ExportAllDeclaration':
    case 'ImportExpression':
    case 'TSImportType':
      return stringOf(node['source'])
    case 'TSExternalModuleReference':
      return stringOf(node['expression'])
    default:
      return undefined
  }
}

/** The name a node mentions: an identifier that is no property key, or a member, as `Math.random` or its last part. */
function mentioned(node: Node, parent: Node | undefined, key: string): string | undefined {
  if (node.type === 'MemberExpression' && node['computed'] === false) {
    const object = node['object'] as Node
    const property = String((node['property'] as Node)['name'])
    return object.type === 'Identifier' ? `${String(object['name'])}.${property}` : `.${property}`
  }
  if (node.type !== 'Identifier' || parent === undefined) return undefined
  if (key === 'property' && parent.type === 'MemberExpression' && parent['computed'] === false) return undefined
  if (key === 'key' && parent['computed'] === false) return undefined
  return String(node['name'])
}

function stringOf(node: unknown): string | undefined {
  if (typeof node !== 'object' || node === null) return undefined
  const { value } = node as { value?: unknown }
  return typeof value === 'string' ? value : undefined
}

function walk(
  node: Node,
  visit: (node: Node, parent: Node | undefined, key: string) => void,
  parent?: Node,
  key = '',
): void {
  visit(node, parent, key)
  for (const [childKey, value] of Object.entries(node)) {
    if (Array.isArray(value)) {
      for (const item of value) if (isNode(item)) walk(item, visit, node, childKey)
    } else if (isNode(value)) walk(value, visit, node, childKey)
  }
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'type' in value && 'start' in value
}

/** Turns offsets into line numbers, counted from 1. */
function lineFinder(text: string): (offset: number) => number {
  const starts = [0]
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1)
  return (offset) => {
    let low = 0
    let high = starts.length
    while (high - low > 1) {
      const middle = (low + high) >> 1
      if ((starts[middle] ?? 0) <= offset) low = middle
      else high = middle
    }
    return low + 1
  }
}
