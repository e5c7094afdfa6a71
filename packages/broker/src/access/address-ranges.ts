/**
 * Network addresses and ranges of them (CIDR). IPv4 addresses written as IPv6 (`::ffff:10.0.0.1`) are the IPv4 addresses they
 * stand for, on both sides: a dual-stack socket shows them so, and a rule must not be escaped by writing one the other way.
 */
import { isIPv4, isIPv6 } from 'node:net'

export interface Address {
  readonly family: 4 | 6
  readonly value: bigint
}

export interface AddressRange {
  readonly family: 4 | 6
  /** First address. */
  readonly value: bigint
  /** Bits that all addresses of the range share. */
  readonly bits: number
}

/** Undefined for what is no IP address: the path of a Unix socket, an empty text. */
export function parseAddress(text: string): Address | undefined {
  if (isIPv4(text)) return { family: 4, value: fromIPv4(text) }
  // A zone names an interface of this machine, not another address.
  const zone = text.indexOf('%')
  const bare = zone === -1 ? text : text.slice(0, zone)
  if (!isIPv6(bare)) return undefined
  const value = fromIPv6(bare)
  return value >> 32n === MAPPED ? { family: 4, value: value & 0xffff_ffffn } : { family: 6, value }
}

/** `10.0.0.0/8`, `2001:db8::/32`, or one address; else what is wrong with it, in words. */
export function parseRange(text: string): AddressRange | string {
  const slash = text.indexOf('/')
  const address = parseAddress(slash === -1 ? text : text.slice(0, slash))
  if (address === undefined || text.includes('%')) {
    return `${JSON.stringify(text)} is neither an IP address nor a range such as 10.0.0.0/8 or 2001:db8::/32`
  }
  const { family, value } = address
  const width = family === 4 ? 32 : 128
  if (slash === -1) return { family, value, bits: width }
  const digits = text.slice(slash + 1)
  const mapped = family === 4 && text.slice(0, slash).includes(':')
  const bits = /^\d{1,3}$/.test(digits) ? Number(digits) - (mapped ? 96 : 0) : -1
  if (bits < 0 || bits > width) {
    return `${JSON.stringify(text)}: the number behind / must be from ${mapped ? 96 : 0} to ${mapped ? 128 : width}`
  }
  const rest = (1n << BigInt(width - bits)) - 1n
  if ((value & rest) !== 0n) {
    return `${JSON.stringify(text)} is an address within a range; for the range write ${formatAddress({ family, value: value & ~rest })}/${bits}`
  }
  return { family, value, bits }
}

export function inRange({ family, value, bits }: AddressRange, address: Address): boolean {
  const width = family === 4 ? 32 : 128
  return family === address.family && (value ^ address.value) >> BigInt(width - bits) === 0n
}

/** Whether one address, read once, lies in a range. */
export function addressMatcher(text: string): (range: AddressRange) => boolean {
  let address: Address | undefined | null = null
  return (range) => {
    if (address === null) address = parseAddress(text)
    return address !== undefined && inRange(range, address)
  }
}

const MAPPED = 0xffffn

function fromIPv4(text: string): bigint {
  return text.split('.').reduce((value, part) => (value << 8n) | BigInt(part), 0n)
}

/** `text` is valid. */
function fromIPv6(text: string): bigint {
  const dotted = /[^:]*\.[^:]*$/.exec(text)
  const low = dotted === null ? undefined : fromIPv4(dotted[0])
  const hex =
    low === undefined
      ? text
      : `${text.slice(0, dotted?.index)}${(low >> 16n).toString(16)}:${(low & 0xffffn).toString(16)}`
  const [head = '', tail] = hex.split('::')
  const before = head === '' ? [] : head.split(':')
  const after = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? [] : new Array<string>(8 - before.length - after.length).fill('0')
  return [...before, ...zeros, ...after].reduce((value, part) => (value << 16n) | BigInt(`0x${part}`), 0n)
}

function formatAddress({ family, value }: Address): string {
  if (family === 4) return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 255n).join('.')
  const parts = Array.from({ length: 8 }, (_none, i) => ((value >> BigInt(112 - 16 * i)) & 0xffffn).toString(16))
  return parts.join(':').replace(/(^|:)0(:0)+(:|$)/, '::')
}
