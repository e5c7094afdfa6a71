/** The IPv4 addresses of a range such as `10.0.0.0/24`. */
import { isIPv4 } from 'node:net'

/** Smallest prefix taken: more addresses than this has nobody would wait for. */
const prefixMin = 16

/** All of them in ascending order; throws with what is wrong with `range`. */
export function addressesOf(range: string): readonly string[] {
  const [address = '', prefix = '32'] = range.split('/')
  const bits = /^\d{1,2}$/u.test(prefix) ? Number(prefix) : -1
  if (!isIPv4(address) || bits < prefixMin || bits > 32) {
    throw new Error(`"${range}" is no range of IPv4 addresses from /${prefixMin} to /32`)
  }
  const size = 2 ** (32 - bits)
  const value = address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)
  const first = value - (value % size)
  return Array.from({ length: size }, (_, i) => textOf(first + i))
}

function textOf(value: number): string {
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.')
}
