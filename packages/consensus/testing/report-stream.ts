/**
 * Random streams of agreed reports, for tests of the fair order without a graph: nodes that receive units after random delays
 * and report them in their blocks, up to f that lie, and the steps in which the blocks are linearised. What really arrived where
 * and when is kept, so that fairness can be judged from the outside.
 */
import type { Block, BlockName, Reference } from '../src/model/block.ts'
import type { Epoch } from '../src/model/epoch.ts'
import { Draws } from './draws.ts'

export interface StreamStep {
  /** In the order of linearisation. */
  readonly blocks: readonly Block[]
  /** Authors that are jailed behind this step. */
  readonly jailed: readonly number[]
}

export interface ReportStream {
  readonly steps: readonly StreamStep[]
  readonly liars: readonly number[]
  /** What each node received, own units included, in its order, with its clock. Only what correct nodes received counts. */
  readonly received: readonly (readonly Arrival[])[]
}

export interface Arrival {
  readonly unit: BlockName
  readonly timeUs: number
}

interface Pending {
  readonly unit: BlockName
  readonly at: number
}

const ROUND_US = 1000
const NOTHING = new Uint8Array(0)

/** `rounds` rounds; `turbulent`: long delays and lags, so that units are cut and void. */
export function reportStream(
  epoch: Epoch,
  options: { readonly seed: number; readonly rounds: number; readonly turbulent: boolean },
): ReportStream {
  return new StreamMaker(epoch, options).make()
}

class StreamMaker {
  readonly #epoch: Epoch
  readonly #draws: Draws
  readonly #rounds: number
  readonly #turbulent: boolean
  readonly #liars: readonly number[]
  readonly #skewUs: readonly number[]
  readonly #lastUs: number[]
  /** On the way to each node. */
  readonly #inbound: Pending[][]
  readonly #received: Arrival[][]
  /** Units that liars remember for false reports. */
  readonly #known: BlockName[] = []
  #digests = 0

  constructor(epoch: Epoch, options: { seed: number; rounds: number; turbulent: boolean }) {
    this.#epoch = epoch
    this.#draws = new Draws(options.seed)
    this.#rounds = options.rounds
    this.#turbulent = options.turbulent
    const authors = epoch.nodes.map((_, author) => author)
    this.#liars = this.#draws.shuffled(authors).slice(0, this.#draws.below(epoch.f + 1))
    this.#skewUs = authors.map(() => this.#draws.below(20_000))
    this.#lastUs = authors.map(() => 0)
    this.#inbound = authors.map(() => [])
    this.#received = authors.map(() => [])
  }

  make(): ReportStream {
    const steps: { blocks: Block[]; jailed: number[] }[] = []
    for (let step = 0; step <= this.#rounds + 80; step++) steps.push({ blocks: [], jailed: [] })
    const from = this.#epoch.nodes.map(() => 1)
    const lag = this.#epoch.nodes.map(() => 0)
    for (let round = 1; round <= this.#rounds; round++) {
      for (let author = 0; author < this.#epoch.n; author++) {
        if (this.#draws.chance(this.#turbulent ? 0.05 : 0.02)) {
          lag[author] = this.#draws.chance(0.5) ? 0 : this.#draws.below(this.#turbulent ? 40 : 4)
        }
        const step = Math.max(from[author] as number, round + (lag[author] as number))
        from[author] = step
        for (const block of this.#blocksOf(author, round)) steps[step]?.blocks.push(block)
      }
    }
    for (const liar of this.#liars) {
      if (this.#draws.chance(0.3)) steps[this.#draws.below(this.#rounds)]?.jailed.push(liar)
    }
    for (const { blocks } of steps) blocks.sort((a, b) => a.round - b.round || a.author - b.author || a.tsUs - b.tsUs)
    return { steps: steps.slice(1), liars: this.#liars, received: this.#received }
  }

  /** One block of a correct node, up to three of a liar. */
  #blocksOf(author: number, round: number): Block[] {
    const lies = this.#liars.includes(author)
    const now = round * ROUND_US
    const arrived = this.#arrivals(author, now)
    const reports = lies ? this.#falseReports(arrived, author, round) : arrived
    const blocks: Block[] = []
    const versions = lies && this.#draws.chance(0.1) ? 1 + this.#draws.below(3) : 1
    for (let version = 0; version < versions; version++) {
      const unit = this.#draws.chance(0.5)
      const block = this.#block(author, round, reports, unit, now)
      blocks.push(block)
      if (unit) this.#send(block, lies)
    }
    return blocks
  }

  /** What reached this node since its last block, in its order; part of it may wait for the next one. */
  #arrivals(author: number, now: number): Arrival[] {
    const inbound = (this.#inbound[author] as Pending[]).sort((a, b) => a.at - b.at)
    const ready = inbound.filter(({ at }) => at <= now)
    this.#inbound[author] = inbound.filter(({ at }) => at > now)
    const arrivals = ready.map(({ unit, at }) => ({ unit, timeUs: this.#clock(author, at) }))
    this.#received[author]?.push(...arrivals)
    return arrivals
  }

  #clock(author: number, at: number): number {
    const time = Math.max(at + (this.#skewUs[author] as number), (this.#lastUs[author] as number) + 1)
    this.#lastUs[author] = time
    return time
  }

  #block(author: number, round: number, reports: readonly Arrival[], unit: boolean, now: number): Block {
    const { constants } = this.#epoch
    const named = reports.filter(
      ({ unit: { round: reported } }) =>
        reported >= round - constants.reportAgeRounds && reported <= round + constants.reportAheadRounds,
    )
    const references = named.map(
      ({ unit: name, timeUs }): Reference => ({
        author: name.author,
        round: name.round,
        digest: name.digest,
        parent: false,
        report: true,
        recvUs: timeUs,
      }),
    )
    const tsUs = this.#clock(author, now)
    const block: Block = {
      epoch: 0,
      author,
      round,
      digest: this.#digest(),
      tsUs,
      references,
      messageCount: unit ? 1 : 0,
      header: NOTHING,
      signature: NOTHING,
      body: NOTHING,
    }
    if (unit) {
      this.#received[author]?.push({ unit: block, timeUs: tsUs })
      this.#known.push(block)
    }
    return block
  }

  #send(block: Block, lies: boolean): void {
    for (let to = 0; to < this.#epoch.n; to++) {
      if (to === block.author || (lies && this.#draws.chance(0.3))) continue
      // Another version that comes later than the first is not reported by a correct node.
      const other = (name: BlockName): boolean => name.author === block.author && name.round === block.round
      if (this.#inbound[to]?.some(({ unit }) => other(unit))) continue
      const tail = this.#draws.chance(this.#turbulent ? 0.1 : 0.02) ? 30 : 1
      const delay = Math.floor(-Math.log(1 - this.#draws.unit()) * ROUND_US * tail)
      this.#inbound[to]?.push({ unit: block, at: block.round * ROUND_US + delay })
    }
  }

  /** Permuted, shortened, with false times and with units that do not exist. */
  #falseReports(arrived: readonly Arrival[], author: number, round: number): Arrival[] {
    const reports = this.#draws.shuffled(arrived).filter(() => this.#draws.chance(0.8))
    if (this.#draws.chance(0.3)) {
      const old = this.#known.slice(-20).filter((unit) => unit.author !== author)
      if (old.length > 0) reports.push({ unit: this.#draws.pick(old), timeUs: this.#falseTime(round) })
    }
    if (this.#draws.chance(0.3)) {
      const near = { author: (author + 1) % this.#epoch.n, round: Math.max(1, round - this.#draws.below(4)) }
      for (let i = 0; i < 3; i++)
        reports.push({ unit: { ...near, digest: this.#digest() }, timeUs: this.#falseTime(round) })
    }
    const times = reports.map(({ timeUs }) => (this.#draws.chance(0.5) ? timeUs : this.#falseTime(round)))
    times.sort((a, b) => a - b)
    const seen = new Set<Uint8Array>()
    return reports
      .map(({ unit }, i) => ({ unit, timeUs: times[i] as number }))
      .filter(({ unit }) => !seen.has(unit.digest) && seen.add(unit.digest))
  }

  #falseTime(round: number): number {
    return Math.max(0, round * ROUND_US + (this.#draws.unit() - 0.5) * 100_000) >>> 0
  }

  #digest(): Uint8Array {
    const digest = new Uint8Array(32)
    const view = new DataView(digest.buffer)
    view.setUint32(0, this.#draws.below(0x1_0000_0000))
    view.setUint32(28, this.#digests++)
    return digest
  }
}
