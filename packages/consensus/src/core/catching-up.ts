/**
 * Tells peers how far this node is, and gets the blocks it lacks by round (consensus.md section 6, STATUS, RANGE, stagnation):
 * after a link came up, and whenever nothing was decided for a while although something waits. Asking by round beats asking for
 * parents backwards, which costs a round trip per round; and it is complete: whoever has all blocks that a correct node accepted
 * repeats its steps one by one.
 */
import { encodeFrame, type PeerStatus } from '../bytes/frames.ts'
import type { Agreement } from './agreement.ts'
import type { Serving } from './serving.ts'

/**
 * Without a step for so long something is amiss. Section 6 says 20 ms and 4 rounds; a step takes 3 rounds when all is well, and
 * on a machine with more to do than cores a round takes 20 ms, so healthy nodes kept asking each other for all they had.
 */
const STAGNATION_US_MIN = 50_000
const STAGNATION_LEADS = 32
const RANGE_US_MAX = 60_000_000
/** Peers whose blocks are lacking are told so at most this often, µs: what is on its way should come first. */
const AGAIN_US_MIN = 50_000

export class CatchingUp {
  readonly #agreement: Agreement
  readonly #serving: Serving
  readonly #checkpointStep: () => number
  /** The newest status of each peer in this epoch. */
  readonly statuses: (PeerStatus | undefined)[]
  #statusAtUs = 0
  /** When each peer was last told how far this node is. */
  readonly #toldUs: Float64Array
  /** Since when something waits without a step. */
  #waitingSinceUs = Number.POSITIVE_INFINITY
  #lastStep = 0
  #rangeWaitUs = 0
  #rangeAtUs = 0
  #rangePeer = 0
  /** Ranges asked for since the last step. */
  #ranges = 0
  #request = 1
  /** The range that was asked for last: where it began, and what came of it. */
  #range: { readonly request: number; readonly peer: number; highest: number; news: number } | undefined

  constructor(agreement: Agreement, serving: Serving, checkpointStep: () => number) {
    this.#agreement = agreement
    this.#serving = serving
    this.#checkpointStep = checkpointStep
    this.statuses = new Array<PeerStatus | undefined>(agreement.context.epoch.n).fill(undefined)
    this.#toldUs = new Float64Array(agreement.context.epoch.n)
  }

  /** A link came up, or an epoch began. */
  sendStatus(to: number | 'all'): void {
    const { graph, committer, context, maker, table } = this.#agreement
    const frame = encodeFrame({
      type: 'status',
      epoch: context.epoch.number,
      nextStep: committer.nextStep,
      collectedRound: graph.collectedRound,
      quorumRound: graph.quorumRound,
      lastRounds: context.epoch.nodes.map((_, author) =>
        author === context.self ? maker.last : graph.lastRound(author),
      ),
      checkpointStep: this.#checkpointStep(),
      horizonRound: table.horizon,
    })
    context.outbox.send(to, frame)
    if (to === 'all') this.#toldUs.fill(context.clock.nowUs)
    else this.#toldUs[to] = context.clock.nowUs
  }

  /**
   * A peer says how far it is: it gets the own blocks that it lacks. Where it has made some that never came here it is told so,
   * and sends them: without that a lost block is missed by nobody but its author, and all are silent while that one waits.
   */
  status(peer: number, status: PeerStatus): void {
    const { context, graph, maker } = this.#agreement
    if (status.epoch !== context.epoch.number) return
    this.statuses[peer] = status
    const above = Math.max(status.collectedRound, status.lastRounds[context.self] ?? 0)
    this.#serving.sendOwn(peer, context.self, above, maker.last)
    const lacking = (status.lastRounds[peer] ?? 0) > Math.max(graph.lastRound(peer), graph.collectedRound)
    if (lacking) this.tellAgain(peer)
  }

  /** Tells a peer how far this node is, unless it was told just now. */
  tellAgain(peer: number): void {
    const { clock, peers } = this.#agreement.context
    const toldAgoUs = clock.nowUs - (this.#toldUs[peer] ?? 0)
    if (toldAgoUs >= Math.max(AGAIN_US_MIN, 2 * peers.rttUs(peer))) this.sendStatus(peer)
  }

  /** Too many peers no longer serve what comes next here: blocks alone do not lead on (section 11). */
  get isBehind(): boolean {
    const { graph, context } = this.#agreement
    let peers = 0
    for (const status of this.statuses) if (status !== undefined && status.horizonRound > graph.quorumRound + 1) peers++
    return peers >= context.epoch.w
  }

  /** A part of an answer to a range came, with so many blocks that were new, up to round `highest`. */
  answered(peer: number, answer: { request: number; last: boolean; highest: number; news: number }): void {
    const range = this.#range
    if (range === undefined || range.request !== answer.request || range.peer !== peer) return
    range.highest = Math.max(range.highest, answer.highest)
    range.news += answer.news
    if (!answer.last) return
    this.#range = undefined
    if (range.news === 0) return
    this.#rangeWaitUs = 0
    this.#ask(peer, range.highest)
  }

  linkDown(peer: number): void {
    this.#serving.drop(peer)
    this.statuses[peer] = undefined
    if (this.#range?.peer === peer) this.#range = undefined
  }

  /** When `tick` must be called at the latest. */
  get deadlineUs(): number {
    if (this.#waitingSinceUs === Number.POSITIVE_INFINITY) return Number.POSITIVE_INFINITY
    return Math.max(this.#waitingSinceUs + this.#patienceUs(), this.#rangeAtUs + this.#rangeWaitUs)
  }

  /** Looks whether things go on. `need`: the node waits for a step. */
  tick(need: boolean): void {
    const { graph, committer, context } = this.#agreement
    const { nowUs } = context.clock
    const waits = need || graph.waitingCount > 0
    if (!waits) {
      this.#waitingSinceUs = Number.POSITIVE_INFINITY
      this.#rangeWaitUs = 0
      this.#ranges = 0
      return
    }
    if (this.#waitingSinceUs === Number.POSITIVE_INFINITY || committer.nextStep !== this.#lastStep) {
      this.#waitingSinceUs = nowUs
      this.#lastStep = committer.nextStep
      this.#ranges = 0
    }
    const lowest = graph.waitingRoundMin
    if (lowest !== undefined && lowest > graph.quorumRound + 2) this.#repeatStatus()
    if (nowUs < this.deadlineUs) return
    const peer = context.peers.next(this.#rangePeer)
    this.#rangeAtUs = nowUs
    this.#rangeWaitUs = Math.min(Math.max(this.#rangeWaitUs * 2, this.#patienceUs()), RANGE_US_MAX)
    if (peer === undefined) return
    this.#rangePeer = peer
    // Nearly always what lacks is new: all that is kept is asked for only when that does not help.
    const first = this.#ranges++ === 0
    this.#ask(peer, first ? committer.nextStep : graph.collectedRound + 1)
    // One peer that lacks something may not be enough for a quorum.
    this.sendStatus(first ? peer : 'all')
  }

  #ask(peer: number, round: number): void {
    const request = this.#request++
    this.#range = { request, peer, highest: round, news: 0 }
    this.#agreement.context.outbox.send(peer, encodeFrame({ type: 'range', request, round }))
  }

  /** Others are far ahead: they should send what they made. */
  #repeatStatus(): void {
    const { peers, clock } = this.#agreement.context
    const everyUs = Math.max(AGAIN_US_MIN, 2 * peers.farthestRttUs(peers.connected))
    if (clock.nowUs < this.#statusAtUs + everyUs) return
    this.#statusAtUs = clock.nowUs
    this.sendStatus('all')
  }

  #patienceUs(): number {
    const { peers, pacer } = this.#agreement.context
    return Math.max(STAGNATION_LEADS * pacer.leadUs(0), 4 * peers.farthestRttUs(peers.connected), STAGNATION_US_MIN)
  }
}
