/**
 * The workspace as the boundary check and the graph see it: every source file, where it stands, and what it leads to.
 */
import { existsSync, globSync, readFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { dirname, join, normalize } from 'node:path'
import { parseSource, type Source } from './source.ts'

/** Where an import leads. */
export type Target =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'missing'; readonly path: string }
  | { readonly kind: 'workspace'; readonly name: string; readonly subpath: string }
  | { readonly kind: 'node'; readonly name: string }
  | { readonly kind: 'outside'; readonly name: string }

export interface SourceFile extends Source {
  /** Relative to the root, with `/`. */
  readonly path: string
  /** `packages/broker`, `testing/testkit`, `scripts`: the folder that a relative import must not leave. */
  readonly home: string
  readonly isTest: boolean
}

export interface Manifest {
  readonly name: string
  readonly dependencies: ReadonlySet<string>
}

export interface Workspace {
  readonly root: string
  readonly files: readonly SourceFile[]
  /** Folder of a package, as `packages/broker`, to its manifest; the root's is under ``. */
  readonly manifests: ReadonlyMap<string, Manifest>
}

/**
 * Reads the sources of all packages, tests, benchmarks and scripts below `root`. Given the same `known` again, parses only
 * what has changed; the test that plants violations reads the workspace dozens of times.
 */
export function readWorkspace(root: string, known = new Map<string, Source>()): Workspace {
  const manifests = new Map<string, Manifest>()
  for (const path of globSync(['package.json', '{packages,plugins,testing}/*/package.json'], { cwd: root }).sort()) {
    manifests.set(path === 'package.json' ? '' : dirname(path), readManifest(join(root, path)))
  }
  const paths = globSync(
    ['{packages,plugins}/*/{src,bin}/**/*.{ts,js,mjs}', '{testing,bench,scripts,examples}/**/*.{ts,js,mjs}'],
    { cwd: root, exclude: (path) => /(^|\/)(node_modules|dist|fixtures)(\/|$)/u.test(path) },
  ).sort()
  return {
    root,
    manifests,
    files: paths.map((path) => ({ path, ...placeOf(path), ...readSource(join(root, path), known) })),
  }
}

/** Says where an import of a file leads. */
export function resolveImport(workspace: Workspace, from: SourceFile, specifier: string): Target {
  if (specifier.startsWith('.')) {
    const path = normalize(join(dirname(from.path), specifier))
    return existsSync(join(workspace.root, path)) ? { kind: 'file', path } : { kind: 'missing', path }
  }
  if (specifier.startsWith('node:')) return { kind: 'node', name: specifier.slice(5) }
  if (builtinModules.includes(specifier)) return { kind: 'node', name: specifier }
  const parts = specifier.split('/')
  const name = parts.slice(0, specifier.startsWith('@') ? 2 : 1).join('/')
  for (const [folder, manifest] of workspace.manifests) {
    if (manifest.name === name && folder !== '') {
      return { kind: 'workspace', name: folder, subpath: specifier.slice(name.length) }
    }
  }
  return { kind: 'outside', name }
}

function readSource(path: string, known: Map<string, Source>): Source {
  const text = readFileSync(path, 'utf8')
  const key = `${path}\n${text}`
  let source = known.get(key)
  if (source === undefined) {
    source = parseSource(path, text)
    known.set(key, source)
  }
  return source
}

function readManifest(path: string): Manifest {
  const json = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>
  const fields = ['dependencies', 'optionalDependencies', 'peerDependencies', 'devDependencies']
  const names = fields.flatMap((field) => Object.keys((json[field] as object | undefined) ?? {}))
  return { name: String(json['name']), dependencies: new Set(names) }
}

function placeOf(path: string): { home: string; isTest: boolean } {
  const [first = '', second = ''] = path.split('/')
  const home = first === 'packages' || first === 'plugins' ? `${first}/${second}` : first
  return { home, isTest: /\.(test|testkit)\.ts$/u.test(path) || home === 'testing' }
}
