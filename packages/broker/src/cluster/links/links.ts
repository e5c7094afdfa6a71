/**
 * All links of a node: one to each peer. Both ends dial, since either may be the one that can be reached; the node with the
 * lower key a little earlier (indices change with epochs, keys do not). Should there be two links of one pair, that which the
 * lower key dialled stays, and of two that the same node dialled the younger one; both ends decide alike, so one is left.
 *
 * Who is refused is said once in the log, by name, and again when the reason changes; a peer that broke the rules is kept out
 * for a while, longer each time.
 */
import { setTimeout as wait } from 'node:timers/promises'
import type { Logger } from '../../telemetry/logger.ts'
import { describeMember, type Member, type Members, samePoint } from '../identity/members.ts'
import { keyIdOfPoint } from '../identity/node-keys.ts'
import { BackOff } from './back-off.ts'
import type { GreetingRefusal } from './hello.ts'
import { Link, type LinkEnd, type LinkEvents } from './link.ts'
import { askForLife } from './link-life.ts'
import { RefusalLog } from './refusal-log.ts'
import type { Channel, Stranger, Transport, TransportEvents, TransportKind } from './transport.ts'

/** Longest wait between two tries to reach a peer that does not answer, and one that refuses or is refused; ms. */
const UNREACHABLE_MS_MAX = 2000
const REFUSED_MS_MAX = 5000
/** The node with the higher key leaves the lower one so much time to dial. */
const YIELD_MS = 250
/** How long a peer that broke the rules is kept out, ms: the first time, and at most. */
const BAR_MS_MIN = 1000
const BAR_MS_MAX = 60_000
/** Links of one peer that have not greeted. */
const GREETING_LINKS_MAX = 4
const TICK_MS = 1000
/** A link with a peer that refused this node before is told once it has lasted for so long, ms: the peer may refuse it again. */
const TRIAL_MS = 2000
/** How long someone who was a node has to read that it is none, ms. */
const DISMISSAL_MS = 3000
/** How often it is tried to listen anew, and after which pause, ms. */
const REOPEN_TRIES_MAX = 20
const REOPEN_PAUSE_MS = 250

export interface PeerEvents {
  /** A whole frame of a peer (index), head included; `arrivalUs`: when its last byte was read. Gives what it cost, µs. */
  frame(peer: number, frame: Uint8Array, arrivalUs: number): number
  link(peer: number, up: boolean): void
  rtt(peer: number, rttUs: number): void
  /** A peer knows this node as one no more, and says what proves that; not checked. */
  removed?(frame: Uint8Array): void
}

export interface LinksOptions {
  readonly members: Members
  /** Opens what is listened on and dialled with, preferred one first. */
  readonly open: (members: Members, events: TransportEvents) => Promise<readonly Transport[]>
  readonly frameBytesMax: number
  readonly events: PeerEvents
  /** Someone came who wants to be in the book. Undefined: nobody is heard who is not in it. */
  readonly newcomer?: ((channel: Channel) => void) | undefined
  /** What is said to someone who was a node. */
  readonly farewell?: () => Uint8Array
  readonly logger: Logger
  /** Microseconds since 1970. */
  readonly nowUs: () => number
  /** From 0 to below 1, for jitter. */
  readonly random: () => number
}

/** What is known of one peer. */
interface Peer {
  member: Member
  link: Link | undefined
  readonly greeting: Set<Link>
  readonly backOff: BackOff
  timer: NodeJS.Timeout | undefined
  dialling: AbortController | undefined
  barredUntilUs: number
  barMs: number
  /** The transport that last worked, tried first. */
  lastKind: TransportKind | undefined
  /** The link has not been told yet. */
  onTrial: boolean
}

export interface LinkFigures {
  readonly node: number
  readonly keyId: string
  readonly address: string
  readonly up: boolean
  readonly transport: TransportKind | undefined
  readonly dialled: boolean | undefined
  readonly version: string | undefined
  /** Microseconds; 0: not measured. */
  readonly rttUs: number
  readonly sentBytes: number
  readonly receivedBytes: number
  readonly queuedBytes: number
  readonly droppedFrames: number
}

export class Links {
  readonly #o: LinksOptions
  readonly #refusals: RefusalLog
  #members: Members
  #transports: readonly Transport[] = []
  /** By index; undefined at this node's own. */
  #peers: (Peer | undefined)[] = []
  readonly #ticker: NodeJS.Timeout
  #tickedUs: number
  #reopened: Promise<void> = Promise.resolve()
  #closed = false

  private constructor(options: LinksOptions) {
    this.#o = options
    this.#members = options.members
    this.#refusals = new RefusalLog(options.logger, options.nowUs)
    this.#tickedUs = options.nowUs()
    this.#ticker = setInterval(() => this.#tick(), TICK_MS)
    this.#ticker.unref()
  }

  /** Listens, and begins to dial. Rejects when an address cannot be listened on. */
  static async open(options: LinksOptions): Promise<Links> {
    const links = new Links(options)
    try {
      links.#transports = await options.open(options.members, links.#transportEvents())
    } catch (error) {
      clearInterval(links.#ticker)
      throw error
    }
    links.#peers = options.members.all.map((member) => links.#peerOf(member))
    for (const peer of links.#peers) if (peer !== undefined) links.#dialSoon(peer, 0)
    return links
  }

  /** What runs, preferred one first. */
  get transports(): readonly TransportKind[] {
    return this.#transports.map(({ kind }) => kind)
  }

  /** Where each listens. */
  get addresses(): readonly string[] {
    return this.#transports.map(({ kind, address }) => `${address}/${kind === 'quic' ? 'udp' : 'tcp'}`)
  }

  /** Puts a frame in the line of a peer, or of all; nothing happens where there is no link. */
  send(to: number | 'all', frame: Uint8Array): void {
    if (to === 'all') for (const peer of this.#peers) peer?.link?.send(frame)
    else this.#peers[to]?.link?.send(frame)
  }

  /** Writes what `send` put in lines: once per turn of the driver. */
  flush(): void {
    for (const peer of this.#peers) peer?.link?.flush()
  }

  /** The peer broke the rules: its link ends, and it is kept out for a while. */
  drop(index: number, why: string): void {
    this.#peers[index]?.link?.end({ type: 'broke', detail: why })
  }

  /** Charges a peer with what was done for it elsewhere, µs of CPU. */
  spent(index: number, costUs: number): void {
    this.#peers[index]?.link?.spent(costUs, this.#o.nowUs())
  }

  figures(): LinkFigures[] {
    return this.#peers.flatMap((peer) => {
      if (peer === undefined) return []
      const { link, member } = peer
      return {
        node: member.index,
        keyId: member.keyId,
        address: member.address,
        up: link !== undefined,
        transport: link?.channel.kind,
        dialled: link?.dialled,
        version: link?.peerVersion,
        rttUs: link?.rttUs ?? 0,
        receivedBytes: link?.receivedBytes ?? 0,
        ...(link?.figures ?? { sentBytes: 0, queuedBytes: 0, droppedFrames: 0 }),
      }
    })
  }

  /**
   * Another epoch: indices are those of its book, links to its nodes stay, those to others end. Listens anew when there are other
   * keys, since one of the transports learns them only when it is opened.
   */
  async replaceMembers(members: Members): Promise<void> {
    const before = this.#peers
    const sameKeys =
      members.all.length === this.#members.all.length &&
      members.all.every(({ point }, i) => samePoint(point, this.#members.all[i]?.point ?? new Uint8Array(0)))
    this.#members = members
    this.#peers = members.all.map((member) => {
      const kept = before.find((peer) => peer !== undefined && samePoint(peer.member.point, member.point))
      if (kept === undefined) return this.#peerOf(member)
      kept.member = member
      for (const link of [...kept.greeting, ...(kept.link === undefined ? [] : [kept.link])]) link.peer = member
      return kept
    })
    for (const peer of before) if (peer !== undefined && !this.#peers.includes(peer)) this.#forget(peer)
    // Whoever counts in indices knows of no link in the new ones yet.
    for (const peer of this.#peers) if (peer?.link !== undefined) this.#o.events.link(peer.member.index, true)
    if (!sameKeys) {
      this.#reopened = this.#reopened.then(() => this.#reopen())
      await this.#reopened
    }
    for (const peer of this.#peers) {
      if (peer !== undefined && peer.link === undefined && peer.timer === undefined) this.#dialSoon(peer, 0)
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    clearInterval(this.#ticker)
    for (const peer of this.#peers) if (peer !== undefined) this.#forget(peer)
    await Promise.all(this.#transports.map((transport) => transport.close()))
  }

  async #reopen(): Promise<void> {
    const before = this.#transports
    if (before.every((transport) => transport.admit !== undefined)) {
      for (const transport of before) transport.admit?.(this.#members)
      return
    }
    await Promise.all(before.map((transport) => transport.close()))
    for (let tries = 1; !this.#closed; tries++) {
      try {
        this.#transports = await this.#o.open(this.#members, this.#transportEvents())
        if (this.#closed) await Promise.all(this.#transports.map((transport) => transport.close()))
        return
      } catch (error) {
        // The system may give the address back a moment after it was closed.
        if (tries === REOPEN_TRIES_MAX) throw error
        await wait(REOPEN_PAUSE_MS)
      }
    }
  }

  #peerOf(member: Member): Peer | undefined {
    if (samePoint(member.point, this.#members.self.point)) return undefined
    return {
      member,
      link: undefined,
      greeting: new Set(),
      backOff: new BackOff(UNREACHABLE_MS_MAX, this.#o.random),
      timer: undefined,
      dialling: undefined,
      barredUntilUs: 0,
      barMs: BAR_MS_MIN,
      lastKind: undefined,
      onTrial: false,
    }
  }

  #forget(peer: Peer): void {
    clearTimeout(peer.timer)
    peer.timer = undefined
    peer.dialling?.abort()
    for (const link of [...peer.greeting]) link.end({ type: 'stopped', detail: 'this node ends it' })
    peer.link?.end({ type: 'stopped', detail: 'this node ends it' })
  }

  #transportEvents(): TransportEvents {
    return {
      incoming: (channel) => this.#incoming(channel),
      refused: (stranger: Stranger) => this.#refusals.stranger(stranger),
      newcomer: this.#o.newcomer,
    }
  }

  #incoming(channel: Channel): void {
    if (this.#closed) return channel.destroy()
    if (samePoint(channel.point, this.#members.self.point)) {
      this.#refusals.stranger({
        kind: channel.kind,
        remote: channel.remote,
        why: 'it has the key of this node: two nodes must not share one key',
      })
      return channel.destroy()
    }
    const peer = this.#peers.find((other) => other !== undefined && samePoint(other.member.point, channel.point))
    if (peer === undefined) return this.#dismiss(channel)
    if (peer.greeting.size >= GREETING_LINKS_MAX || this.#o.nowUs() < peer.barredUntilUs) return channel.destroy()
    this.#greet(peer, channel, { dialled: false })
  }

  /** Tells someone who was a node that it is none. */
  #dismiss(channel: Channel): void {
    this.#refusals.stranger({
      kind: channel.kind,
      remote: channel.remote,
      why: `its key ${keyIdOfPoint(channel.point)} is that of a node that was taken out of the cluster`,
    })
    channel.stream.on('error', () => {})
    channel.stream.resume()
    channel.stream.end(this.#o.farewell?.())
    setTimeout(() => channel.destroy(), DISMISSAL_MS).unref()
  }

  #greet(peer: Peer, channel: Channel, { dialled }: { readonly dialled: boolean }): void {
    const events: LinkEvents = {
      up: (link) => this.#up(peer, link),
      frame: (link, frame, arrivalUs) => {
        if (peer.link === link) link.spent(this.#o.events.frame(peer.member.index, frame, arrivalUs), arrivalUs)
      },
      rtt: (link, rttUs) => {
        if (peer.link === link) this.#o.events.rtt(peer.member.index, rttUs)
      },
      removed: (frame) => this.#o.events.removed?.(frame),
      ended: (link, end) => this.#ended(peer, link, end),
    }
    const { frameBytesMax, nowUs } = this.#o
    const link = new Link({
      channel,
      members: this.#members,
      peer: peer.member,
      dialled,
      frameBytesMax,
      events,
      nowUs,
    })
    peer.greeting.add(link)
  }

  #up(peer: Peer, link: Link): void {
    const existing = peer.link
    if (existing === undefined) return this.#install(peer, link)
    if (Buffer.compare(existing.peerInstance, link.peerInstance) !== 0) return this.#probe(peer, existing, link)
    if (this.#rank(link) < this.#rank(existing)) {
      link.end({ type: 'replaced', detail: 'there is another link' })
      return
    }
    this.#replace(peer, existing, link)
  }

  /** Which of two links of a pair stays: that which the lower key dialled. */
  #rank(link: Link): number {
    return link.dialled === this.#goesFirst(link.peer) ? 1 : 0
  }

  #goesFirst(peer: Member): boolean {
    return this.#members.self.keyId < peer.keyId
  }

  #install(peer: Peer, link: Link): void {
    peer.greeting.delete(link)
    peer.link = link
    peer.lastKind = link.channel.kind
    clearTimeout(peer.timer)
    peer.timer = undefined
    peer.onTrial = this.#refusals.isUnwanted(peer.member.keyId)
    if (!peer.onTrial) this.#tellUp(peer, link)
    this.#o.events.link(peer.member.index, true)
    link.tick(this.#o.nowUs())
  }

  #tellUp(peer: Peer, link: Link): void {
    peer.onTrial = false
    peer.backOff.reset()
    this.#refusals.forget(peer.member.keyId)
    const { channel, peerVersion } = link
    this.#o.logger.info(
      {
        event: 'cluster.link.up',
        node: peer.member.index,
        transport: channel.kind,
        remote: channel.remote,
        peerVersion,
      },
      `Linked with ${describeMember(peer.member)} over ${channel.kind.toUpperCase()}`,
    )
  }

  #replace(peer: Peer, existing: Link, link: Link): void {
    peer.link = undefined
    existing.end({ type: 'replaced', detail: 'a newer link took its place' })
    this.#o.events.link(peer.member.index, false)
    this.#install(peer, link)
  }

  /**
   * Another process has the peer's key: the peer was restarted and its old link is not over, or two nodes share one key. The old
   * link is asked; if it lives, the newcomer is refused.
   */
  #probe(peer: Peer, existing: Link, link: Link): void {
    askForLife(existing, this.#o.nowUs(), (lives) => {
      if (!link.isUp || this.#closed) return
      if (peer.link === undefined) return this.#install(peer, link)
      if (peer.link === existing && !lives) return this.#replace(peer, existing, link)
      link.refuse({
        event: 'twin',
        detail: 'another process with the same key is connected: two nodes must not share one key',
      })
    })
  }

  #ended(peer: Peer, link: Link, end: LinkEnd): void {
    peer.greeting.delete(link)
    const wasUp = peer.link === link
    if (wasUp) peer.link = undefined
    if (end.type === 'refused') this.#refused(peer, link, end.refusal)
    else if (end.type === 'broke') this.#bar(peer, end.detail)
    else if (end.type === 'unwanted') {
      this.#refusals.unwanted(peer.member, end.detail)
      peer.backOff.punish(REFUSED_MS_MAX / 4)
    }
    if (wasUp) {
      if (!peer.onTrial && end.type !== 'stopped' && end.type !== 'broke') {
        this.#o.logger.info(
          { event: 'cluster.link.down', node: peer.member.index, why: 'detail' in end ? end.detail : '' },
          `The link with ${describeMember(peer.member)} ended: ${'detail' in end ? end.detail : ''}`,
        )
      }
      // Who is in the book no more has no index.
      if (this.#peers.includes(peer)) this.#o.events.link(peer.member.index, false)
    }
    if (end.type !== 'stopped' && end.type !== 'replaced') this.#dialSoon(peer, peer.backOff.next())
  }

  #refused(peer: Peer, link: Link, refusal: GreetingRefusal): void {
    this.#refusals.refused(peer.member, link.channel.remote, refusal)
    peer.backOff.punish(REFUSED_MS_MAX / 4)
  }

  #bar(peer: Peer, why: string): void {
    peer.barredUntilUs = this.#o.nowUs() + peer.barMs * 1000
    this.#o.logger.warn(
      { event: 'cluster.link.dropped', node: peer.member.index, why, barredMs: peer.barMs },
      `Dropped the link with ${describeMember(peer.member)}, which broke the rules: ${why}`,
    )
    peer.backOff.punish(peer.barMs)
    peer.barMs = Math.min(BAR_MS_MAX, peer.barMs * 2)
  }

  #dialSoon(peer: Peer, delayMs: number): void {
    if (this.#closed || peer.timer !== undefined || !this.#peers.includes(peer)) return
    const yieldMs = this.#goesFirst(peer.member) ? 0 : YIELD_MS
    const barredMs = Math.max(0, (peer.barredUntilUs - this.#o.nowUs()) / 1000)
    peer.timer = setTimeout(() => void this.#dial(peer), Math.max(delayMs, barredMs) + yieldMs)
    peer.timer.unref()
  }

  async #dial(peer: Peer): Promise<void> {
    if (this.#closed || peer.link !== undefined || peer.dialling !== undefined) {
      peer.timer = undefined
      return
    }
    if (peer.greeting.size > 0) {
      // The peer was faster; should its link come to nothing, it is this node's turn again.
      peer.timer = undefined
      return this.#dialSoon(peer, YIELD_MS)
    }
    const dialling = new AbortController()
    peer.dialling = dialling
    const order = [...this.#transports].sort(
      (a, b) => Number(b.kind === peer.lastKind) - Number(a.kind === peer.lastKind),
    )
    let reason = ''
    for (const transport of order) {
      try {
        const channel = await transport.dial(peer.member, dialling.signal)
        peer.dialling = undefined
        peer.timer = undefined
        if (this.#closed || !this.#peers.includes(peer)) channel.destroy()
        else this.#greet(peer, channel, { dialled: true })
        return
      } catch (error) {
        reason = error instanceof Error ? error.message : String(error)
      }
      if (dialling.signal.aborted || peer.link !== undefined) break
    }
    peer.dialling = undefined
    peer.timer = undefined
    if (this.#closed || peer.link !== undefined) return
    this.#refusals.unreachable(peer.member, reason)
    this.#dialSoon(peer, peer.backOff.next())
  }

  #tick(): void {
    const nowUs = this.#o.nowUs()
    // Who was held up himself knows nothing of the silence of others: what they sent meanwhile has not been read yet.
    const heldUpUs = Math.max(0, nowUs - this.#tickedUs - TICK_MS * 1000)
    this.#tickedUs = nowUs
    for (const peer of this.#peers) {
      if (peer === undefined) continue
      for (const link of [...peer.greeting]) link.tick(nowUs, heldUpUs)
      peer.link?.tick(nowUs, heldUpUs)
      if (peer.onTrial && peer.link !== undefined && nowUs - peer.link.sinceUs > TRIAL_MS * 1000)
        this.#tellUp(peer, peer.link)
      // A peer that has kept the rules for as long as it was kept out is trusted again, step by step.
      if (peer.barMs > BAR_MS_MIN && nowUs - peer.barredUntilUs > peer.barMs * 1000) {
        peer.barMs = Math.max(BAR_MS_MIN, peer.barMs / 2)
        peer.barredUntilUs = nowUs
      }
    }
  }
}
