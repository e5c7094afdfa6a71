/**
 * The formats `full` and `compact`: one line per entry, level and message first, then the fields as `name=value`.
 *
 *     2026-02-03T10:11:12.123Z  INFO concordmq::broker: listening for connections listen_addr=0.0.0.0:1883
 *     10:11:12  INFO listening for connections listen_addr=0.0.0.0:1883
 */
import type { Entry, LogLevel } from './entry.ts'

export function formatFull(entry: Entry, colour: boolean): string {
  return `${entry.time.toISOString()} ${levelText(entry.level, colour)} ${entry.target}: ${safe(entry.message)}${fieldsText(entry)}\n`
}

/** Without date, target and event: for a terminal. */
export function formatCompact(entry: Entry, colour: boolean): string {
  const time = entry.time.toISOString().slice(11, 19)
  return `${time} ${levelText(entry.level, colour)} ${safe(entry.message)}${fieldsText(entry, 'event')}\n`
}

const colours: Readonly<Record<LogLevel, number>> = { error: 31, warn: 33, info: 32, debug: 34, trace: 35 }

function levelText(level: LogLevel, colour: boolean): string {
  const padded = level.toUpperCase().padStart(5)
  return colour ? `\u001b[${colours[level]}m${padded}\u001b[0m` : padded
}

function fieldsText({ fields }: Entry, without?: string): string {
  let text = ''
  for (const [name, value] of Object.entries(fields)) {
    if (name !== without) text += ` ${name}=${valueText(value)}`
  }
  return text
}

function valueText(value: unknown): string {
  if (typeof value !== 'string') return safe(JSON.stringify(value) ?? String(value))
  // Quoted unless it is one plain word: a client identifier must not be able to forge fields or lines.
  return /^[!#-<>-[\]-~]+$/.test(value) ? value : safe(JSON.stringify(value))
}

/** Control characters and line separators escaped. */
function safe(text: string): string {
  return text.replaceAll(
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is escaped
    /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
