/**
 * On which line of a permissions file each rule stands, so that `acl test` and errors can point at it: the TOML parser does
 * not say. The text is known to be valid TOML; this only looks for the keys `filter`, outside of strings and comments, and
 * notes below which table they stand. What is written so that the two cannot be brought together has no line, never a wrong
 * one: the reader then names the place in the tables instead.
 */
import { isTable, parseToml } from '../files/parse-toml.ts'

/** Strings of all four kinds, comments, and what structure is made of. Order matters: long quotes first. */
const token =
  /"""(?:[^\\]|\\[\s\S])*?"{3,5}|'''[\s\S]*?'{3,5}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|#[^\n]*|[[\]{},=\n]|[^\s[\]{},=#"']+/g

interface Found {
  readonly path: readonly string[]
  readonly line: number
}

/** Lines, from 1, of the rules of one table (`permissions`, `alice`), in order; undefined where they cannot be told. */
export function ruleLines(
  text: string,
): (path: readonly [string, string], count: number) => readonly number[] | undefined {
  const tables = new Map<string, number[]>()
  for (const { path, line } of filterKeys(text)) {
    const table = JSON.stringify(path.slice(0, 2))
    const lines = tables.get(table)
    if (lines === undefined) tables.set(table, [line])
    else lines.push(line)
  }
  return (path, count) => {
    const lines = tables.get(JSON.stringify(path))
    return lines?.length === count ? lines : undefined
  }
}

function filterKeys(text: string): Found[] {
  const found: Found[] = []
  let line = 1
  let header: readonly string[] = []
  let key: readonly string[] = []
  /** Text of the key that is being read, at the start of a line. */
  let head = ''
  /** Brackets and braces that are open. */
  let depth = 0
  /** Since the last line break, comma or opening: what a key may be made of. */
  let last = ''
  let state: 'start' | 'header' | 'value' = 'start'
  for (const [part] of text.matchAll(token)) {
    if (part === '\n') {
      if (depth === 0) {
        if (state === 'header') header = pathOf(`${head}\n`)
        state = 'start'
        head = ''
      }
      last = ''
    } else if (part.startsWith('#')) {
      // Says nothing.
    } else if (state === 'header') head += part
    else if (state === 'start' && part === '[') {
      state = 'header'
      head = part
    } else if (part === '=') {
      if (depth === 0 && state === 'start') {
        key = pathOf(`${head} = 1\n`)
        state = 'value'
      }
      if (unquoted(last) === 'filter') found.push({ path: [...header, ...(depth === 0 ? [] : key)], line })
      last = ''
    } else if (state === 'start') {
      head += part
      last = part
    } else if (part === '[' || part === '{') {
      depth++
      last = ''
    } else if (part === ']' || part === '}') depth--
    else if (part === ',') last = ''
    else last = part
    line += countBreaks(part)
  }
  return found
}

/** The names of the one table or key in a line of TOML; empty if there is not exactly one. */
function pathOf(toml: string): string[] {
  const path: string[] = []
  try {
    let table: unknown = parseToml(toml, '', { hideSource: true })
    for (;;) {
      if (Array.isArray(table)) table = table[0]
      if (!isTable(table)) return path
      const names = Object.keys(table)
      if (names.length !== 1) return path
      path.push(names[0] as string)
      table = table[names[0] as string]
    }
  } catch {
    return []
  }
}

function unquoted(text: string): string {
  return text.replace(/^(["'])(.*)\1$/, '$2')
}

function countBreaks(text: string): number {
  let count = 0
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) count++
  return count
}
