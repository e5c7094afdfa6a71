/**
 * Links over QUIC (UDP). The library is optional and has binaries for some platforms only; where it does not load, nodes use TLS
 * over TCP, and say so. It shows the certificate of a client but not that of a server, and trusts authorities only: so each node
 * makes an authority of every key of the book (`identity/certificates.ts`), trusts exactly one when it dials, and tells from
 * the key of a client's certificate who came in.
 *
 * One bidirectional stream is the link; others are refused. The mode is always `portable`: the one called `fast` was slower.
 */
import type { Duplex } from 'node:stream'
import { ConcordError, reasonOf } from '../../errors.ts'
import { type NodeCertificate, ownCertificate, serverNameOf, trustAnchor } from '../identity/certificates.ts'
import { describeMember, isKnown, type Member, type Members } from '../identity/members.ts'
import { keyIdOfPoint, pointOf } from '../identity/node-keys.ts'
import {
  ALPN,
  type Channel,
  HANDSHAKE_TIMEOUT_MS,
  HANDSHAKES_MAX,
  joinAddress,
  splitAddress,
  type Transport,
  type TransportEvents,
  type TransportOptions,
} from './transport.ts'

type Library = typeof import('@currentspace/http3')
type ServerSession = import('@currentspace/http3').QuicServerSession
type ClientSession = import('@currentspace/http3').QuicClientSession

/** A peer that is not heard for so long is gone; links notice sooner (`link.ts`). */
const IDLE_TIMEOUT_MS = 10_000
/** What may be under way on one link before the receiver grants more, bytes. */
const WINDOW_BYTES = 4 * 1024 * 1024

/** The library, or why there is none. */
export async function loadQuic(): Promise<Library | Error> {
  try {
    return await import('@currentspace/http3')
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  }
}

/** Listens for nodes; rejects when the address cannot be listened on. */
export async function openQuicTransport(library: Library, options: TransportOptions): Promise<Transport> {
  const { members, host, port, events } = options
  const own = await ownCertificate(members.self, members.privateKey)
  const anchors = await Promise.all(members.all.map((member) => trustAnchor(member)))
  // Who was a node is let in to be told that it is none.
  const former = await Promise.all(members.former.map((one) => trustAnchor(one)))
  const server = library.createQuicServer({
    ...commonOptions,
    alpn: [ALPN],
    key: own.privateKey,
    cert: own.certificate,
    ca: [...anchors, ...former].join(''),
    clientAuth: 'require',
    maxConnections: HANDSHAKES_MAX + 4 * members.all.length,
  })
  server.on('error', (error: Error) => events.refused({ kind: 'quic', remote: '?:0', why: error.message }))
  reportRefused(server, events)
  server.on('session', (session: ServerSession) => accept(session, members, events))
  let bound: { readonly address: string; readonly port: number }
  try {
    bound = await server.listen(port, host)
  } catch (error) {
    const address = joinAddress(host, port)
    const code = /in use/i.test(reasonOf(error)) ? 'CMQ_ADDRESS_IN_USE' : 'CMQ_LISTEN_FAILED'
    throw new ConcordError(code, `Cannot listen for nodes on ${address}/udp: ${reasonOf(error)}`, { cause: error })
  }
  const dialled = new Set<ClientSession>()
  return {
    kind: 'quic',
    address: joinAddress(host, bound.port),
    port: bound.port,
    dial: (peer, signal) => dial({ library, own, anchor: anchors[peer.index] ?? '', peer, signal, dialled }),
    async close() {
      await Promise.all([...dialled].map((session) => session.close().catch(() => {})))
      await server.close()
    },
  }
}

const commonOptions = {
  runtimeMode: 'portable',
  fallbackPolicy: 'error',
  maxIdleTimeoutMs: IDLE_TIMEOUT_MS,
  initialMaxData: WINDOW_BYTES,
  initialMaxStreamDataBidiLocal: WINDOW_BYTES,
  initialMaxStreamsBidi: 1,
} as const

function accept(session: ServerSession, members: Members, events: TransportEvents): void {
  const remote = joinAddress(session.remoteAddress, session.remotePort)
  session.on('error', () => {})
  const refuse = (why: string): void => {
    events.refused({ kind: 'quic', remote, why })
    session.close(1, 'refused')
  }
  const key = session.getPeerCertificate()?.publicKey
  if (key?.asymmetricKeyDetails?.namedCurve !== 'prime256v1') return refuse('it shows no certificate with a P-256 key')
  const point = pointOf(key)
  if (!isKnown(members, point)) return refuse(`its key ${keyIdOfPoint(point)} is not in the address book`)
  const timer = setTimeout(() => refuse('it opens no stream'), HANDSHAKE_TIMEOUT_MS)
  let taken = false
  session.once('close', () => clearTimeout(timer))
  session.on('stream', (stream: Duplex) => {
    stream.on('error', () => {})
    if (taken) return void stream.destroy()
    taken = true
    clearTimeout(timer)
    events.incoming(channelOf(session, stream, { point, remote }))
  })
}

interface Dial {
  readonly library: Library
  readonly own: NodeCertificate
  /** The one authority that the peer's certificate must be of. */
  readonly anchor: string
  readonly peer: Member
  readonly signal: AbortSignal
  readonly dialled: Set<ClientSession>
}

async function dial({ library, own, anchor, peer, signal, dialled }: Dial): Promise<Channel> {
  const { host, port } = splitAddress(peer.address)
  const session = library.connectQuic(joinAddress(host, port), {
    ...commonOptions,
    alpn: [ALPN],
    ca: anchor,
    cert: own.certificate,
    key: own.privateKey,
    servername: serverNameOf(peer.keyId),
    rejectUnauthorized: true,
    connectTimeoutMs: HANDSHAKE_TIMEOUT_MS,
    signal,
  })
  session.on('error', () => {})
  dialled.add(session)
  session.once('close', () => dialled.delete(session))
  let closed: CloseInfo | undefined
  session.once('close', (info: CloseInfo) => {
    closed = info
  })
  try {
    await session.ready()
  } catch (error) {
    dialled.delete(session)
    await session.close().catch(() => {})
    throw explain(error, closed, { greeted: session.handshakeComplete, peer })
  }
  const stream: Duplex = session.openStream()
  stream.on('error', () => {})
  return channelOf(session, stream, { point: peer.point, remote: joinAddress(host, port) })
}

interface CloseInfo {
  readonly errorCode: number
  readonly reason: string
}

/** Errors of QUIC from here on are alerts of TLS (RFC 9001 section 4.8). */
const TLS_ALERTS = 0x100
const ALERT_UNKNOWN_CA = 48

function explain(
  error: unknown,
  closed: CloseInfo | undefined,
  { greeted, peer }: { readonly greeted: boolean; readonly peer: Member },
): Error {
  if (closed === undefined || closed.errorCode < TLS_ALERTS) return new Error(reasonOf(error))
  return greeted
    ? new Error(`it refuses the key of this node (${alertOf(closed)})`)
    : new Error(`${describeMember(peer)} was expected, and whoever is there has another key (${alertOf(closed)})`)
}

function alertOf({ errorCode, reason }: CloseInfo): string {
  return reason === '' ? `TLS alert ${errorCode - TLS_ALERTS}` : reason
}

/** An event of the library's native part, as far as it is looked at. */
interface NativeEvent {
  readonly eventType: number
  readonly connHandle: number
  readonly meta?: {
    readonly remoteAddr?: string
    readonly remotePort?: number
    readonly errorCode?: number
    readonly errorReason?: string
  }
}
const SESSION_BEGAN = 1
const SESSION_ENDED = 7
const HANDSHAKE_DONE = 11

/**
 * Tells of handshakes that failed. The library has no notice for them, so what its native part says is listened to on the way;
 * should a later version name that function otherwise, refusals are as strict and only less visible.
 */
function reportRefused(server: object, events: TransportEvents): void {
  const inner = server as { _dispatchEvents?: (events: readonly NativeEvent[]) => void }
  const dispatch = inner._dispatchEvents?.bind(server)
  if (dispatch === undefined) return
  const pending = new Map<number, string>()
  inner._dispatchEvents = (batch) => {
    for (const { eventType, connHandle, meta } of batch) {
      if (eventType === SESSION_BEGAN)
        pending.set(connHandle, joinAddress(meta?.remoteAddr ?? '?', meta?.remotePort ?? 0))
      else if (eventType === HANDSHAKE_DONE) pending.delete(connHandle)
      else if (eventType === SESSION_ENDED) {
        const remote = pending.get(connHandle)
        pending.delete(connHandle)
        const errorCode = meta?.errorCode ?? 0
        if (remote === undefined || errorCode < TLS_ALERTS) continue
        const alert = alertOf({ errorCode, reason: meta?.errorReason ?? '' })
        const unknown = errorCode - TLS_ALERTS === ALERT_UNKNOWN_CA
        events.refused({ kind: 'quic', remote, why: unknown ? `its key is not in the address book (${alert})` : alert })
      }
    }
    dispatch(batch)
  }
}

function channelOf(
  session: ServerSession | ClientSession,
  stream: Duplex,
  { point, remote }: { readonly point: Uint8Array; readonly remote: string },
): Channel {
  return {
    kind: 'quic',
    stream,
    point,
    remote,
    // The library reads on when the stream is not read; what it holds is what came in less what was taken.
    unreadBytes: (readBytes) => Math.max(0, (session.getMetrics()?.bytesIn ?? 0) - readBytes),
    destroy() {
      stream.destroy()
      void Promise.resolve(session.close(0, '')).catch(() => {})
    },
  }
}
