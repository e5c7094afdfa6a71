/**
 * What a link needs of a transport: encrypted streams whose other end has proven a key. There are two, QUIC over UDP and TLS 1.3
 * over TCP; one link is one stream of either. Who the key belongs to, and whether it is wanted, is decided above (`links.ts`).
 */
import type { Duplex } from 'node:stream'
import type { Member, Members } from '../identity/members.ts'

export type TransportKind = 'quic' | 'tls'

/** An encrypted stream; its other end has the private key of `point`. */
export interface Channel {
  readonly kind: TransportKind
  readonly stream: Duplex
  /** Uncompressed P-256 point of the other end. */
  readonly point: Uint8Array
  /** Address and port of the other end, for logs. */
  readonly remote: string
  /** Bytes that came and were not read; `readBytes` were. Always 0 where the network is made to wait instead. */
  unreadBytes(readBytes: number): number
  /** Ends it at once, and frees what it holds. */
  destroy(): void
}

/** Someone who was turned away before there was a channel. */
export interface Stranger {
  readonly kind: TransportKind
  readonly remote: string
  readonly why: string
}

export interface TransportEvents {
  /** Someone came in with a key of the book. */
  incoming(channel: Channel): void
  /** Someone came in without: no certificate, or another key. */
  refused(stranger: Stranger): void
  /** Someone came who is not in the book and wants to be. Undefined: nobody is taken in that way. */
  readonly newcomer?: ((channel: Channel) => void) | undefined
}

export interface Transport {
  readonly kind: TransportKind
  /** Where it listens, `HOST:PORT`, with the real port. */
  readonly address: string
  readonly port: number
  /** Rejects with the reason: not reachable, or not the key that was expected. */
  dial(peer: Member, signal: AbortSignal): Promise<Channel>
  /** From now on nodes of this book come in. Undefined: it learns of others only when it is opened. */
  readonly admit?: (members: Members) => void
  close(): Promise<void>
}

export interface TransportOptions {
  readonly members: Members
  readonly host: string
  /** 0: a free one. */
  readonly port: number
  readonly events: TransportEvents
}

/** Handshakes that are under way from outside, for all peers together; above, newcomers are closed unheard. */
export const HANDSHAKES_MAX = 64
export const HANDSHAKE_TIMEOUT_MS = 5000
/** What both ends must name in TLS to be understood. */
export const ALPN = 'concordmq/1'
/** The same between a node and someone who wants to be one (`admission/frames.ts`); over TLS on TCP only. */
export const ADMISSION_ALPN = 'concordmq-admission/1'

/** Host and port of an address of the book: `192.0.2.1:19793`, `[2001:db8::1]:19793`, `node-0:19793`. */
export function splitAddress(address: string): { readonly host: string; readonly port: number } {
  const colon = address.lastIndexOf(':')
  const host = address.slice(0, colon).replace(/^\[(.*)\]$/, '$1')
  return { host, port: Number(address.slice(colon + 1)) }
}

/** The same the other way. */
export function joinAddress(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
