/**
 * MQTT over WebSocket, plain and TLS (section 6 of both standards), on the paths stock clients use. `GET /` without an
 * upgrade answers 200, which load balancers probe (row F23).
 *
 * On purpose: compression is off (MQTT payloads seldom gain, and each connection would hold two zlib windows); the
 * `Origin` header is not checked, since access is decided by CONNECT and never by a cookie; `X-Forwarded-For` is not
 * believed, since any client can send it (a proxy's PROXY header is, `incoming.ts`). A client that offers neither `mqtt` nor `mqttv3.1` is refused with 400:
 * [MQTT-6.0.0-3] obliges the client to offer `mqtt`, and [MQTT-6.0.0-4] leaves nothing else to answer.
 */
import { createServer, type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http'
import { createServer as createSecureServer, type Server as SecureServer } from 'node:https'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import { type ServerOptions, WebSocketServer } from 'ws'
import type { ListenerHandle, ListenerOptions } from '../config/options.ts'
import { bind, listenerName } from '../connections/addresses.ts'
import type { Arrival } from '../connections/arrival.ts'
import { endGraceMs } from '../connections/stream-transport.ts'
import { handshakeTimeoutMsDefault, type ListenerDeps } from './deps.ts'
import { onIncoming } from './incoming.ts'
import { listenerHandle, type Openness, transportInfo } from './listener-handle.ts'
import { TlsHandshakes } from './tls-handshakes.ts'
import { clientCertificatePolicy, tlsServerOptions } from './tls-material.ts'
import { WebSocketTransport } from './websocket-transport.ts'

type WebSocketListenerOptions = Extract<ListenerOptions, { readonly kind: 'ws' | 'wss' }>

const paths: ReadonlySet<string> = new Set(['/', '/mqtt', '/websocket'])

/** In order of preference; the second is what clients of MQTT 3.1 offered before the name was registered. */
const subprotocols = ['mqtt', 'mqttv3.1'] as const

/** A message may hold the end of one packet and the beginning of others beside a packet of the largest size. */
const messageBytesSlack = 65_536

/** Largest head of an HTTP request, bytes. */
const headBytesMax = 16_384

export async function openWebSocketListener(
  options: WebSocketListenerOptions,
  deps: ListenerDeps,
): Promise<ListenerHandle> {
  const name = listenerName(options)
  const secure = options.kind === 'wss' ? createHttps(options, name, deps) : undefined
  const server = secure?.server ?? createServer(httpOptions(deps))
  const webSockets = new WebSocketServer(webSocketOptions(deps))
  const openness: Openness = { closed: false }

  const arrivals = new WeakMap<Socket, Arrival>()
  onIncoming(server, options, deps, (socket, arrival) => {
    if (secure === undefined) arrivals.set(socket, arrival)
    else secure.handshakes.begin(socket, arrival)
  })
  server.on('request', (request, response) => answer(request, response, deps.silent()))
  server.on('clientError', (error: Error, socket: Duplex) => refuse(socket, 400, error.message))
  server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    if (openness.closed) {
      socket.destroy()
      return
    }
    if (!paths.has(pathOf(request))) return refuse(socket, 404, 'unknown path')
    if (!offersMqtt(request)) return refuse(socket, 400, 'the subprotocol mqtt is not offered [MQTT-6.0.0-3]')
    // It may have changed since the last one.
    webSockets.options.maxPayload = deps.packetBytesMax + messageBytesSlack
    webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      const arrival = secure === undefined ? arrivals.get(socket) : secure.handshakes.arrivalOf(socket as TLSSocket)
      deps.accept(new WebSocketTransport(webSocket, transportInfo(socket, options, arrival)), arrival)
    })
  })
  // What `ws` itself finds wrong with the request (version, key, method) comes here instead of being answered by it.
  webSockets.on('wsClientError', (error, socket) => refuse(socket, 400, error.message))

  await bind(server, options, deps)
  return listenerHandle(server, options, deps, openness, () => {
    // Those still speaking HTTP; WebSockets have left the HTTP server and go on.
    server.closeAllConnections()
    secure?.handshakes.destroyAll()
  })

  function refuse(socket: Duplex, status: number, why: string): void {
    if (deps.logger.debugEnabled) {
      deps.logger.debug({ event: 'websocket.refused', listener: name, status, why }, 'WebSocket request refused')
    }
    // The HTTP server has let go of the socket; without a listener a reset would end the process.
    socket.on('error', ignore)
    if (deps.silent() || !socket.writable) socket.destroy()
    else socket.end(plainResponse(status, why), () => socket.destroy())
  }
}

function httpOptions(deps: ListenerDeps): {
  readonly headersTimeout: number
  readonly requestTimeout: number
  readonly connectionsCheckingInterval: number
  readonly maxHeaderSize: number
} {
  const timeoutMs = deps.handshakeTimeoutMs ?? handshakeTimeoutMsDefault
  return {
    headersTimeout: timeoutMs,
    requestTimeout: timeoutMs,
    // Node looks for late requests every 30 s unless told otherwise.
    connectionsCheckingInterval: Math.ceil(timeoutMs / 4),
    maxHeaderSize: headBytesMax,
  }
}

function webSocketOptions(deps: ListenerDeps): ServerOptions & { readonly closeTimeout: number } {
  return {
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    // Pongs are WebSocketTransport's, which bounds them.
    autoPong: false,
    // Text frames are refused, so nobody reads their characters.
    skipUTF8Validation: true,
    maxPayload: deps.packetBytesMax + messageBytesSlack,
    closeTimeout: endGraceMs,
    // [MQTT-6.0.0-4] [MQTT3-6.0.0-4]
    handleProtocols: (offered) => subprotocols.find((protocol) => offered.has(protocol)) ?? false,
  }
}

function createHttps(
  options: Extract<WebSocketListenerOptions, { readonly kind: 'wss' }>,
  name: string,
  deps: ListenerDeps,
): { readonly server: SecureServer; readonly handshakes: TlsHandshakes } {
  const server = createSecureServer({
    ...httpOptions(deps),
    ...tlsServerOptions(options.tls, name, deps.logger),
    ...clientCertificatePolicy(options.tls),
    handshakeTimeout: deps.handshakeTimeoutMs ?? handshakeTimeoutMsDefault,
  })
  // Node would answer a failed handshake in HTTP, which waits for the handshake.
  server.on('tlsClientError', (_error: Error, socket: TLSSocket) => socket.destroy())
  return { server, handshakes: new TlsHandshakes(server) }
}

function answer(request: IncomingMessage, response: ServerResponse, silent: boolean): void {
  const path = pathOf(request)
  const reading = request.method === 'GET' || request.method === 'HEAD'
  if (path === '/' && reading) return reply(response, 200, 'MQTT over WebSocket\n')
  if (silent) {
    request.socket.destroy()
    return
  }
  if (!paths.has(path)) reply(response, 404, 'Not found\n')
  else if (!reading) reply(response, 405, 'Method not allowed\n')
  else reply(response, 426, 'Connect with a WebSocket of subprotocol mqtt\n', { upgrade: 'websocket' })
}

function reply(response: ServerResponse, status: number, text: string, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', connection: 'close', ...headers })
  response.end(text)
}

function plainResponse(status: number, why: string): string {
  const body = `${why}\n`
  return (
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\nConnection: close\r\n` +
    `Content-Type: text/plain; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
  )
}

function pathOf(request: IncomingMessage): string {
  const url = request.url ?? ''
  const query = url.indexOf('?')
  return query === -1 ? url : url.slice(0, query)
}

function offersMqtt(request: IncomingMessage): boolean {
  const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim())
  return subprotocols.some((protocol) => offered.includes(protocol))
}

function ignore(): void {}
