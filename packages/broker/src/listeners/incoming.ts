/**
 * What every accepted socket goes through before a listener sees it: the limits of `admission.ts`, and behind a proxy the
 * PROXY header.
 *
 *   accepted ─▶ from a listed proxy? ─no──▶ admitted under its own address ────────────────────┐
 *                     │ yes                                                                     ├─▶ TLS, HTTP, MQTT
 *                     └──▶ header, within the handshake time-out ─▶ admitted under the client's ┘
 *
 * From a listed proxy the header is a must: without it anybody behind the proxy could write one himself. From anyone else it
 * is not looked at, and what looks like one is refused as bad MQTT, TLS or HTTP.
 *
 * The handlers that Node's servers put on 'connection' are taken off and called afterwards: so a refused socket costs
 * neither a TLS object nor an HTTP parser, and TLS begins behind the header.
 */
import type { Server, Socket } from 'node:net'
import type { ListenerOptions } from '../config/options.ts'
import { listenerName, remoteAddressOf } from '../connections/addresses.ts'
import type { Arrival } from '../connections/arrival.ts'
import { NetworkSet } from '../model/networks.ts'
import { handshakeTimeoutMsDefault, type ListenerDeps } from './deps.ts'
import { readProxyHeader } from './proxy-header.ts'

/** `take` gets every socket that is admitted, before the server's own handlers do. */
export function onIncoming(
  server: Server,
  options: ListenerOptions,
  deps: ListenerDeps,
  take: (socket: Socket, arrival: Arrival) => void,
): void {
  const handlers = server.listeners('connection')
  server.removeAllListeners('connection')
  const pass = (socket: Socket, arrival: Arrival): void => {
    take(socket, arrival)
    for (const handler of handlers) handler.call(server, socket)
  }
  const proxies = new NetworkSet(('proxyProtocol' in options && options.proxyProtocol?.from) || [])
  server.on('connection', (socket: Socket) => {
    const address = options.kind === 'unix' ? options.path : remoteAddressOf(socket)
    const from = { address, port: socket.remotePort ?? 0 }
    const proxied = proxies.has(address)
    const arrival = deps.admission.admit(socket, { ...from, proxied })
    if (arrival === undefined) return
    if (proxied) readHeader(socket, arrival, options, deps, pass)
    else pass(socket, arrival)
  })
}

function readHeader(
  socket: Socket,
  arrival: Arrival,
  options: ListenerOptions,
  deps: ListenerDeps,
  pass: (socket: Socket, arrival: Arrival) => void,
): void {
  let have: Buffer | undefined
  const done = (): void => {
    clearTimeout(timer)
    socket.off('readable', read)
    socket.off('close', done)
  }
  const refuse = (why: string): void => {
    done()
    deps.counters.proxyHeaders++
    deps.logger.warn(
      { event: 'proxy.refused', listener: listenerName(options), remoteAddress: arrival.address, why },
      'Closed a connection of a proxy: it does not begin with a PROXY header',
    )
    socket.destroy()
  }
  const read = (): void => {
    const chunk = socket.read() as Buffer | null
    if (chunk === null) return
    have = have === undefined ? chunk : Buffer.concat([have, chunk])
    const header = readProxyHeader(have)
    if (header.type === 'incomplete') return
    if (header.type === 'malformed') return refuse(header.why)
    done()
    if (header.type === 'client' && !deps.admission.readdress(arrival, header)) return
    if (header.bytes < have.length) socket.unshift(have.subarray(header.bytes))
    pass(socket, arrival)
  }
  const timer = setTimeout(() => refuse('none came in time'), deps.handshakeTimeoutMs ?? handshakeTimeoutMsDefault)
  timer.unref()
  socket.on('error', ignore)
  socket.once('close', done)
  socket.on('readable', read)
}

function ignore(): void {}
