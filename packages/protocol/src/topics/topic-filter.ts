/**
 * Topic filters: their syntax, shared subscriptions, and the one-pass match of a filter against a name.
 *
 * A broker with many subscriptions walks a tree instead (`routing` of the broker); this match serves the client, access
 * rules and tests, and is the plain statement of what the tree must agree with. A filter that breaks the syntax is a
 * malformed packet or a mistake of the program; 0x8F names it better than 0x81 would, and nothing forbids that.
 */
import type { ProtocolVersion } from '../packets/types.ts'
import { quote } from '../quote.ts'
import { ReasonCode } from '../reason-codes.ts'
import { type Refusal, refuse } from '../refusal.ts'
import { stringBytesMax, stringProblem, utf8Length } from '../utf8.ts'

/** A shared subscription's two parts: `$share/{shareName}/{filter}`. */
export interface Share {
  readonly shareName: string
  readonly filter: string
}

const sharePrefix = '$share/'
const slash = 0x2f
const plus = 0x2b
const hash = 0x23
const dollar = 0x24

/**
 * What is wrong with a topic filter. Shared subscriptions exist in 5.0 only: to 3.1 and 3.1.1 `$share/a` is a filter like
 * any other, so their filters are not held to that syntax.
 */
export function filterProblem(filter: string, version: ProtocolVersion = 5): Refusal | undefined {
  const prefix = version === 5 ? 'MQTT-' : 'MQTT3-'
  if (filter.length === 0) return invalid(`${prefix}4.7.3-1`, 'Topic filter is empty')
  const problem = stringProblem(filter)
  if (problem === 'nul') return invalid(`${prefix}4.7.3-2`, 'Topic filter contains U+0000')
  if (problem === 'illFormed')
    return invalid(version === 5 ? 'MQTT-1.5.4-1' : 'MQTT3-1.5.3-1', 'Topic filter is ill-formed')
  if (filter.length * 3 > stringBytesMax && utf8Length(filter) > stringBytesMax) {
    return invalid(`${prefix}4.7.3-3`, 'Topic filter is longer than 65,535 bytes')
  }
  return wildcardProblem(filter, version) ?? (version === 5 ? shareProblem(filter) : undefined)
}

/** Takes a shared subscription apart; undefined for any other filter, and for one whose share syntax is wrong. */
export function parseShare(filter: string): Share | undefined {
  if (!filter.startsWith(sharePrefix) || shareProblem(filter) !== undefined) return undefined
  const nameEnd = filter.indexOf('/', sharePrefix.length)
  return { shareName: filter.slice(sharePrefix.length, nameEnd), filter: filter.slice(nameEnd + 1) }
}

/** Whether a (valid) filter can match more than one name. */
export function isWildcard(filter: string): boolean {
  return filter.indexOf('+') !== -1 || filter.indexOf('#') !== -1
}

/**
 * Whether a valid filter selects a valid name. `filter` is the inner filter of a shared subscription.
 *
 * ```ts
 * filterMatches('a/#', 'a') // true: `#` includes the parent level
 * filterMatches('#', '$SYS/load') // false [MQTT-4.7.2-1]
 * ```
 */
export function filterMatches(filter: string, topic: string): boolean {
  const first = filter.charCodeAt(0)
  // [MQTT-4.7.2-1] a wildcard at the start never matches a name that begins with $.
  if (topic.charCodeAt(0) === dollar && (first === plus || first === hash)) return false
  const filterEnd = filter.length
  const topicEnd = topic.length
  let f = 0
  let t = 0
  while (f < filterEnd) {
    const unit = filter.charCodeAt(f)
    if (unit === hash) return true
    if (unit === plus) {
      while (t < topicEnd && topic.charCodeAt(t) !== slash) t++
      f++
      continue
    }
    if (t === topicEnd) return restIsParentWildcard(filter, f)
    if (unit !== topic.charCodeAt(t)) return false
    f++
    t++
  }
  return t === topicEnd
}

/** What is left of the filter behind the whole name is exactly `/#`, which includes the parent level. */
function restIsParentWildcard(filter: string, at: number): boolean {
  return at + 2 === filter.length && filter.charCodeAt(at) === slash && filter.charCodeAt(at + 1) === hash
}

function wildcardProblem(filter: string, version: ProtocolVersion): Refusal | undefined {
  const last = filter.length - 1
  for (let i = 0; i <= last; i++) {
    const unit = filter.charCodeAt(i)
    if (unit !== plus && unit !== hash) continue
    const opens = i === 0 || filter.charCodeAt(i - 1) === slash
    if (unit === hash && !(opens && i === last)) {
      return invalid(
        version === 5 ? 'MQTT-4.7.1-1' : 'MQTT3-4.7.1-2',
        `# is not alone in the last level of ${quote(filter)}`,
      )
    }
    if (unit === plus && !(opens && (i === last || filter.charCodeAt(i + 1) === slash))) {
      return invalid(
        version === 5 ? 'MQTT-4.7.1-2' : 'MQTT3-4.7.1-3',
        `+ is not alone in its level of ${quote(filter)}`,
      )
    }
  }
  return undefined
}

function shareProblem(filter: string): Refusal | undefined {
  if (filter !== '$share' && !filter.startsWith(sharePrefix)) return undefined
  const nameEnd = filter.indexOf('/', sharePrefix.length)
  const name = filter.slice(sharePrefix.length, nameEnd === -1 ? undefined : nameEnd)
  if (name === '') return invalid('MQTT-4.8.2-1', `Share name of ${quote(filter)} is empty`)
  if (isWildcard(name)) return invalid('MQTT-4.8.2-2', `Share name of ${quote(filter)} contains a wildcard`)
  if (nameEnd === -1 || nameEnd === filter.length - 1) {
    return invalid('MQTT-4.8.2-2', `No topic filter follows the share name of ${quote(filter)}`)
  }
  return undefined
}

function invalid(statement: string, detail: string): Refusal {
  return refuse(ReasonCode.topicFilterInvalid, statement, detail)
}
