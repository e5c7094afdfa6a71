/**
 * The network between nodes, for tests: for each ordered pair of nodes a relay, UDP and TCP on one port, that the first dials in
 * place of the second. A way from one node to another can be slow, lose datagrams, or be cut; a cut is silent, as a cable is:
 * nothing is refused, and what was on its way over TCP goes on when the cut is mended.
 *
 *   node i ─▶ relay (i, j) ─▶ node j        way i ▶ j: what i sends over links that it dialled, and over those that j dialled
 */
import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { createConnection, createServer, type Server, type Socket } from 'node:net'
import type { Random } from '../../testkit/src/random.ts'

/** What becomes of what one node sends to another. */
export interface Way {
  delayMs: number
  /** From 0 to 1; over TCP a loss is a delay, as by a repetition. */
  loss: number
  cut: boolean
}

/** Told all bytes that come to a relay, as they are on the wire. */
export type Seen = (bytes: Buffer, over: 'udp' | 'tcp') => void

/** What TCP waits before it repeats what was lost, ms. */
const REPEAT_MS = 200

export class RelayedNetwork {
  /** By node that sends, and node that receives. */
  readonly ways: readonly (readonly Way[])[]
  readonly #relays: (Relay | undefined)[][]
  readonly #addresses: readonly string[]

  private constructor(
    addresses: readonly string[],
    ways: readonly (readonly Way[])[],
    relays: (Relay | undefined)[][],
  ) {
    this.#addresses = addresses
    this.ways = ways
    this.#relays = relays
  }

  /** `addresses`: `127.0.0.1:PORT` of the nodes, as in the book. */
  static async open(addresses: readonly string[], random: Random, seen: Seen = () => {}): Promise<RelayedNetwork> {
    const ways = addresses.map(() => addresses.map((): Way => ({ delayMs: 0, loss: 0, cut: false })))
    const relays = await Promise.all(
      addresses.map((_, from) =>
        Promise.all(
          addresses.map(async (address, to) => {
            if (to === from) return undefined
            const there = ways[from]?.[to] as Way
            const back = ways[to]?.[from] as Way
            const target = Number(address.slice(address.lastIndexOf(':') + 1))
            return await Relay.open(target, { there, back, random, seen })
          }),
        ),
      ),
    )
    return new RelayedNetwork(addresses, ways, relays)
  }

  /** What `preload/routes.ts` is told in the process of a node. */
  routesOf(node: number): string {
    const routes = this.#addresses.flatMap((address, to) => {
      const relay = this.#relays[node]?.[to]
      return relay === undefined ? [] : [[address, `127.0.0.1:${relay.port}`]]
    })
    return JSON.stringify(Object.fromEntries(routes))
  }

  /** Nothing of `from` reaches any of `to` from now on, or it does again. */
  cut(from: readonly number[], to: readonly number[], cut = true): void {
    for (const i of from) {
      for (const j of to) {
        const way = this.ways[i]?.[j]
        if (i !== j && way !== undefined) way.cut = cut
      }
    }
    if (!cut) for (const relay of this.#relays.flat()) relay?.mended()
  }

  /** All ways are like this. */
  set(change: Partial<Way>): void {
    for (const way of this.ways.flat()) Object.assign(way, change)
  }

  close(): void {
    for (const relay of this.#relays.flat()) relay?.close()
  }
}

interface Traffic {
  readonly there: Way
  readonly back: Way
  readonly random: Random
  readonly seen: Seen
}

class Relay {
  readonly port: number
  readonly #tcp: Server
  readonly #udp: UdpSocket
  /** One socket towards the node for each that came from the dialler. */
  readonly #peers = new Map<string, UdpSocket>()
  readonly #pipes = new Set<Pipe>()

  private constructor(tcp: Server, udp: UdpSocket, port: number) {
    this.#tcp = tcp
    this.#udp = udp
    this.port = port
  }

  static async open(target: number, traffic: Traffic): Promise<Relay> {
    const { there, back, random, seen } = traffic
    const tcp = createServer().listen(0, '127.0.0.1')
    await once(tcp, 'listening')
    const { port } = tcp.address() as { readonly port: number }
    const udp = createSocket('udp4')
    udp.bind(port, '127.0.0.1')
    await once(udp, 'listening')
    const relay = new Relay(tcp, udp, port)
    udp.on('message', (datagram, from) => {
      seen(datagram, 'udp')
      relay.#towards(from.port, target, traffic, (peer) =>
        forward(datagram, there, random, (bytes) => peer.send(bytes)),
      )
    })
    tcp.on('connection', (socket: Socket) => {
      const onward = createConnection({ host: '127.0.0.1', port: target })
      for (const one of [socket, onward]) one.on('data', (bytes: Buffer) => seen(bytes, 'tcp'))
      const pipes = [new Pipe(socket, onward, there, random), new Pipe(onward, socket, back, random)]
      for (const pipe of pipes) relay.#pipes.add(pipe)
      const end = (): void => {
        for (const one of [socket, onward]) one.destroy()
        for (const pipe of pipes) relay.#pipes.delete(pipe)
      }
      for (const one of [socket, onward]) one.on('error', end).on('close', end)
    })
    return relay
  }

  /** Ways are open again. */
  mended(): void {
    for (const pipe of this.#pipes) pipe.pump()
  }

  close(): void {
    for (const pipe of this.#pipes) pipe.end()
    for (const peer of this.#peers.values()) peer.close()
    this.#udp.close()
    this.#tcp.close()
  }

  #towards(fromPort: number, target: number, { back, random, seen }: Traffic, use: (peer: UdpSocket) => void): void {
    const key = String(fromPort)
    const known = this.#peers.get(key)
    if (known !== undefined) return use(known)
    const peer = createSocket('udp4')
    this.#peers.set(key, peer)
    peer.on('message', (datagram) => {
      seen(datagram, 'udp')
      forward(datagram, back, random, (bytes) => this.#udp.send(bytes, fromPort, '127.0.0.1'))
    })
    // A node that is not there: nothing comes back, as from a machine that is off.
    peer.on('error', () => {})
    peer.connect(target, '127.0.0.1')
    peer.once('connect', () => use(peer))
  }
}

function forward(datagram: Buffer, way: Way, random: Random, send: (datagram: Buffer) => void): void {
  if (way.cut || random.below(10_000) < way.loss * 10_000) return
  if (way.delayMs === 0) return send(datagram)
  setTimeout(() => {
    try {
      if (!way.cut) send(datagram)
    } catch {
      // The relay was closed meanwhile.
    }
  }, way.delayMs)
}

/** One direction of a TCP connection: pieces leave in their order, each when its time has come and the way is open. */
class Pipe {
  readonly #to: Socket
  readonly #way: Way
  readonly #waiting: { readonly bytes: Buffer; readonly atMs: number }[] = []
  #timer: NodeJS.Timeout | undefined

  constructor(from: Socket, to: Socket, way: Way, random: Random) {
    this.#to = to
    this.#way = way
    from.on('data', (bytes: Buffer) => {
      const lost = random.below(10_000) < way.loss * 10_000
      this.#waiting.push({ bytes, atMs: performance.now() + way.delayMs + (lost ? REPEAT_MS + way.delayMs : 0) })
      this.pump()
    })
  }

  pump(): void {
    clearTimeout(this.#timer)
    while (this.#waiting.length > 0 && !this.#way.cut) {
      const [{ bytes, atMs }] = this.#waiting as [{ bytes: Buffer; atMs: number }]
      const leftMs = atMs - performance.now()
      if (leftMs > 0) {
        this.#timer = setTimeout(() => this.pump(), leftMs)
        return
      }
      this.#waiting.shift()
      if (!this.#to.destroyed) this.#to.write(bytes)
    }
  }

  end(): void {
    clearTimeout(this.#timer)
    this.#to.destroy()
  }
}
