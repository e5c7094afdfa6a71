/**
 * How the catalogue writes bytes.
 *
 *     wire('10', '"MQTT" 04 02 003c "c1"')
 *
 * is a packet with first byte 0x10; the remaining length is computed. Inside, `"text"` is a string with two bytes of
 * length, `'text'` its bytes alone, `[ … ]` a property section with its length, and everything else is hexadecimal.
 * Whoever needs a wrong length writes it in hexadecimal.
 */

const token = /"([^"]*)"|'([^']*)'|(\[)|(\])|([0-9a-fA-F]{2})|(\s+)/y

/** A packet as hexadecimal digits, without spaces. */
export function wire(firstByte: string, body: string): string {
  const bytes = parse(body)
  return firstByte + toHex(varint(bytes.length)) + toHex(bytes)
}

/** Bytes in the notation above, as hexadecimal digits: for packets whose header is written out. */
export function raw(text: string): string {
  return toHex(parse(text))
}

export function toHex(bytes: Iterable<number>): string {
  let hex = ''
  for (const byte of bytes) hex += byte.toString(16).padStart(2, '0')
  return hex
}

export function fromHex(hex: string): Uint8Array<ArrayBuffer> {
  if (!/^([0-9a-f]{2})*$/i.test(hex)) throw new Error(`Not hexadecimal: "${hex}"`)
  return Uint8Array.from({ length: hex.length / 2 }, (_, i) => Number.parseInt(hex.slice(i * 2, i * 2 + 2), 16))
}

function parse(text: string): number[] {
  const open: number[][] = []
  let bytes: number[] = []
  token.lastIndex = 0
  while (token.lastIndex < text.length) {
    const at = token.lastIndex
    const found = token.exec(text)
    if (found === null) throw new Error(`Cannot read the catalogue at "${text.slice(at)}"`)
    const [, string, chars, opening, closing, hex] = found
    if (string !== undefined) {
      const encoded = new TextEncoder().encode(string)
      bytes.push(encoded.length >> 8, encoded.length & 0xff, ...encoded)
    } else if (chars !== undefined) bytes.push(...new TextEncoder().encode(chars))
    else if (hex !== undefined) bytes.push(Number.parseInt(hex, 16))
    else if (opening !== undefined) {
      open.push(bytes)
      bytes = []
    } else if (closing !== undefined) {
      const outer = open.pop()
      if (outer === undefined) throw new Error(`Unopened ] in "${text}"`)
      outer.push(...varint(bytes.length), ...bytes)
      bytes = outer
    }
  }
  if (open.length > 0) throw new Error(`Unclosed [ in "${text}"`)
  return bytes
}

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >> 7)]
}
