/**
 * Topic filters as sets of topics: whether two of them share a topic, and whether one holds all of another. Both decide what
 * a rule says about a subscription that is wider or narrower than itself.
 *
 * Filters come as their levels. A level of a rule may be a pattern (`%c`, `%u`), which is replaced by one literal level
 * before it gets here, marked as literal whatever characters it holds: a client named `+` never makes a wildcard.
 */

/** One level of a filter: a literal, or one of the wildcards. */
export type Level = string | typeof ANY | typeof REST

/** `+`: any one level. */
export const ANY = Symbol('+')
/** `#`: this level and all below, and the level above. */
export const REST = Symbol('#')

/** Levels of a valid filter as a client writes it. */
export function levelsOfFilter(filter: string): Level[] {
  return filter.split('/').map((level) => (level === '+' ? ANY : level === '#' ? REST : level))
}

/** Whether some topic is matched by both. */
export function overlaps(a: readonly Level[], b: readonly Level[]): boolean {
  // [MQTT-4.7.2-1] a wildcard at the start never matches a name that begins with $
  if ((isWild(a[0]) && isDollar(b[0])) || (isWild(b[0]) && isDollar(a[0]))) return false
  for (let i = 0; ; i++) {
    const one = a[i]
    const other = b[i]
    if (one === REST || other === REST) return true
    if (one === undefined || other === undefined) return one === other
    if (one !== ANY && other !== ANY && one !== other) return false
  }
}

/** Whether every topic that `inner` matches is matched by `outer`. */
export function covers(outer: readonly Level[], inner: readonly Level[]): boolean {
  if (isWild(outer[0]) && isDollar(inner[0])) return false
  for (let i = 0; ; i++) {
    const out = outer[i]
    const within = inner[i]
    if (out === REST) return true
    // Every topic has a first level: `+/#` is `#`.
    if (within === REST) return i === 0 && out === ANY && outer[1] === REST
    if (out === undefined || within === undefined) return out === within
    if (out !== ANY && out !== within) return false
  }
}

function isWild(level: Level | undefined): boolean {
  return level === ANY || level === REST
}

function isDollar(level: Level | undefined): boolean {
  return typeof level === 'string' && level.startsWith('$')
}
