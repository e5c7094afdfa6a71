/**
 * UTF-8 as MQTT wants it, without help from the platform.
 *
 * This package may not use `TextDecoder` or `Buffer`, and neither would help on the hot path: topics are 10 to 60 bytes
 * of ASCII, where the call into the platform costs more than the work. So the ASCII case is a plain loop, and the rest is
 * the table of well-formed byte sequences (Unicode 3.9, table 3-7).
 *
 * Absent: byte order mark handling. U+FEFF is a character like any other [MQTT-1.5.4-3] [MQTT3-1.5.3-3].
 */

/** What is wrong with a string: not well-formed UTF-8 or UTF-16, or it holds U+0000. */
export type Utf8Problem = 'illFormed' | 'nul'

/** Longest string that a two byte length can announce. */
export const stringBytesMax = 65_535

const replacement = 0xfffd

/** 1 for each byte that needs a closer look: U+0000 and what is not ASCII. */
const isSpecial = Uint8Array.from({ length: 256 }, (_, byte) => (byte === 0 || byte >= 0x80 ? 1 : 0))

/** Longest string that is decoded in one step. */
const unitsMax = 128
/** One scratch array for each length: `apply` takes the whole of an array, and a call never leaves anything to the next. */
const unitsOf: number[][] = Array.from({ length: unitsMax + 1 }, (_, length) => new Array<number>(length).fill(0))

/** Bytes of `s` in UTF-8; a lone surrogate counts as the three bytes of U+FFFD, which `utf8Write` puts in its place. */
export function utf8Length(s: string): number {
  let bytes = s.length
  for (let i = 0; i < s.length; i++) {
    const unit = s.charCodeAt(i)
    if (unit < 0x80) continue
    if (unit < 0x800) bytes += 1
    else if (isHighSurrogate(unit) && isLowSurrogate(s.charCodeAt(i + 1))) {
      bytes += 2
      i++
    } else bytes += 2
  }
  return bytes
}

/** Writes `s` at `at` and returns the offset behind it. `buf` must have room for `utf8Length(s)` bytes. */
export function utf8Write(s: string, buf: Uint8Array, at: number): number {
  let to = at
  for (let i = 0; i < s.length; i++) {
    let point = s.charCodeAt(i)
    if (point < 0x80) {
      buf[to++] = point
      continue
    }
    if (point < 0x800) {
      buf[to++] = 0xc0 | (point >> 6)
      buf[to++] = 0x80 | (point & 0x3f)
      continue
    }
    if (isSurrogate(point)) {
      const low = s.charCodeAt(i + 1)
      if (isHighSurrogate(point) && isLowSurrogate(low)) {
        point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00)
        i++
        buf[to++] = 0xf0 | (point >> 18)
        buf[to++] = 0x80 | ((point >> 12) & 0x3f)
        buf[to++] = 0x80 | ((point >> 6) & 0x3f)
        buf[to++] = 0x80 | (point & 0x3f)
        continue
      }
      point = replacement
    }
    buf[to++] = 0xe0 | (point >> 12)
    buf[to++] = 0x80 | ((point >> 6) & 0x3f)
    buf[to++] = 0x80 | (point & 0x3f)
  }
  return to
}

/** The bytes of `s` in UTF-8. */
export function utf8Encode(s: string): Uint8Array {
  const bytes = new Uint8Array(utf8Length(s))
  utf8Write(s, bytes, 0)
  return bytes
}

/**
 * The string in `buf[start..end)`. Ill-formed bytes become U+FFFD, one for each; whoever reads from the network asks
 * `utf8Problem` first.
 */
export function utf8Decode(buf: Uint8Array, start: number, end: number): string {
  const length = end - start
  if (length > unitsMax) return decodeLong(buf, start, end)
  // One call with all units makes one flat string. Adding up pieces is quicker to do and twice as slow to use, since the
  // first look-up in a map has to flatten them: 30 bytes, decoded and looked up, took 172 ns against 268 ns.
  const units = unitsOf[length] as number[]
  for (let i = 0; i < length; i++) {
    const byte = buf[start + i] as number
    if (byte >= 0x80) return decodeAny(buf, start, end)
    units[i] = byte
  }
  return String.fromCharCode.apply(undefined, units)
}

/** What is wrong with the bytes `buf[start..end)` as an MQTT string. */
export function utf8Problem(buf: Uint8Array, start: number, end: number): Utf8Problem | undefined {
  const at = utf8ProblemAt(buf, start, end, isSpecial)
  if (at === end) return undefined
  return buf[at] === 0 ? 'nul' : 'illFormed'
}

/**
 * Where `buf[start..end)` holds the first forbidden ASCII character or ill-formed sequence; `end` if nowhere. The table has
 * 1 for each forbidden ASCII character and for every byte that is not ASCII.
 *
 * Names are short and nearly always ASCII, so four bytes are looked up at a time: 31 bytes take 28 ns, against 50 ns with a
 * comparison for each thing that a byte must not be.
 */
export function utf8ProblemAt(buf: Uint8Array, start: number, end: number, special: Uint8Array): number {
  let at = start
  while (at < end) {
    while (at + 4 <= end) {
      const any =
        (special[buf[at] as number] as number) |
        (special[buf[at + 1] as number] as number) |
        (special[buf[at + 2] as number] as number) |
        (special[buf[at + 3] as number] as number)
      if (any !== 0) break
      at += 4
    }
    while (at < end && special[buf[at] as number] === 0) at++
    if (at === end || (buf[at] as number) < 0x80) return at
    const size = sequenceLength(buf, at, end)
    if (size === 0) return at
    at += size
  }
  return at
}

/** What is wrong with `s` as an MQTT string: a lone surrogate has no UTF-8 [MQTT-1.5.4-1], U+0000 is forbidden [MQTT-1.5.4-2]. */
export function stringProblem(s: string): Utf8Problem | undefined {
  for (let i = 0; i < s.length; i++) {
    const unit = s.charCodeAt(i)
    if (unit === 0) return 'nul'
    if (!isSurrogate(unit)) continue
    if (!isHighSurrogate(unit) || !isLowSurrogate(s.charCodeAt(i + 1))) return 'illFormed'
    i++
  }
  return undefined
}

/**
 * Length of the well-formed sequence of two to four bytes at `at`, 0 if there is none. The bounds of the second byte
 * keep out overlong forms, surrogates and what lies above U+10FFFF.
 */
function sequenceLength(buf: Uint8Array, at: number, end: number): 0 | 2 | 3 | 4 {
  const first = buf[at] as number
  if (first < 0xc2 || first > 0xf4 || at + 1 >= end) return 0
  const second = buf[at + 1] as number
  if (first < 0xe0) return isContinuation(second) ? 2 : 0
  if (first < 0xf0) {
    const low = first === 0xe0 ? 0xa0 : 0x80
    const high = first === 0xed ? 0x9f : 0xbf
    if (second < low || second > high || at + 2 >= end) return 0
    return isContinuation(buf[at + 2] as number) ? 3 : 0
  }
  const low = first === 0xf0 ? 0x90 : 0x80
  const high = first === 0xf4 ? 0x8f : 0xbf
  if (second < low || second > high || at + 3 >= end) return 0
  return isContinuation(buf[at + 2] as number) && isContinuation(buf[at + 3] as number) ? 4 : 0
}

/** Long strings go in pieces, cut before a byte that begins a character. */
function decodeLong(buf: Uint8Array, start: number, end: number): string {
  let text = ''
  let at = start
  while (end - at > unitsMax) {
    let cut = at + unitsMax
    // A run of continuation bytes longer than three is ill-formed anyway, so where it is cut does not matter.
    for (let back = 0; back < 3 && isContinuation(buf[cut] as number); back++) cut--
    text += utf8Decode(buf, at, cut)
    at = cut
  }
  return text + utf8Decode(buf, at, end)
}

function decodeAny(buf: Uint8Array, start: number, end: number): string {
  let text = ''
  for (let at = start; at < end; ) {
    const first = buf[at] as number
    if (first < 0x80) {
      text += String.fromCharCode(first)
      at++
      continue
    }
    const size = sequenceLength(buf, at, end)
    text += String.fromCodePoint(size === 0 ? replacement : codePoint(buf, at, size))
    at += size === 0 ? 1 : size
  }
  return text
}

function codePoint(buf: Uint8Array, at: number, size: 2 | 3 | 4): number {
  const first = buf[at] as number
  const second = (buf[at + 1] as number) & 0x3f
  if (size === 2) return ((first & 0x1f) << 6) | second
  const third = (buf[at + 2] as number) & 0x3f
  if (size === 3) return ((first & 0x0f) << 12) | (second << 6) | third
  return ((first & 0x07) << 18) | (second << 12) | (third << 6) | ((buf[at + 3] as number) & 0x3f)
}

function isContinuation(byte: number): boolean {
  return (byte & 0xc0) === 0x80
}

function isSurrogate(unit: number): boolean {
  return (unit & 0xf800) === 0xd800
}

function isHighSurrogate(unit: number): boolean {
  return (unit & 0xfc00) === 0xd800
}

function isLowSurrogate(unit: number): boolean {
  return (unit & 0xfc00) === 0xdc00
}
