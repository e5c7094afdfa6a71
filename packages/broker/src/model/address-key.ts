/**
 * What counts as one address when connections are counted: an IPv4 address; of an IPv6 address only its first bits, since
 * whoever has one has all that share its network, 2^64 of them with the usual /64.
 */
import { isIPv4, isIPv6 } from 'node:net'

/** Empty for what has no IP address: Unix sockets, streams of the embedding program. */
export function addressKey(address: string, { ipv6PrefixBits }: { readonly ipv6PrefixBits: number }): string {
  if (isIPv4(address)) return address
  if (!isIPv6(address)) return ''
  const groups = groupsOf(address)
  const whole = ipv6PrefixBits >> 4
  const rest = ipv6PrefixBits & 15
  const kept = groups.slice(0, whole)
  if (rest > 0) kept.push((groups[whole] as number) & (0xffff << (16 - rest)))
  return `${kept.map((group) => group.toString(16)).join(':')}${kept.length < 8 ? '::' : ''}/${ipv6PrefixBits}`
}

/** The key of an address or of a network that a key shows; anything else is undefined. */
export function keyOfAddress(text: string, options: { readonly ipv6PrefixBits: number }): string | undefined {
  const key = addressKey(text.replace(/\/\d{1,3}$/, ''), options)
  return key === '' ? undefined : key
}

/** The eight groups of an IPv6 address. */
function groupsOf(address: string): number[] {
  const zone = address.indexOf('%')
  const bare = zone === -1 ? address : address.slice(0, zone)
  const gap = bare.indexOf('::')
  const head = parse(gap === -1 ? bare : bare.slice(0, gap))
  const tail = gap === -1 ? [] : parse(bare.slice(gap + 2))
  return [...head, ...new Array<number>(8 - head.length - tail.length).fill(0), ...tail]
}

function parse(part: string): number[] {
  if (part === '') return []
  return part.split(':').flatMap((group) => {
    if (!group.includes('.')) return [Number.parseInt(group, 16)]
    const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number)
    return [(a << 8) | b, (c << 8) | d]
  })
}
