/**
 * The rules of `boundaries.mjs`, applied to the sources.
 *
 * Each violation names the rule, the place and the reason, because the answer to a wrong import is seldom to delete it: the
 * one who needs a service owns its interface, and `broker.ts` connects the two. Tests may reach across the levels of their
 * own package and into `testing/`, as measurements may; nothing else is loosened for them.
 */
import { brokerLevels, emptyNames, impureMembers, impureNames, packages } from '../../boundaries.mjs'
import { cyclesIn } from './cycles.ts'
import { resolveImport, type SourceFile, type Target, type Workspace } from './workspace.ts'

export interface Violation {
  readonly rule: RuleName
  /** `packages/broker/src/routing/tree.ts:3`. */
  readonly place: string
  readonly reason: string
}

export const ruleNames = [
  'known-package',
  'package-order',
  'only-by-name',
  'declared',
  'pure-imports',
  'pure-names',
  'levels',
  'index-at-root',
  'no-cycle',
  'no-test-import',
  'parses',
  'resolves',
  'speaking-name',
] as const
export type RuleName = (typeof ruleNames)[number]

/** All violations, in the order of the files. */
export function checkWorkspace(workspace: Workspace): Violation[] {
  const found: Violation[] = []
  const edges = new Map<string, string[]>()
  found.push(...checkTable(workspace))
  for (const file of workspace.files) {
    const report = (rule: RuleName, line: number, reason: string): void => {
      found.push({ rule, place: `${file.path}:${line}`, reason })
    }
    if (file.problem !== undefined) report('parses', file.problem.line, file.problem.name)
    checkName(file, report)
    checkIndex(file, report)
    if (ruleOf(file)?.pure === true && !file.isTest) checkPurity(file, report)
    const leadsTo: string[] = []
    for (const { specifier, line } of file.imports) {
      const target = resolveImport(workspace, file, specifier)
      checkImport(workspace, file, target, (rule, reason) => report(rule, line, reason))
      if (target.kind === 'file') leadsTo.push(target.path)
      if (target.kind === 'workspace') leadsTo.push(`${target.name}/src/index.ts`)
    }
    edges.set(file.path, leadsTo)
  }
  for (const cycle of cyclesIn(edges)) {
    found.push({ rule: 'no-cycle', place: `${cycle[0] ?? ''}:1`, reason: `Imports in a circle: ${cycle.join(' → ')}` })
  }
  return found
}

type Report = (rule: RuleName, line: number, reason: string) => void

function ruleOf(file: SourceFile): (typeof packages)[string] | undefined {
  return file.home.startsWith('packages/') ? packages[file.home.slice('packages/'.length)] : undefined
}

/** The table and the folders must name the same packages, or the table decides nothing. */
function checkTable(workspace: Workspace): Violation[] {
  const folders = new Set([...workspace.manifests.keys()].filter((folder) => folder.startsWith('packages/')))
  const known = new Set(Object.keys(packages).map((name) => `packages/${name}`))
  return [...folders.symmetricDifference(known)].map((folder) => ({
    rule: 'known-package',
    place: `${folder}:1`,
    reason: known.has(folder) ? 'In boundaries.mjs, but there is no such package' : 'Not in boundaries.mjs',
  }))
}

function checkImport(
  workspace: Workspace,
  file: SourceFile,
  target: Target,
  report: (rule: RuleName, reason: string) => void,
): void {
  const rule = ruleOf(file)
  const pure = rule?.pure === true && !file.isTest
  switch (target.kind) {
    case 'missing':
      return report('resolves', `There is no ${target.path}`)
    case 'node':
      if (pure) report('pure-imports', `${file.home} is pure and imports nothing of Node, not even ${target.name}`)
      return
    case 'outside':
      if (pure) return report('pure-imports', `${file.home} is pure and imports nothing from outside: ${target.name}`)
      return checkDeclared(workspace, file, target.name, report)
    case 'workspace':
      if (target.subpath !== '')
        report('only-by-name', `Import ${target.name} by its name alone, not ${target.subpath}`)
      if (target.name === file.home) report('only-by-name', 'A package imports its own files, not itself')
      else if (rule !== undefined && !rule.imports.includes(target.name.slice('packages/'.length))) {
        report(
          'package-order',
          `${file.home} may import ${rule.imports.join(', ') || 'no package'}, not ${target.name}`,
        )
      }
      return
    case 'file':
      return checkFile(file, target.path, report)
  }
}

function checkFile(file: SourceFile, path: string, report: (rule: RuleName, reason: string) => void): void {
  if (!path.startsWith(`${file.home}/`)) {
    // Scripts make documents of tables that no package exports; tests share catalogues, and these look inside packages. So do
    // micro benchmarks: they measure parts.
    const mayLookInside =
      file.home === 'scripts' ||
      file.home === 'testing' ||
      file.path.startsWith('bench/micro/') ||
      ((file.isTest || file.home === 'bench') && path.startsWith('testing/'))
    if (!mayLookInside) report('only-by-name', `Leaves ${file.home}: import a package by its name, not ${path}`)
    return
  }
  if (/\.(test|testkit)\.ts$/u.test(path) && !file.isTest) report('no-test-import', `${path} is a test`)
  if (path.endsWith('/src/index.ts') && file.path.includes('/src/') && !file.isTest) {
    report('index-at-root', 'index.ts is for those outside: import the file that defines the thing')
  }
  if (file.home === 'packages/broker' && !file.isTest) checkLevels(file.path, path, report)
}

function checkLevels(from: string, to: string, report: (rule: RuleName, reason: string) => void): void {
  const own = levelOf(from)
  const other = levelOf(to)
  if (own === undefined) return report('levels', `${partOf(from)} has no level in boundaries.mjs`)
  if (other === undefined || partOf(from) === partOf(to)) return
  if (other === own) report('levels', `${partOf(from)} and ${partOf(to)} are siblings on one level`)
  if (other > own) report('levels', `${partOf(from)} is below ${partOf(to)}`)
}

/** First part below `packages/broker/src`: a folder or a file at the root. */
function partOf(path: string): string {
  return path.split('/')[3] ?? ''
}

function levelOf(path: string): number | undefined {
  const level = brokerLevels.findIndex((row) => row.includes(partOf(path)))
  return level < 0 ? undefined : level
}

function checkDeclared(
  workspace: Workspace,
  file: SourceFile,
  name: string,
  report: (rule: RuleName, reason: string) => void,
): void {
  const root = workspace.manifests.get('')?.dependencies
  const own = [...workspace.manifests].find(([folder]) => folder !== '' && file.path.startsWith(`${folder}/`))?.[1]
    .dependencies
  const inPackage = file.home.startsWith('packages/') || file.home.startsWith('plugins/')
  const rootCounts = !inPackage || file.isTest
  if (own?.has(name) === true || (rootCounts && root?.has(name) === true)) return
  report('declared', `${name} is not among the dependencies of ${file.home}`)
}

function checkPurity(file: SourceFile, report: Report): void {
  const members = impureMembers.map((name) => (name.includes('.') ? name : `.${name}`))
  for (const { name, line } of file.mentions) {
    const isMember = members.includes(name) || members.includes(name.slice(Math.max(0, name.indexOf('.'))))
    if (impureNames.includes(name) || isMember)
      report('pure-names', line, `${file.home} is pure and must not mention ${name}`)
  }
  for (const line of file.asynchronous) report('pure-names', line, `${file.home} is pure and never waits`)
}

function checkIndex(file: SourceFile, report: Report): void {
  if (!file.home.startsWith('packages/')) return
  if (!file.path.endsWith('/index.ts')) return
  if (file.path !== `${file.home}/src/index.ts`)
    report('index-at-root', 1, 'index.ts exists only at the root of a package')
  for (const line of file.exportsAll) report('index-at-root', line, 'index.ts lists its exports by name')
}

function checkName(file: SourceFile, report: Report): void {
  const parts = file.path.split('/').map((part) => part.replace(/\..*$/u, ''))
  const empty = parts.find((part) => emptyNames.includes(part))
  if (empty !== undefined) report('speaking-name', 1, `"${empty}" says nothing about what is in it`)
}
