/**
 * Sets of IP addresses and networks, written as people write them: `10.0.0.0/8`, `192.0.2.7`, `2001:db8::/32`, `::1`.
 *
 * Looking an address up is Node's `BlockList`, which takes IPv4 addresses in their IPv6 form for what they are; here is what
 * it leaves open: the notation, and a check that refuses what it would only throw on.
 */
import { BlockList, isIP } from 'node:net'

export const networksRule = 'a list of addresses and networks such as 10.0.0.0/8 and ::1'

/** Networks in one list: what a person would write, with room. */
const NETWORKS_MAX = 10_000

/** What is wrong with an address or network, as the end of a sentence; undefined: nothing. */
export function networkProblem(text: string): string | undefined {
  const { address, bits } = split(text)
  const family = isIP(address)
  if (family === 0 || address.includes('%')) return `"${text}" is no IP address or network`
  const bitsMax = family === 4 ? 32 : 128
  if (bits !== undefined && !(/^\d{1,3}$/.test(bits) && Number(bits) <= bitsMax)) {
    return `the part behind "/" in "${text}" must be a number from 0 to ${bitsMax}`
  }
  return undefined
}

export function isNetworks(value: unknown): boolean {
  return (
    Array.isArray(value) &&
    value.length <= NETWORKS_MAX &&
    value.every((one) => typeof one === 'string' && networkProblem(one) === undefined)
  )
}

export class NetworkSet {
  readonly #list = new BlockList()
  readonly size: number

  /** Every one must have passed `networkProblem`. */
  constructor(networks: readonly string[]) {
    this.size = networks.length
    for (const network of networks) {
      const { address, bits } = split(network)
      const family = isIP(address) === 4 ? 'ipv4' : 'ipv6'
      this.#list.addSubnet(address, bits === undefined ? (family === 'ipv4' ? 32 : 128) : Number(bits), family)
    }
  }

  /** Whether the address lies in one of the networks. What is no IP address does not. */
  has(address: string): boolean {
    if (this.size === 0) return false
    const zone = address.indexOf('%')
    const bare = zone === -1 ? address : address.slice(0, zone)
    const family = isIP(bare)
    return family !== 0 && this.#list.check(bare, family === 4 ? 'ipv4' : 'ipv6')
  }
}

function split(text: string): { readonly address: string; readonly bits: string | undefined } {
  const slash = text.indexOf('/')
  return slash === -1
    ? { address: text, bits: undefined }
    : { address: text.slice(0, slash), bits: text.slice(slash + 1) }
}
