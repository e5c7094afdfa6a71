/**
 * `HOST:PORT` as people write it: `0.0.0.0:1883`, `[::1]:1883`, `broker.example.com:19793`. The result of a parse is a
 * value or the rule that was broken, so that every caller can put its own name in front.
 */
import { isIP, isIPv4, isIPv6 } from 'node:net'

export interface Address {
  readonly host: string
  readonly port: number
}

export type ParsedAddress = { readonly address: Address } | { readonly problem: string }

/** Reads `HOST:PORT`; `portMin` 0 also takes port 0, "any free port". */
export function parseAddress(text: string, { portMin }: { readonly portMin: 0 | 1 }): ParsedAddress {
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/.exec(text)
  const plain = bracketed === null ? /^([^:]*)(?::([^:]*))?$/.exec(text) : null
  const match = bracketed ?? plain
  if (match === null) {
    return { problem: `an IPv6 address with a port goes in brackets, as in [::1]:1883` }
  }
  const host = match[1] ?? ''
  const portText = match[2]
  if (bracketed !== null && !isIPv6(host)) return { problem: `"${host}" is not an IPv6 address` }
  if (bracketed === null && !isHost(host)) {
    return {
      problem:
        host === '' ? 'the host is missing, write HOST:PORT' : `"${host}" is neither an IP address nor a host name`,
    }
  }
  if (portText === undefined || portText === '') return { problem: 'the port is missing, write HOST:PORT' }
  const port = parsePort(portText)
  if (port === undefined || port < portMin) return { problem: `the port must be a number from ${portMin} to 65535` }
  return { address: { host: bracketed === null ? host.toLowerCase() : canonicalIPv6(host), port } }
}

/** An address that was checked before; anything else is a defect. */
export function readAddress(text: string): Address {
  const parsed = parseAddress(text, { portMin: 0 })
  if ('problem' in parsed) throw new TypeError(`"${text}" is no address: ${parsed.problem}`)
  return parsed.address
}

/** A port number in decimal digits, or undefined. */
export function parsePort(text: string): number | undefined {
  if (!/^\d{1,5}$/.test(text)) return undefined
  const port = Number(text)
  return port <= 65535 ? port : undefined
}

/** The form that equals for equal addresses: IPv6 shortened and in brackets, names in lower case. */
export function formatAddress({ host, port }: Address): string {
  return isIPv6(host) ? `[${canonicalIPv6(host)}]:${port}` : `${host}:${port}`
}

/** Whether only programs on this machine reach it. */
export function isLoopback(host: string): boolean {
  return (isIPv4(host) && host.startsWith('127.')) || host === '::1' || host === 'localhost'
}

/** Whether every interface is meant. */
export function isWildcard(host: string): boolean {
  return host === '0.0.0.0' || host === '::'
}

function isHost(text: string): boolean {
  if (isIP(text) === 4) return true
  // A name of digits and dots only is a mistyped IPv4 address, not a host name.
  if (/^[\d.]+$/.test(text) || text.length > 253) return false
  return text.split('.').every((label) => /^(?!-)[A-Za-z0-9_-]{1,63}(?<!-)$/.test(label))
}

function canonicalIPv6(host: string): string {
  if (host.includes('%')) return host
  return new URL(`http://[${host}]`).hostname.slice(1, -1)
}
