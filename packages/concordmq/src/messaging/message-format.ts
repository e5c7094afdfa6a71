/**
 * The output format of `sub -F`, as the stock client has it: `%` and a letter is a part of the message, `@` and a letter a
 * part of the time, `\` an escape. `%v` is ours: the payload, or `(null)` if it is empty. The format is read once; what
 * comes out is bytes, since a payload need not be text.
 */
import type { Message } from '@concordmq/client'
import type { Properties } from '@concordmq/protocol'
import { usageError } from './read-flag.ts'

export type FormatMessage = (message: Message, at: Date) => Uint8Array
type Part = (message: Message, at: Date) => string | Uint8Array

const ESCAPES: Readonly<Record<string, string>> = {
  '\\': '\\',
  '0': '\0',
  a: '\x07',
  e: '\x1b',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
}

/** Parameters that take flags and widths. */
const SIZED: Readonly<Record<string, (message: Message) => string>> = {
  A: ({ properties }) => String(properties?.topicAlias ?? ''),
  C: ({ properties }) => properties?.contentType ?? '',
  E: ({ properties }) => String(properties?.messageExpiryInterval ?? ''),
  F: ({ properties }) => String(properties?.payloadFormatIndicator ?? ''),
  l: ({ payload }) => String(payload.length),
  m: ({ packetId }) => String(packetId ?? 0),
  R: ({ properties }) => properties?.responseTopic ?? '',
  S: ({ properties }) => properties?.subscriptionIdentifiers?.join(',') ?? '',
  t: ({ topic }) => topic,
  x: ({ payload }) => Buffer.from(payload).toString('hex'),
  X: ({ payload }) => Buffer.from(payload).toString('hex').toUpperCase(),
}
const ZERO_PADDED = 'AEFlmSXx'

const PLAIN: Readonly<Record<string, Part>> = {
  '%': () => '%',
  D: ({ properties }) => properties?.correlationData ?? '',
  I: (_message, at) => `${date(at)}T${time(at)}${zone(at)}`,
  J: (message, at) => json(message, at, { parsePayload: true }),
  j: (message, at) => json(message, at, { parsePayload: false }),
  P: ({ properties }) => (properties?.userProperties ?? []).map(([name, value]) => `${name}:${value}`).join(' '),
  p: ({ payload }) => payload,
  q: ({ qos }) => String(qos),
  r: ({ retain }) => (retain ? '1' : '0'),
  U: (_message, at) => `${Math.floor(at.getTime() / 1000)}.${nanoseconds(at)}`,
  v: ({ payload }) => (payload.length === 0 ? '(null)' : payload),
}

/** What strftime(3) calls them, and `@N` for nanoseconds. */
const TIMES: Readonly<Record<string, (at: Date) => string>> = {
  '@': () => '@',
  d: (at) => two(at.getDate()),
  F: (at) => date(at),
  H: (at) => two(at.getHours()),
  m: (at) => two(at.getMonth() + 1),
  M: (at) => two(at.getMinutes()),
  N: (at) => nanoseconds(at),
  s: (at) => String(Math.floor(at.getTime() / 1000)),
  S: (at) => two(at.getSeconds()),
  T: (at) => time(at),
  y: (at) => two(at.getFullYear() % 100),
  Y: (at) => String(at.getFullYear()),
  z: (at) => zone(at),
}

/**
 * Reads a format.
 *
 * ```ts
 * const format = parseFormat('%t has %l bytes', { endOfLine: true })
 * ```
 */
export function parseFormat(format: string, { endOfLine }: { readonly endOfLine: boolean }): FormatMessage {
  const parts: Part[] = []
  for (let at = 0; at < format.length; ) {
    const special = format.slice(at).search(/[%@\\]/)
    const end = special < 0 ? format.length : at + special
    if (end > at) {
      const text = format.slice(at, end)
      parts.push(() => text)
      at = end
      continue
    }
    const [part, length] = parsePart(format, at)
    parts.push(part)
    at += length
  }
  if (endOfLine) parts.push(() => '\n')
  return (message, time) => {
    const bytes: Uint8Array[] = []
    for (const part of parts) {
      const value = part(message, time)
      bytes.push(typeof value === 'string' ? Buffer.from(value) : value)
    }
    return bytes.length === 1 ? (bytes[0] as Uint8Array) : Buffer.concat(bytes)
  }
}

function parsePart(format: string, at: number): [part: Part, length: number] {
  const kind = format[at]
  const letter = format[at + 1] ?? ''
  if (kind === '\\') {
    const character = ESCAPES[letter]
    if (character !== undefined) return [() => character, 2]
    throw badFormat(`\\${letter}`, `Use one of ${Object.keys(ESCAPES).join(' ')} after the \\`)
  }
  if (kind === '@') {
    const clock = TIMES[letter]
    if (clock !== undefined) return [(_message, now) => clock(now), 2]
    throw badFormat(`@${letter}`, `Use one of ${Object.keys(TIMES).join(' ')} after the @`)
  }
  const plain = PLAIN[letter]
  if (plain !== undefined) return [plain, 2]
  const match = /^%([0-]?)(\d{0,4})(?:\.(\d{1,4}))?([A-Za-z])/.exec(format.slice(at))
  const name = match?.[4] ?? letter
  const sized = SIZED[name]
  if (match === null || sized === undefined) {
    throw badFormat(`%${letter}`, `Use one of ${[...Object.keys(PLAIN), ...Object.keys(SIZED)].join(' ')} after the %`)
  }
  const [whole, flag, width, maximum] = match
  const size = { flag, width: Number(width), maximum: maximum === undefined ? undefined : Number(maximum), name }
  return [(message) => sizedText(sized(message), size), whole.length]
}

function sizedText(
  text: string,
  {
    flag,
    width,
    maximum,
    name,
  }: { flag: string | undefined; width: number; maximum: number | undefined; name: string },
): string {
  const cut = maximum === undefined ? text : text.slice(0, maximum)
  if (flag === '-') return cut.padEnd(width)
  return cut.padStart(width, flag === '0' && ZERO_PADDED.includes(name) ? '0' : ' ')
}

function badFormat(seen: string, remedy: string): Error {
  return usageError(`Cannot use -F: "${seen}" means nothing`, remedy)
}

function json(message: Message, at: Date, { parsePayload }: { readonly parsePayload: boolean }): string {
  const { packetId, payload, properties, qos, retain, topic } = message
  const text = Buffer.from(payload).toString('utf8')
  const fields = [
    `"tst":"${date(at)}T${time(at)}.${nanoseconds(at).slice(0, 6)}${zone(at)}"`,
    `"topic":${JSON.stringify(topic)}`,
    `"qos":${qos}`,
    `"retain":${retain ? 1 : 0}`,
    `"payloadlen":${payload.length}`,
    ...(packetId === undefined ? [] : [`"mid":${packetId}`]),
    ...propertiesJson(properties ?? {}),
    `"payload":${payload.length === 0 ? 'null' : parsePayload && isJson(text) ? text : JSON.stringify(text)}`,
  ]
  return `{${fields.join(',')}}`
}

/** Written by hand because a user property may repeat, and an object would keep the last only. */
function propertiesJson(properties: Properties): string[] {
  const { contentType, correlationData, messageExpiryInterval, payloadFormatIndicator, responseTopic } = properties
  const fields: string[] = []
  if (properties.userProperties !== undefined) {
    const pairs = properties.userProperties.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`)
    fields.push(`"user-properties":{${pairs.join(',')}}`)
  }
  if (contentType !== undefined) fields.push(`"content-type":${JSON.stringify(contentType)}`)
  if (correlationData !== undefined) {
    fields.push(`"correlation-data":${JSON.stringify(Buffer.from(correlationData).toString('utf8'))}`)
  }
  if (payloadFormatIndicator !== undefined) fields.push(`"payload-format-indicator":${payloadFormatIndicator}`)
  if (responseTopic !== undefined) fields.push(`"response-topic":${JSON.stringify(responseTopic)}`)
  if (messageExpiryInterval !== undefined) fields.push(`"message-expiry-interval":${messageExpiryInterval}`)
  return fields.length === 0 ? [] : [`"properties":{${fields.join(',')}}`]
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

function two(value: number): string {
  return String(value).padStart(2, '0')
}

function date(at: Date): string {
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`
}

function time(at: Date): string {
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`
}

/** The clock has milliseconds; the rest is zeros. */
function nanoseconds(at: Date): string {
  return `${String(at.getMilliseconds()).padStart(3, '0')}000000`
}

function zone(at: Date): string {
  const minutes = -at.getTimezoneOffset()
  const size = Math.abs(minutes)
  return `${minutes < 0 ? '-' : '+'}${two(Math.floor(size / 60))}${two(size % 60)}`
}
