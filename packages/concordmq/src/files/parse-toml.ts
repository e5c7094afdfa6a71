/** TOML with errors that name file, line and column, and show the place. */
import { parse, TomlError } from 'smol-toml'
import { configurationError } from '../command-error.ts'
import { mayHoldSecret } from './secrets.ts'

export type TomlTable = { readonly [key: string]: unknown }

/** Longest line shown with an error, characters. */
const lineLengthMax = 200

/** `hideSource` keeps the offending line out of the message, for files with secrets; what looks like one is never shown. */
export function parseToml(text: string, path: string, { hideSource }: { readonly hideSource: boolean }): TomlTable {
  try {
    return parse(text)
  } catch (error) {
    if (!(error instanceof TomlError)) throw error
    const reason = (error.message.split('\n')[0] ?? '').replace(/^Invalid TOML document: /, '')
    const source = error.codeblock.trimEnd()
    const hidden = hideSource || mayHoldSecret(source) || source.split('\n').some((line) => line.length > lineLengthMax)
    const place = hidden ? '' : `\n${source}`
    throw configurationError(`${path}:${error.line}:${error.column}: not valid TOML: ${reason}${place}`)
  }
}

/** Whether a TOML value is a table (not an array, not a date). */
export function isTable(value: unknown): value is TomlTable {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date)
}

/** A key as TOML writes it: bare where possible, else quoted. */
export function tomlKey(name: string): string {
  return /^[A-Za-z0-9_-]+$/.test(name) ? name : tomlString(name)
}

/** A basic string. JSON escapes are a subset of TOML's once DEL is escaped too. */
export function tomlString(text: string): string {
  return JSON.stringify(text).replaceAll('\u007f', '\\u007f')
}
