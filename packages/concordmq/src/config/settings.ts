/**
 * From file, environment and flags to one checked set of settings. Each layer is a list of (path, raw value, where it was
 * written); later layers win, every value remembers its origin, and all problems of all layers are collected before one
 * error reports them.
 *
 *     defaults ◀ concordmq.toml ◀ environment ◀ flags        `[auth]` of users.toml: either turns it on
 */
import { dirname, join, resolve } from 'node:path'
import { configurationErrors } from '../command-error.ts'
import { isTable, parseToml, type TomlTable } from '../files/parse-toml.ts'
import { readText, readTextIfPresent } from '../files/read-text.ts'
import { looksLikeKey } from '../files/secrets.ts'
import type { Assignment } from './assignment.ts'
import { readEnvironment } from './environment.ts'
import type { Key } from './key-types.ts'
import { allPaths, isPath, keys, type Path, type Settings } from './keys.ts'
import { didYouMean } from './suggest.ts'

export interface Configuration {
  readonly settings: Settings
  readonly origins: ReadonlyMap<Path, string>
  readonly directory: string
  /** The configuration file that was read, if there is one. */
  readonly file: string | undefined
  /** Not wrong, but worth a line at start. */
  readonly notices: readonly string[]
}

export interface Sources {
  /** The configuration directory, as given or by default. */
  readonly directory: string
  /** `--config FILE`; then it must exist. */
  readonly file?: string | undefined
  readonly flags: readonly Assignment[]
  readonly environment: Readonly<Record<string, string | undefined>>
}

/** Reads and checks everything; throws one configuration error that lists all problems. */
export function loadConfiguration({ directory, file, flags, environment }: Sources): Configuration {
  const problems: string[] = []
  const notices: string[] = []
  const path = file ?? join(directory, 'concordmq.toml')
  const read =
    file === undefined ? readTextIfPresent(path) : readText(path, 'Give the path of an existing file to --config')
  const fromFile =
    read === undefined ? [] : readFileLayer(parseToml(read.text, path, { hideSource: false }), path, problems)
  const fromEnvironment = readEnvironment(environment, { problems, notices })
  const layers = [...fromFile, ...fromEnvironment, ...flags]
  checkSecretKeys([...fromEnvironment, ...flags], problems)

  const values = new Map<Path, unknown>(allPaths.map((name) => [name, keys[name].fallback]))
  const origins = new Map<Path, string>()
  for (const assignment of layers) {
    const checked = check(assignment)
    if ('problem' in checked) problems.push(checked.problem)
    else {
      values.set(assignment.path, checked.value)
      origins.set(assignment.path, assignment.origin)
    }
  }
  overrideOtherSecretKey(layers, values, origins)
  const settings = Object.fromEntries(values) as Settings
  checkTogether(settings, origins, { problems, notices })
  if (problems.length > 0) throw configurationErrors('Cannot use the configuration', problems)
  return { settings, origins, directory, file: read === undefined ? undefined : path, notices }
}

/** The same configuration with one value replaced, checked with all others; throws like `loadConfiguration`. */
export function withAssignment(configuration: Configuration, assignment: Assignment): Configuration {
  const problems: string[] = []
  const { path, origin } = assignment
  const checked = check(assignment)
  if ('problem' in checked) throw configurationErrors('Cannot use the value', [checked.problem])
  const settings = { ...configuration.settings, [path]: checked.value } as Settings
  const origins = new Map(configuration.origins).set(path, origin)
  checkTogether(settings, origins, { problems, notices: [] })
  if (problems.length > 0) throw configurationErrors('Cannot use the value', problems)
  return { ...configuration, settings, origins }
}

/** Turns a TOML document into assignments; unknown keys become problems with a suggestion. */
function readFileLayer(document: TomlTable, file: string, problems: string[]): Assignment[] {
  const found: Assignment[] = []
  const base = dirname(resolve(file))
  const visit = (table: TomlTable, prefix: string) => {
    for (const [name, value] of Object.entries(table)) {
      const path = `${prefix}${name}`
      const isGroup = allPaths.some((known) => known.startsWith(`${path}.`))
      if (isPath(path)) addFileValue({ path, value, origin: file, base }, found, problems)
      else if (isGroup && isTable(value)) visit(value, `${path}.`)
      else if (isGroup) problems.push(`${path} in ${file}: must be a table, written as [${path}]`)
      else problems.push(`${path} in ${file}: no such key${didYouMean(path, namesLike(path))}`)
    }
  }
  visit(document, '')
  return found
}

function addFileValue(assignment: Assignment, found: Assignment[], problems: string[]): void {
  const key: Key<unknown> = keys[assignment.path]
  if (key.secret) {
    problems.push(
      `${assignment.path} in ${assignment.origin}: a secret does not belong in this file; use secret-key-file`,
    )
  } else found.push(assignment)
}

/** Known names for a suggestion: full paths, groups, and for a path without group the last parts. */
function namesLike(path: string): string[] {
  const groups = new Set(
    allPaths.filter((known) => known.includes('.')).map((known) => known.slice(0, known.indexOf('.'))),
  )
  const moved = path.includes('.') ? [] : allPaths.filter((known) => known.endsWith(`.${path}`))
  // A key written outside its table is suggested with the table, whatever the edit distance.
  return moved.length > 0 ? [path, ...moved].filter((name) => name !== path || isPath(name)) : [...allPaths, ...groups]
}

function check({ path, value, origin, base }: Assignment): { readonly value: unknown } | { readonly problem: string } {
  const key: Key<unknown> = keys[path]
  const result = key.schema.safeParse(value)
  if (!result.success) {
    const shown = key.secret || looksLikeKey(value) ? '' : ` = ${JSON.stringify(value) ?? String(value)}`
    // What the rule in words leaves open: which part of an address is wrong, for example.
    const reasons = new Set(result.error.issues.filter(({ code }) => code === 'custom').map(({ message }) => message))
    const why = reasons.size === 0 ? '' : `: ${[...reasons].join('; ')}`
    return { problem: `${path}${shown} in ${origin}: must be ${key.rule}${why}` }
  }
  if (key.form === 'path' || (key.form === 'pathOrOff' && result.data !== 'off'))
    return { value: resolve(base, String(result.data)) }
  if (key.form === 'paths') return { value: (result.data as readonly string[]).map((one) => resolve(base, one)) }
  return { value: result.data }
}

/** Row F14: at most one key among flags and environment. */
function checkSecretKeys(assignments: readonly Assignment[], problems: string[]): void {
  const given = assignments.filter(({ path }) => path === 'secret-key' || path === 'secret-key-file')
  if (new Set(given.map(({ path }) => path)).size < 2) return
  const origins = [...new Set(given.map(({ origin }) => origin))].join(' and ')
  problems.push(`secret-key and secret-key-file are both given (${origins}): give at most one`)
}

/** A key given by flag or environment replaces the other form in the file. */
function overrideOtherSecretKey(
  layers: readonly Assignment[],
  values: Map<Path, unknown>,
  origins: Map<Path, string>,
): void {
  const last = layers.findLast(({ path }) => path === 'secret-key' || path === 'secret-key-file')
  if (last?.path !== 'secret-key') return
  values.set('secret-key-file', undefined)
  origins.delete('secret-key-file')
}

interface Findings {
  readonly problems: string[]
  readonly notices: string[]
}

/** Rules that span several keys. */
function checkTogether(settings: Settings, origins: ReadonlyMap<Path, string>, { problems, notices }: Findings): void {
  if (settings['tls.require-client-cert'] && settings['tls.client-ca'] === undefined) {
    problems.push('tls.require-client-cert without tls.client-ca: no client could connect; give --tls-client-ca FILE')
  }
  for (const kind of ['mqtts', 'websockets', 'wss'] as const) {
    const origin = origins.get(`${kind}.addr`)
    if (origin !== undefined && !settings[`${kind}.enabled`]) {
      notices.push(`${kind}.addr from ${origin} has no effect: ${kind} is off; add --${kind}`)
    }
  }
  const tlsOn = settings['mqtts.enabled'] || settings['wss.enabled']
  const unusedTls = (['tls.cert-file', 'tls.key-file', 'tls.client-ca'] as const).find((path) => origins.has(path))
  if (!tlsOn && unusedTls !== undefined) {
    notices.push(
      `${unusedTls} from ${origins.get(unusedTls)} has no effect: no TLS listener is on; add --mqtts or --wss`,
    )
  }
  if (origins.has('data-dir') && settings.durability === 'memory') {
    notices.push(`data-dir from ${origins.get('data-dir')} has no effect: durability is memory`)
  }
  if (listenersOf(settings) === 0) {
    problems.push(
      'no listener is on: leave mqtt.addr at its default, or switch on mqtts, websockets, wss or unix.paths',
    )
  }
}

function listenersOf(settings: Settings): number {
  return (
    settings['mqtt.addr'].length +
    settings['unix.paths'].length +
    (['mqtts', 'websockets', 'wss'] as const).reduce(
      (sum, kind) => sum + (settings[`${kind}.enabled`] ? settings[`${kind}.addr`].length : 0),
      0,
    )
  )
}
