/**
 * Finds the titles of tests, and in them the statements that the tests hold, either in sources or in the results of a run.
 *
 * Reading sources answers at once and needs no run, so it is the default; it cannot know a title that is put together from a
 * table, nor whether a condition skips a test. `results-reporter.ts` writes what a run did; of that only passed tests count.
 * The reader of sources is a small lexer: the compiler has no interface that this could use, and a pattern over the text
 * would count commented-out tests.
 */

/** One test or suite, with its title as far as it is literal. */
export interface Title {
  readonly file: string
  readonly title: string
}

const statementId = /\[(MQTT3?-\d+(?:\.\d+)+-\d+)\]/g

/** The ids cited in a title, `[MQTT-3.1.0-2]` or `[MQTT3-3.1.0-2]`. */
export function citedIn(title: string): string[] {
  return [...title.matchAll(statementId)].map((match) => match[1] ?? '')
}

/** Titles of the tests in one source file, without those that are skipped or still to do. */
export function titlesInSource(file: string, source: string): Title[] {
  const titles: Title[] = []
  collect(tokensOf(source), file, titles)
  return titles
}

/** Titles of the tests that passed, from the lines that `results-reporter.ts` wrote. */
export function titlesInResults(lines: string): Title[] {
  const titles: Title[] = []
  for (const line of lines.split('\n')) {
    if (line.trim() === '') continue
    const result: unknown = JSON.parse(line)
    if (!isResult(result)) throw new Error(`Not a line of test results: ${line}`)
    if (result.status === 'passed') titles.push({ file: result.file, title: result.title })
  }
  return titles
}

function isResult(value: unknown): value is { file: string; title: string; status: string } {
  return (
    typeof value === 'object' &&
    value !== null &&
    ['file', 'title', 'status'].every((key) => typeof (value as Record<string, unknown>)[key] === 'string')
  )
}

interface Token {
  readonly kind: 'word' | 'text' | 'mark'
  readonly value: string
}

const callers = new Set(['test', 'it', 'describe', 'suite'])

function collect(tokens: readonly Token[], file: string, titles: Title[]): void {
  for (let at = 0; at < tokens.length; at++) {
    const word = tokens[at]
    if (word?.kind !== 'word' || !callers.has(word.value)) continue
    let open = at + 1
    let left = false
    while (tokens[open]?.value === '.' && tokens[open + 1]?.kind === 'word') {
      const modifier = tokens[open + 1]?.value
      if (modifier === 'skip' || modifier === 'todo') left = true
      open += 2
    }
    const title = tokens[open + 1]
    if (tokens[open]?.value !== '(' || title?.kind !== 'text') continue
    const end = closingOf(tokens, open)
    if (left || optionsLeaveOut(tokens, open + 2)) {
      at = end
      continue
    }
    titles.push({ file, title: title.value })
  }
}

/** `skip` or `todo` with `true` or a text in the options; a condition counts as not skipped. */
function optionsLeaveOut(tokens: readonly Token[], from: number): boolean {
  if (tokens[from]?.value !== ',' || tokens[from + 1]?.value !== '{') return false
  const end = closingOf(tokens, from + 1)
  for (let at = from + 2; at < end; at++) {
    const key = tokens[at]
    if (key?.kind !== 'word' || (key.value !== 'skip' && key.value !== 'todo')) continue
    const value = tokens[at + 2]
    if (tokens[at + 1]?.value === ':' && (value?.value === 'true' || value?.kind === 'text')) return true
  }
  return false
}

function closingOf(tokens: readonly Token[], open: number): number {
  let depth = 0
  for (let at = open; at < tokens.length; at++) {
    const token = tokens[at]
    if (token?.kind !== 'mark') continue
    if ('([{'.includes(token.value)) depth++
    else if (')]}'.includes(token.value) && --depth === 0) return at
  }
  return tokens.length
}

function tokensOf(source: string): Token[] {
  const tokens: Token[] = []
  let at = 0
  while (at < source.length) {
    const char = source.charAt(at)
    if (source.startsWith('//', at)) at = after(source, '\n', at)
    else if (source.startsWith('/*', at)) at = after(source, '*/', at + 2)
    else if (char === "'" || char === '"' || char === '`') {
      const text = readText(source, at)
      tokens.push({ kind: 'text', value: text.value })
      at = text.end
    } else if (char === '/' && regexMayStart(tokens.at(-1))) at = afterRegex(source, at)
    else if (/[\w$]/.test(char)) {
      const value = /^[\w$]+/.exec(source.slice(at))?.[0] ?? char
      tokens.push({ kind: 'word', value })
      at += value.length
    } else {
      if (!/\s/.test(char)) tokens.push({ kind: 'mark', value: char })
      at++
    }
  }
  return tokens
}

function after(source: string, mark: string, from: number): number {
  const found = source.indexOf(mark, from)
  return found < 0 ? source.length : found + mark.length
}

/** A string or template; what a template computes is left out of the value. */
function readText(source: string, from: number): { value: string; end: number } {
  const quote = source.charAt(from)
  let value = ''
  let at = from + 1
  while (at < source.length && source.charAt(at) !== quote) {
    if (source.charAt(at) === '\\') {
      value += source.charAt(at + 1)
      at += 2
    } else if (quote === '`' && source.startsWith('${', at)) {
      at = afterExpression(source, at + 2)
      value += '…'
    } else value += source.charAt(at++)
  }
  return { value, end: at + 1 }
}

function afterExpression(source: string, from: number): number {
  let depth = 1
  let at = from
  while (at < source.length && depth > 0) {
    const char = source.charAt(at)
    if (char === "'" || char === '"' || char === '`') {
      at = readText(source, at).end
      continue
    }
    if (char === '{') depth++
    else if (char === '}') depth--
    at++
  }
  return at
}

function regexMayStart(before: Token | undefined): boolean {
  if (before === undefined) return true
  if (before.kind === 'word') return ['return', 'typeof', 'case', 'in', 'of'].includes(before.value)
  return before.kind === 'mark' && !')]}'.includes(before.value)
}

function afterRegex(source: string, from: number): number {
  let inClass = false
  let at = from + 1
  for (; at < source.length && source.charAt(at) !== '\n'; at++) {
    const char = source.charAt(at)
    if (char === '\\') at++
    else if (char === '[') inClass = true
    else if (char === ']') inClass = false
    else if (char === '/' && !inClass) return at + 1
  }
  return at
}
