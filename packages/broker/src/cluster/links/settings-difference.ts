/**
 * Which settings of two nodes differ, in words. HELLO carries a digest of them; only when digests differ do nodes show each other the
 * text (SETTINGS), so that an operator reads both values instead of two hashes.
 *
 *     text   JSON of [name, value] pairs, sorted by name
 */
import { printable } from './hello.ts'

/** Bytes of the text that are sent and looked at. */
export const SETTINGS_BYTES_MAX = 64 * 1024
/** Differences that are named, and characters of a value. */
const NAMED_MAX = 4
const VALUE_CHARACTERS_MAX = 40

/** Undefined: the texts do not tell, since one of them is missing or is none. */
export function settingsDifference(theirs: string, own: string): string | undefined {
  const [there, here] = [entriesOf(theirs), entriesOf(own)]
  if (there === undefined || here === undefined) return undefined
  const names = [...new Set([...there.keys(), ...here.keys()])].sort()
  const different = names.filter((name) => there.get(name) !== here.get(name))
  if (different.length === 0) return undefined
  const said = different
    .slice(0, NAMED_MAX)
    .map(
      (name) => `${shown(name)} is ${shown(there.get(name) ?? 'not set')}, here ${shown(here.get(name) ?? 'not set')}`,
    )
  const more = different.length - said.length
  return said.join('; ') + (more > 0 ? `; and ${more} more` : '')
}

/** By name, each value as JSON. */
function entriesOf(text: string): Map<string, string> | undefined {
  let pairs: unknown
  try {
    pairs = JSON.parse(text)
  } catch {
    return undefined
  }
  if (!Array.isArray(pairs)) return undefined
  const entries = new Map<string, string>()
  for (const pair of pairs as unknown[]) {
    if (!Array.isArray(pair) || typeof pair[0] !== 'string') return undefined
    entries.set(pair[0], JSON.stringify(pair[1]) ?? 'null')
  }
  return entries
}

function shown(text: string): string {
  const line = printable(Buffer.from(text, 'utf8'))
  return line.length > VALUE_CHARACTERS_MAX ? `${line.slice(0, VALUE_CHARACTERS_MAX)}...` : line
}
