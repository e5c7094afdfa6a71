/**
 * `npm run norms`: puts the manifest of statements beside the titles of all tests and prints how much of each standard is
 * held. Fails when a title cites a statement that does not exist, when a statement that binds a server has neither test nor
 * reason, and when the manifest lacks a number that its sections list.
 *
 *     npm run norms                           titles read from the sources
 *     npm run norms -- --results FILE         titles of tests that passed, from results-reporter.ts
 *     npm run norms -- --report               prints the same, and never fails
 *
 * Tests of the client package hold statements for clients only: that our client keeps a rule says nothing of our server.
 */
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { mqtt311 } from './statements/mqtt-3.1.1.ts'
import { mqtt50 } from './statements/mqtt-5.0.ts'
import type { Manifest, Statement } from './statements/statement.ts'
import { idsOf } from './statements/statement.ts'
import type { Title } from './titles.ts'
import { citedIn, titlesInResults, titlesInSource } from './titles.ts'

export const manifests: readonly Manifest[] = [mqtt311, mqtt50]

export interface Coverage {
  readonly version: string
  /** Statements that bind a server, each in one of three lists. */
  readonly tested: readonly Statement[]
  readonly reasoned: readonly Statement[]
  readonly open: readonly Statement[]
  /** Statements with a reason for having no test that have one after all. */
  readonly needlessReasons: readonly Statement[]
  /** Statements for clients only, and how many of them a test holds. */
  readonly clientTotal: number
  readonly clientTested: number
  /** Listed in a section, absent from the statements, or the other way round. */
  readonly mismatched: readonly string[]
}

export interface UnknownCitation {
  readonly id: string
  readonly title: Title
}

export function coverageOf(manifest: Manifest, titles: readonly Title[]): Coverage {
  const cited = new Set<string>()
  const citedForServer = new Set<string>()
  for (const title of titles) {
    for (const id of citedIn(title.title)) {
      cited.add(id)
      if (!/(^|\/)packages\/client\//.test(title.file)) citedForServer.add(id)
    }
  }
  const forServer = manifest.statements.filter(({ binds }) => binds !== 'client')
  const forClient = manifest.statements.filter(({ binds }) => binds === 'client')
  const untested = forServer.filter(({ id }) => !citedForServer.has(id))
  const tested = forServer.filter(({ id }) => citedForServer.has(id))
  return {
    version: manifest.version,
    tested,
    reasoned: untested.filter(({ reason }) => reason !== undefined),
    open: untested.filter(({ reason }) => reason === undefined),
    needlessReasons: tested.filter(({ reason }) => reason !== undefined),
    clientTotal: forClient.length,
    clientTested: forClient.filter(({ id }) => cited.has(id)).length,
    mismatched: mismatched(manifest),
  }
}

/** Citations of statements that no standard has. */
export function unknownCitations(known: readonly Manifest[], titles: readonly Title[]): UnknownCitation[] {
  const ids = new Set(known.flatMap(({ statements }) => statements.map(({ id }) => id)))
  return titles.flatMap((title) =>
    citedIn(title.title)
      .filter((id) => !ids.has(id))
      .map((id) => ({ id, title })),
  )
}

export function mismatched(manifest: Manifest): string[] {
  const listed = new Set(idsOf(manifest))
  const stated = new Map<string, number>()
  for (const { id } of manifest.statements) stated.set(id, (stated.get(id) ?? 0) + 1)
  return [
    ...[...listed].filter((id) => !stated.has(id)).map((id) => `${id} is listed and not stated`),
    ...[...stated.keys()].filter((id) => !listed.has(id)).map((id) => `${id} is stated and not listed`),
    ...[...stated].filter(([, count]) => count > 1).map(([id]) => `${id} is stated more than once`),
  ]
}

export function render(coverages: readonly Coverage[], unknown: readonly UnknownCitation[]): string {
  const lines: string[] = []
  for (const coverage of coverages) {
    const { version, tested, reasoned, open } = coverage
    const total = tested.length + reasoned.length + open.length
    lines.push(
      `MQTT ${version}: ${total} statements bind a server; ${tested.length} with tests, ${reasoned.length} with a reason, ${open.length} without`,
      `  for clients only: ${coverage.clientTotal}, ${coverage.clientTested} with tests`,
      ...reasoned.map(({ id, gist, reason }) => `  reason   ${id}  ${gist}\n           ${reason}`),
      ...coverage.needlessReasons.map(({ id }) => `  reason   ${id} has tests by now; its reason can go`),
      ...open.map(({ id, gist }) => `  without  ${id}  ${gist}`),
      ...coverage.mismatched.map((problem) => `  manifest ${problem}`),
    )
  }
  lines.push(...unknown.map(({ id, title }) => `unknown ${id} in ${title.file}: ${title.title}`))
  return lines.join('\n')
}

export function passes(coverages: readonly Coverage[], unknown: readonly UnknownCitation[]): boolean {
  return unknown.length === 0 && coverages.every(({ open, mismatched }) => open.length === 0 && mismatched.length === 0)
}

function titlesInRepository(root: string): Title[] {
  const files = globSync('{packages,plugins,testing}/**/*.test.ts', {
    cwd: root,
    exclude: (path) => path.includes('node_modules'),
  })
  return files.sort().flatMap((file) => titlesInSource(file, readFileSync(join(root, file), 'utf8')))
}

export function main(): void {
  const { values } = parseArgs({ options: { report: { type: 'boolean' }, results: { type: 'string' } } })
  const root = join(import.meta.dirname, '../../..')
  const titles =
    values.results === undefined ? titlesInRepository(root) : titlesInResults(readFileSync(values.results, 'utf8'))
  const coverages = manifests.map((manifest) => coverageOf(manifest, titles))
  const unknown = unknownCitations(manifests, titles)
  console.log(render(coverages, unknown))
  if (values.report !== true && !passes(coverages, unknown)) process.exitCode = 1
}

if (import.meta.main) main()
