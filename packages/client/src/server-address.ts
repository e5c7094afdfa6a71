/**
 * Where a server is: the URL that a program gives, and the Server Reference that a server answers with.
 */
import { ClientError } from './errors.ts'

export type Scheme = 'mqtt' | 'mqtts' | 'ws' | 'wss' | 'unix'

export interface ServerAddress {
  readonly scheme: Scheme
  /** Name or IP address, without brackets; empty for `unix`. */
  readonly host: string
  /** 0 for `unix`. */
  readonly port: number
  /** Of the socket (`unix`) or of the HTTP request (`ws`, `wss`); else empty. */
  readonly path: string
}

export interface ParsedUrl {
  readonly address: ServerAddress
  readonly username?: string
  readonly password?: string
  /** What follows the host in `mqtt:` and `mqtts:`, without its slash: the stock clients take it as a topic. */
  readonly topic?: string
}

const SCHEMES: Readonly<Record<string, Scheme>> = {
  'mqtt:': 'mqtt',
  'tcp:': 'mqtt',
  'mqtts:': 'mqtts',
  'ssl:': 'mqtts',
  'tls:': 'mqtts',
  'ws:': 'ws',
  'wss:': 'wss',
  'unix:': 'unix',
}
export const DEFAULT_PORTS: Readonly<Record<Scheme, number>> = { mqtt: 1883, mqtts: 8883, ws: 80, wss: 443, unix: 0 }

/**
 * Reads a URL.
 *
 * ```ts
 * parseServerUrl('mqtts://ann:secret@broker.example').address // { scheme: 'mqtts', host: 'broker.example', port: 8883, path: '' }
 * parseServerUrl('unix:/run/mqtt.sock').address.path          // '/run/mqtt.sock'
 * ```
 */
export function parseServerUrl(text: string): ParsedUrl {
  // Never print the text itself: it may hold a password.
  const rule = 'expected mqtt://, mqtts://, ws://, wss:// with a host, or unix: with a path'
  if (!URL.canParse(text)) throw new ClientError('CMQ_OPTION', `Cannot read the server URL: ${rule}`)
  const url = new URL(text)
  const scheme = SCHEMES[url.protocol]
  if (scheme === undefined) {
    throw new ClientError('CMQ_OPTION', `Cannot use a server URL with "${url.protocol}": ${rule}`)
  }
  if (scheme === 'unix') {
    const path = decode(url.pathname)
    if (path === '') throw new ClientError('CMQ_OPTION', `Cannot read the server URL: ${rule}`)
    return { address: { scheme, host: '', port: 0, path } }
  }
  if (url.hostname === '') throw new ClientError('CMQ_OPTION', `Cannot read the server URL: ${rule}`)
  const isWebSocket = scheme === 'ws' || scheme === 'wss'
  const requestPath = url.pathname === '' || url.pathname === '/' ? '/mqtt' : url.pathname
  const address: ServerAddress = {
    scheme,
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? DEFAULT_PORTS[scheme] : Number(url.port),
    path: isWebSocket ? requestPath + url.search : '',
  }
  const topic = isWebSocket ? '' : decode(url.pathname.slice(1))
  return {
    address,
    ...(url.username !== '' && { username: decode(url.username) }),
    ...(url.password !== '' && { password: decode(url.password) }),
    ...(topic !== '' && { topic }),
  }
}

/**
 * The address in a Server Reference (5.0, section 4.13): a list of `host` or `host:port`, separated by spaces, of which
 * the first usable one is taken. Only host and port change: a server cannot talk a client out of TLS.
 */
export function followServerReference(from: ServerAddress, reference: string): ServerAddress | undefined {
  if (from.scheme === 'unix') return undefined
  for (const entry of reference.split(/\s+/)) {
    const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([^\s:/@[\]]+))(?::(\d{1,5}))?$/.exec(entry)
    if (match === null) continue
    const port = match[3] === undefined ? DEFAULT_PORTS[from.scheme] : Number(match[3])
    if (port < 1 || port > 65535) continue
    return { ...from, host: (match[1] ?? match[2]) as string, port }
  }
  return undefined
}

/** For messages: no credentials. */
export function addressText({ scheme, host, port, path }: ServerAddress): string {
  if (scheme === 'unix') return `unix:${path}`
  return `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}${path}`
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
