/**
 * Writes one value into `concordmq.toml`. As with the users file, the change is made in the text, so that comments and order
 * survive, and the changed text is parsed and compared with what was meant before it is written: a form of writing that is
 * not understood here is refused, never broken.
 */
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { CommandError, configurationError } from '../command-error.ts'
import { isTable, parseToml, type TomlTable } from '../files/parse-toml.ts'
import { readTextIfPresent } from '../files/read-text.ts'
import { withLock } from '../files/with-lock.ts'
import { writeAtomically } from '../files/write-atomically.ts'
import type { Path } from './keys.ts'
import type { Configuration } from './settings.ts'
import { tomlValue } from './show.ts'

/** Resolves with the path of the file, which is made if there was none. */
export async function saveSetting(configuration: Configuration, path: Path, value: unknown): Promise<string> {
  const file = configuration.file ?? join(configuration.directory, 'concordmq.toml')
  await withLock(file, () => {
    const text = readTextIfPresent(file)?.text ?? ''
    writeAtomically([{ path: file, text: withSetting(text, { path, value, file }), mode: 0o644 }])
  })
  return file
}

export interface SavedSetting {
  readonly path: string
  readonly value: unknown
  /** Named in errors. */
  readonly file: string
}

/** The text with the value in place of the old one, or in its table. */
export function withSetting(text: string, { path, value, file }: SavedSetting): string {
  const dot = path.indexOf('.')
  const table = dot === -1 ? '' : path.slice(0, dot)
  const name = path.slice(dot + 1)
  const before = parseToml(text, file, { hideSource: true })
  const meant = withValue(before, table, name, value)
  const line = `${name} = ${tomlValue(value)}`
  for (const candidate of candidates(text, { table, name, line })) {
    if (parsesTo(candidate, meant)) return candidate
  }
  throw configurationError(
    `Cannot write ${path} to ${file}: the key is written there in a form this command does not edit`,
    `Put "${line}" into ${table === '' ? 'the top of the file' : `[${table}]`} by hand. The file is unchanged`,
  )
}

function* candidates(
  text: string,
  { table, name, line }: { readonly table: string; readonly name: string; readonly line: string },
): Iterable<string> {
  const lines = text === '' ? [] : text.split('\n')
  const isKey = new RegExp(`^\\s*["']?${name}["']?\\s*=`)
  for (const [i, old] of lines.entries()) {
    if (!isKey.test(old)) continue
    const comment = /\s+#[^"']*$/.exec(old)?.[0] ?? ''
    yield lines.with(i, line + comment).join('\n')
    yield lines.with(i, line).join('\n')
  }
  const isDotted = new RegExp(`^\\s*${table}\\s*\\.\\s*${name}\\s*=`)
  for (const [i, old] of lines.entries()) {
    if (table !== '' && isDotted.test(old)) yield lines.with(i, `${table}.${line}`).join('\n')
  }
  if (table === '') {
    yield [line, ...lines].join('\n') + (lines.length === 0 ? '\n' : '')
    return
  }
  const header = lines.findIndex((one) => new RegExp(`^\\s*\\[\\s*["']?${table}["']?\\s*\\]\\s*(#.*)?$`).test(one))
  if (header !== -1) yield lines.toSpliced(header + 1, 0, line).join('\n')
  const gap = text === '' ? '' : text.endsWith('\n') ? '\n' : '\n\n'
  yield `${text}${gap}[${table}]\n${line}\n`
}

function withValue(document: TomlTable, table: string, name: string, value: unknown): TomlTable {
  if (table === '') return { ...document, [name]: value }
  const group = document[table]
  return { ...document, [table]: { ...(isTable(group) ? group : {}), [name]: value } }
}

function parsesTo(text: string, meant: TomlTable): boolean {
  try {
    // Through JSON: the parser's objects have no prototype.
    return isDeepStrictEqual(plain(parseToml(text, '', { hideSource: true })), plain(meant))
  } catch (error) {
    if (error instanceof CommandError) return false
    throw error
  }
}

function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value))
}
