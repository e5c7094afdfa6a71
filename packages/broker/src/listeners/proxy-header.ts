/**
 * The PROXY protocol's header, versions 1 and 2 (https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt): what a proxy
 * puts in front of a connection to say whose it is. Pure, strict, and bounded: whatever is not exactly such a header is
 * refused, and so is what is longer than the longest that this broker takes.
 *
 *   1   PROXY TCP4 192.0.2.7 198.51.100.1 56324 1883\r\n                     at most 107 bytes
 *   2   0D 0A 0D 0A 00 0D 0A 51 55 49 54 0A │ ver/cmd │ fam/proto │ length │ addresses │ TLVs
 *
 * Of the header only the source counts. TLVs are skipped unread: none of them says anything that MQTT needs. Headers of
 * version 2 for anything but TCP are refused, since that cannot be what arrived here.
 */
import { isIPv4, isIPv6 } from 'node:net'

/** Longest header taken, bytes: what the specification asks every receiver for. */
export const PROXY_HEADER_BYTES_MAX = 536
/** The longest line of version 1. */
const LINE_BYTES_MAX = 107

export type ProxyHeader =
  /** More bytes are needed. */
  | { readonly type: 'incomplete' }
  | { readonly type: 'malformed'; readonly why: string }
  /** The connection is the proxy's own, or it does not know whose: LOCAL, UNKNOWN. */
  | { readonly type: 'local'; readonly bytes: number }
  | { readonly type: 'client'; readonly bytes: number; readonly address: string; readonly port: number }

const SIGNATURE = Uint8Array.of(0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a)
const PROXY = Uint8Array.of(0x50, 0x52, 0x4f, 0x58, 0x59, 0x20)
const INCOMPLETE: ProxyHeader = { type: 'incomplete' }

/** Reads the header at the beginning of `bytes`; what follows it belongs to the connection. */
export function readProxyHeader(bytes: Uint8Array): ProxyHeader {
  if (beginsLike(bytes, SIGNATURE)) return bytes.length < 16 ? INCOMPLETE : readBinary(bytes)
  if (beginsLike(bytes, PROXY)) return readLine(bytes)
  return malformed('no PROXY header')
}

// ---------------------------------------------------------------- version 1

function readLine(bytes: Uint8Array): ProxyHeader {
  const end = bytes.indexOf(0x0a)
  if (end === -1) return bytes.length < LINE_BYTES_MAX ? INCOMPLETE : malformed('a line without end')
  if (end + 1 > LINE_BYTES_MAX) return malformed('a line of more than 107 bytes')
  if (end === 0 || bytes[end - 1] !== 0x0d) return malformed('a line that does not end with CR LF')
  let line = ''
  for (let i = 0; i < end - 1; i++) {
    const byte = bytes[i] as number
    if (byte < 0x20 || byte > 0x7e) return malformed('a line with other characters than ASCII')
    line += String.fromCharCode(byte)
  }
  // What may follow UNKNOWN must be ignored.
  if (line === 'PROXY UNKNOWN' || line.startsWith('PROXY UNKNOWN ')) return { type: 'local', bytes: end + 1 }
  const parts = line.split(' ')
  const [, protocol, source = '', destination = '', sourcePort = '', destinationPort = ''] = parts
  if (parts.length !== 6) return malformed('a line of other parts than protocol, two addresses, two ports')
  const isAddress = protocol === 'TCP4' ? isIPv4 : protocol === 'TCP6' ? isIPv6 : undefined
  if (isAddress === undefined) return malformed('neither TCP4, TCP6 nor UNKNOWN')
  if (!isAddress(source) || !isAddress(destination) || `${source}${destination}`.includes('%')) {
    return malformed(`an address that is not one of ${protocol}`)
  }
  const port = portOf(sourcePort)
  if (port === undefined || portOf(destinationPort) === undefined) return malformed('a port that is no port')
  return { type: 'client', bytes: end + 1, address: plain(source), port }
}

function portOf(text: string): number | undefined {
  if (!/^(0|[1-9]\d{0,4})$/.test(text)) return undefined
  const port = Number(text)
  return port <= 65_535 ? port : undefined
}

// ---------------------------------------------------------------- version 2

/** Bytes of both addresses and ports, by address family. */
const ADDRESS_BYTES = { 1: 12, 2: 36 } as const

function readBinary(bytes: Uint8Array): ProxyHeader {
  const command = bytes[12] as number
  const family = (bytes[13] as number) >> 4
  const transport = (bytes[13] as number) & 15
  const length = ((bytes[14] as number) << 8) | (bytes[15] as number)
  const total = 16 + length
  if (command >> 4 !== 2) return malformed(`version ${command >> 4}`)
  if ((command & 15) > 1) return malformed(`command ${command & 15}`)
  if (total > PROXY_HEADER_BYTES_MAX)
    return malformed(`a header of ${total} bytes, maximum is ${PROXY_HEADER_BYTES_MAX}`)
  if (bytes.length < total) return INCOMPLETE
  // LOCAL: family and addresses mean nothing.
  if ((command & 15) === 0) return { type: 'local', bytes: total }
  if (family === 0 && transport === 0) return { type: 'local', bytes: total }
  if (transport !== 1 || (family !== 1 && family !== 2)) return malformed('another protocol than TCP')
  const needed = ADDRESS_BYTES[family]
  if (length < needed) return malformed('addresses cut short')
  const port = family === 1 ? at16(bytes, 24) : at16(bytes, 48)
  return { type: 'client', bytes: total, address: family === 1 ? ipv4At(bytes, 16) : ipv6At(bytes, 16), port }
}

function ipv4At(bytes: Uint8Array, at: number): string {
  return bytes.subarray(at, at + 4).join('.')
}

/** As the system writes it: lower case, the longest run of zero groups left out; what is IPv4 in IPv6 form, as IPv4. */
function ipv6At(bytes: Uint8Array, at: number): string {
  const groups: number[] = []
  for (let i = 0; i < 16; i += 2) groups.push(at16(bytes, at + i))
  return shortened(groups)
}

/** An address as a line gave it, in the form of all others. */
function plain(address: string): string {
  if (isIPv4(address)) return address
  // The URL parser writes the one canonical form of an IPv6 address.
  const canonical = new URL(`http://[${address}]`).hostname.slice(1, -1)
  const mapped = /^::ffff:([\da-f]{1,4}):([\da-f]{1,4})$/.exec(canonical)
  if (mapped === null) return canonical
  const [high, low] = [Number.parseInt(mapped[1] as string, 16), Number.parseInt(mapped[2] as string, 16)]
  return [high >> 8, high & 255, low >> 8, low & 255].join('.')
}

function shortened(groups: readonly number[]): string {
  return plain(groups.map((group) => group.toString(16)).join(':'))
}

function at16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number)
}

/** Whether as many bytes as there are agree with the beginning. */
function beginsLike(bytes: Uint8Array, beginning: Uint8Array): boolean {
  const count = Math.min(bytes.length, beginning.length)
  for (let i = 0; i < count; i++) if (bytes[i] !== beginning[i]) return false
  return true
}

function malformed(why: string): ProxyHeader {
  return { type: 'malformed', why }
}
