/**
 * The links between simulated nodes. A link carries three streams, each in order in itself and not among each other, as QUIC's;
 * frames take a drawn time, get lost or doubled, and links are cut in one direction or both, reset with what is on its way, and
 * lost with a node that crashes. That a frame ends in the middle when a link is reset shows as its loss: a driver hands over
 * whole frames only.
 *
 *     send ▶ cut? lost? ▶ stream of (from, to) ▶ delay ▶ same incarnation of the link? ▶ deliver
 */
import { FrameType } from '../../../../packages/consensus/src/bytes/frames.ts'
import type { Agenda } from './agenda.ts'
import type { Delays } from './delays.ts'
import type { Draws } from './draws.ts'

export interface NetworkFaults {
  /** Probability that a frame vanishes, 0 to 1. */
  readonly loss: number
  /** Probability that it comes twice. */
  readonly duplication: number
}

/** What the network tells: whole frames, and links that come and go as one side sees them. */
export interface NetworkListener {
  readonly deliver: (from: number, to: number, frame: Uint8Array) => void
  readonly link: (node: number, peer: number, up: boolean) => void
}

interface NetworkOptions extends NetworkListener {
  readonly n: number
  readonly agenda: Agenda
  readonly draws: Draws
  readonly delays: Delays
  readonly faults: NetworkFaults
  /** What a link carries, bytes per µs; without it, any amount at once. */
  readonly bytesPerUs?: number
}

/** What a cut does with frames: they vanish, or wait for its end, as a transport's resending has it. */
export type CutKind = 'drop' | 'hold'

const streams = 3
/** Section 16: BLOCK has a stream of its own, answers with many bytes another; all else is control. */
const bulkTypes = new Set<number>([
  FrameType.blocks,
  FrameType.certificateRequest,
  FrameType.certificate,
  FrameType.snapshotRequest,
  FrameType.snapshot,
])

export class Network {
  framesSent = 0
  bytesSent = 0
  readonly #o: NetworkOptions
  readonly #n: number
  /** Per (from, to, stream): when the last frame arrives that was sent. */
  readonly #busyUntilUs: Float64Array
  /** Per (from, to): when the link has sent all it was given. */
  readonly #sendingUntilUs: Float64Array
  /** Per (from, to): counts up when what is on its way is lost. */
  readonly #incarnation: Uint32Array
  /** Per (node, peer): whether the node has been told that the link is up. */
  readonly #up: Uint8Array
  readonly #alive: Uint8Array
  readonly #cuts: (CutKind | undefined)[]
  readonly #held: { from: number; to: number; frame: Uint8Array }[] = []
  #faults: NetworkFaults

  constructor(options: NetworkOptions) {
    const { n } = options
    this.#o = options
    this.#n = n
    this.#faults = options.faults
    this.#busyUntilUs = new Float64Array(n * n * streams)
    this.#sendingUntilUs = new Float64Array(n * n)
    this.#incarnation = new Uint32Array(n * n)
    this.#up = new Uint8Array(n * n)
    this.#alive = new Uint8Array(n)
    this.#cuts = Array.from({ length: n * n }, () => undefined)
  }

  isUp(node: number, peer: number): boolean {
    return this.#up[node * this.#n + peer] === 1
  }

  send(from: number, to: number, frame: Uint8Array): void {
    if (from === to || !this.isUp(from, to)) return
    this.framesSent++
    this.bytesSent += frame.length
    const cut = this.#cuts[from * this.#n + to]
    if (cut === 'hold') this.#held.push({ from, to, frame })
    if (cut !== undefined || this.#o.draws.chance(this.#faults.loss)) return
    this.#carry(from, to, frame)
    if (this.#o.draws.chance(this.#faults.duplication)) this.#carry(from, to, frame)
  }

  /** The node runs: its links come up one after another. */
  nodeUp(node: number): void {
    this.#alive[node] = 1
    for (let peer = 0; peer < this.#n; peer++) if (peer !== node) this.#connectSoon(node, peer)
  }

  /** The node is gone. What was on its way to it is lost; what it sent may still come. */
  nodeDown(node: number): void {
    this.#alive[node] = 0
    for (let peer = 0; peer < this.#n; peer++) {
      if (peer === node) continue
      this.#lose(peer, node)
      if (this.#o.draws.chance(0.5)) this.#lose(node, peer)
      this.#up[node * this.#n + peer] = 0
      this.#o.agenda.after(this.#noticeUs(), () => {
        if (this.#alive[node] === 0) this.#tell(peer, node, false)
      })
    }
  }

  /** Both directions lose what is on its way; the link comes back by itself. */
  reset(a: number, b: number): void {
    this.#lose(a, b)
    this.#lose(b, a)
    this.#tell(a, b, false)
    this.#tell(b, a, false)
    this.#connectSoon(a, b)
  }

  /** Nothing goes from one node to the other until `mend`. */
  cut(from: number, to: number, kind: CutKind): void {
    this.#cuts[from * this.#n + to] = kind
  }

  /** Ends every cut, or those from one node to another; what waited goes on its way. */
  mend(isMended: (from: number, to: number) => boolean = () => true): void {
    for (let link = 0; link < this.#cuts.length; link++) {
      if (isMended(Math.floor(link / this.#n), link % this.#n)) this.#cuts[link] = undefined
    }
    for (const { from, to, frame } of this.#held.splice(0)) {
      const cut = this.#cuts[from * this.#n + to]
      if (cut === 'hold') this.#held.push({ from, to, frame })
      else if (cut === undefined && this.isUp(from, to)) this.#carry(from, to, frame)
    }
  }

  /** From now on frames arrive, once. */
  heal(): void {
    this.#faults = { loss: 0, duplication: 0 }
    this.mend()
  }

  #carry(from: number, to: number, frame: Uint8Array): void {
    const { agenda, delays, bytesPerUs } = this.#o
    const link = from * this.#n + to
    let leavesUs = agenda.nowUs
    if (bytesPerUs !== undefined) {
      leavesUs = Math.max(leavesUs, this.#sendingUntilUs[link] as number) + frame.length / bytesPerUs
      this.#sendingUntilUs[link] = leavesUs
    }
    const stream = link * streams + streamOf(frame)
    const arrivesUs = Math.max(leavesUs + delays.next(from, to), this.#busyUntilUs[stream] as number)
    this.#busyUntilUs[stream] = arrivesUs
    const incarnation = this.#incarnation[link]
    agenda.at(arrivesUs, () => {
      if (this.#incarnation[link] === incarnation && this.isUp(to, from)) this.#o.deliver(from, to, frame)
    })
  }

  #lose(from: number, to: number): void {
    const link = from * this.#n + to
    this.#incarnation[link] = (this.#incarnation[link] as number) + 1
    this.#busyUntilUs.fill(0, link * streams, (link + 1) * streams)
    const kept = this.#held.filter((held) => held.from !== from || held.to !== to)
    this.#held.splice(0, this.#held.length, ...kept)
  }

  #connectSoon(a: number, b: number): void {
    this.#o.agenda.after(this.#noticeUs(), () => {
      if (this.#alive[a] !== 1 || this.#alive[b] !== 1) return
      // One side may still hold the link of before.
      if (this.isUp(a, b) && this.isUp(b, a)) return
      this.#tell(a, b, false)
      this.#tell(b, a, false)
      this.#lose(a, b)
      this.#lose(b, a)
      this.#tell(a, b, true)
      this.#tell(b, a, true)
    })
  }

  #tell(node: number, peer: number, up: boolean): void {
    if (this.isUp(node, peer) === up || this.#alive[node] !== 1) return
    this.#up[node * this.#n + peer] = up ? 1 : 0
    this.#o.link(node, peer, up)
  }

  /** From a lost link to a side that knows, or from an attempt to a link: a few delays. */
  #noticeUs(): number {
    return this.#o.delays.slowestUs * (1 + 2 * this.#o.draws.fraction())
  }
}

function streamOf(frame: Uint8Array): number {
  const type = frame[0] as number
  return type === FrameType.block ? 0 : bulkTypes.has(type) ? 1 : 2
}
