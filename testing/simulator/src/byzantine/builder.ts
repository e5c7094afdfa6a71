/**
 * A lying node that builds its own blocks. It has no engine: it keeps the blocks it was sent, and whenever a quorum of a round is
 * there it makes its block of the next, or several, or a strange one, and shows them to whom it likes. All it makes is well-formed
 * and rightly signed, so that only the rules of the protocol stand against it.
 *
 * What it can do is a set of habits; each acts on some of its blocks only, since a node that always lies is soon left alone.
 */
import { encodeBlock, makeBlock } from '../../../../packages/consensus/src/bytes/block-codec.ts'
import { Domain, signedBlockBytes } from '../../../../packages/consensus/src/bytes/domain.ts'
import {
  type BlocksEntry,
  decodeFrame,
  encodeBlockFrame,
  encodeFrame,
} from '../../../../packages/consensus/src/bytes/frames.ts'
import {
  type Block,
  type BlockMessage,
  isUnit,
  MessageKind,
  type Reference,
} from '../../../../packages/consensus/src/model/block.ts'
import type { Cryptography } from '../../../../packages/consensus/src/model/cryptography.ts'
import type { Epoch } from '../../../../packages/consensus/src/model/epoch.ts'
import { describeBlock } from '../invariants/watch.ts'
import type { BuilderHabit } from '../scenario.ts'
import type { Agenda } from '../world/agenda.ts'
import type { BlockReader } from '../world/block-reader.ts'
import { epochStartUs } from '../world/clock.ts'
import type { Draws } from '../world/draws.ts'
import { liarMark } from '../world/traffic.ts'
import { junkName, parentsOf, tableOf } from './references.ts'

export interface BuilderOptions {
  readonly index: number
  readonly genesis: Epoch
  readonly agenda: Agenda
  readonly draws: Draws
  readonly baseUs: number
  readonly habits: ReadonlySet<BuilderHabit>
  readonly cryptography: Cryptography
  readonly reader: BlockReader
  readonly send: (to: number, frame: Uint8Array) => void
  /** Liars that are told of everything this one makes. */
  readonly fellows: () => readonly LyingBuilder[]
  readonly made: (block: Block) => void
  readonly trace?: ((line: string) => void) | undefined
}

const hourUs = 3_600_000_000
/** Rounds that it remembers below the highest. */
const memoryRounds = 200
const versionsMax = 8

export class LyingBuilder {
  readonly index: number
  readonly #o: BuilderOptions
  readonly #domain: Domain
  /** By round, by author: the versions it knows. */
  readonly #blocks = new Map<number, Block[][]>()
  /** Received units that no block of its reports yet. */
  #unreported: { block: Block; recvUs: number }[] = []
  readonly #units = new Set<string>()
  #last = 0
  #seq = 1
  #isDue = false
  #isStopped = true

  constructor(options: BuilderOptions) {
    this.index = options.index
    this.#o = options
    this.#domain = new Domain(options.genesis.hash, options.cryptography)
  }

  start(): void {
    this.#isStopped = false
    this.#wake(0)
  }

  stop(): void {
    this.#isStopped = true
  }

  link(): void {
    // It keeps to nothing that a new link asks for.
  }

  receive(from: number, frame: Uint8Array): void {
    if (this.#isStopped) return
    const blocks = this.#o.reader.ofFrame(frame)
    for (const block of blocks) this.learn(block)
    if (blocks.length === 0) this.#answer(from, frame)
  }

  /** A block that came, or that a fellow shows. */
  learn(block: Block): void {
    if (!this.#remember(block) || block.author === this.index) return
    const key = `${block.round}/${block.author}`
    if (isUnit(block) && !this.#units.has(key)) {
      this.#units.add(key)
      this.#unreported.push({ block, recvUs: this.#now() })
    }
    this.#wake(block.round)
  }

  #has(habit: BuilderHabit, probability: number): boolean {
    return this.#o.habits.has(habit) && this.#o.draws.chance(probability)
  }

  #now(): number {
    return epochStartUs + this.#o.agenda.nowUs
  }

  /** False if it was known. */
  #remember(block: Block): boolean {
    let row = this.#blocks.get(block.round)
    if (row === undefined) {
      row = Array.from({ length: this.#o.genesis.n }, () => [])
      this.#blocks.set(block.round, row)
      this.#blocks.delete(block.round - memoryRounds)
    }
    const versions = row[block.author] as Block[]
    if (versions.some((known) => Buffer.compare(known.digest, block.digest) === 0)) return false
    versions.push(block)
    return true
  }

  /** Makes the block behind a round soon, if a quorum of that round is here. */
  #wake(round: number): void {
    const { genesis, agenda, draws, baseUs } = this.#o
    const authors = (this.#blocks.get(round) ?? []).filter((versions) => versions.length > 0).length
    if (this.#isDue || round < this.#last || (round > 0 && authors < genesis.q)) return
    this.#isDue = true
    agenda.after(draws.below(baseUs), () => {
      this.#isDue = false
      if (!this.#isStopped) this.#make(round + 1)
    })
  }

  #make(round: number): void {
    if (round <= this.#last) return
    this.#last = round
    const versions = this.#has('fork', 0.4) ? this.#o.draws.between(2, versionsMax) : 1
    const first = this.#build(round, { seq: this.#seq, reports: true })
    const made = [first]
    while (made.length < versions) made.push(this.#build(round, { seq: this.#seq, reports: this.#o.draws.chance(0.7) }))
    this.#seq = this.#nextSeq(first.messageCount)
    this.#unreported = []
    for (const block of made) {
      this.#remember(block)
      this.#o.made(block)
      this.#o.trace?.(`${this.index} lies ${describeBlock(block)}`)
      for (const fellow of this.#o.fellows()) fellow.learn(block)
    }
    this.#show(made)
    // Others may have gone on meanwhile.
    this.#wake(round)
  }

  /** The number of its next message: behind those it has used, or some of them again. */
  #nextSeq(used: number): number {
    const { draws } = this.#o
    if (this.#has('shuffle', 0.3)) return Math.max(1, this.#seq - draws.below(4))
    return this.#seq + used + draws.below(2)
  }

  #build(round: number, { seq, reports }: { readonly seq: number; readonly reports: boolean }): Block {
    const { draws, genesis, cryptography, habits } = this.#o
    const shiftUs = this.#has('times', 0.5) ? draws.between(-hourUs, hourUs) : 0
    const tsUs = this.#now() + shiftUs
    const parents = parentsOf({ round, author: this.index, blocks: this.#blocks, draws, q: genesis.q })
    if (habits.has('junkParents') && draws.chance(0.2)) {
      const edge = Math.max(1, round - genesis.constants.keepRounds + draws.between(-3, 6))
      if (edge < round - 1) parents.push(junkName(draws, genesis.n, this.index, edge))
    }
    const reported = reports ? this.#reports(tsUs, round) : []
    const table = tableOf(parents, reported, { refsMax: genesis.constants.refsMax })
    return makeBlock(
      { author: this.index, round, tsUs, references: table, messages: this.#messages(seq) },
      genesis,
      this.#domain,
      (digest) => cryptography.sign(signedBlockBytes(digest)),
    )
  }

  /** What it says to have received: in truth, or less, more, in another order, at other times. */
  #reports(tsUs: number, round: number): Reference[] {
    const { draws, genesis } = this.#o
    const { reportAgeRounds, reportAheadRounds } = genesis.constants
    let units: { author: number; round: number; digest: Uint8Array; recvUs: number }[] = this.#unreported
      .filter(({ block }) => block.round >= round - reportAgeRounds && block.round <= round + reportAheadRounds)
      .map(({ block, recvUs }) => ({ author: block.author, round: block.round, digest: block.digest, recvUs }))
    if (this.#has('omit', 0.5)) units = units.filter(() => draws.chance(0.5))
    if (this.#has('junkReports', 0.3)) {
      const junk = junkName(draws, genesis.n, this.index, Math.max(1, round - draws.below(5)))
      units.push({ ...junk, recvUs: this.#now() })
    }
    const times = units.map(({ recvUs }) => Math.min(tsUs, recvUs + (this.#has('times', 0.3) ? -hourUs : 0)))
    times.sort((a, b) => a - b)
    if (this.#has('shuffle', 0.7)) units = draws.shuffled(units)
    return units.map((unit, i) => ({ ...unit, recvUs: times[i] as number, parent: false, report: true }))
  }

  #messages(seq: number): BlockMessage[] {
    const { draws } = this.#o
    const count = draws.chance(0.4) ? draws.between(1, 3) : 0
    return Array.from({ length: count }, (_, i) => ({
      kind: MessageKind.payload,
      seq: seq + i,
      recvUs: this.#now(),
      bytes: Uint8Array.of(liarMark, this.index, draws.below(256), draws.below(256), draws.below(256)),
    }))
  }

  /** Each version to its part of the peers; or the only one, to all, few, late or never. */
  #show(made: readonly Block[]): void {
    const { draws, genesis, baseUs } = this.#o
    const peers = Array.from({ length: genesis.n }, (_, peer) => peer).filter((peer) => peer !== this.index)
    let shown = peers
    if (this.#has('selective', 0.5)) {
      shown = draws.shuffled(peers).slice(0, draws.chance(0.5) ? genesis.q - 1 : genesis.w)
    }
    if (this.#has('withhold', 0.3)) shown = shown.filter(() => draws.chance(0.3))
    const lateUs = this.#has('late', 0.3) ? draws.between(1, 12) * baseUs : 0
    // Fellows that show their forks by one rule split the others alike.
    const split = this.#o.fellows().length > 0 ? (peer: number) => peer : this.#splitting(made.length, peers)
    for (const peer of shown) {
      const block = made[split(peer) % made.length] as Block
      const frame = encodeBlockFrame(block)
      if (lateUs === 0) this.#o.send(peer, frame)
      else this.#o.agenda.after(lateUs, () => this.#o.send(peer, frame))
    }
  }

  /** Which version a peer is shown: any; or the second to w or to one of them, and the first to the others. */
  #splitting(versions: number, peers: readonly number[]): (peer: number) => number {
    const { draws, genesis } = this.#o
    if (draws.chance(0.5)) return () => draws.below(versions)
    const few = new Set(draws.shuffled(peers).slice(0, draws.chance(0.5) ? genesis.w : 1))
    return (peer) => (few.has(peer) ? 1 : 0)
  }

  #answer(from: number, bytes: Uint8Array): void {
    const { genesis } = this.#o
    const decoded = decodeFrame(bytes, genesis.constants.blockBytesMax)
    if (!decoded.ok || decoded.value.type !== 'fetch' || this.#has('refuse', 0.7)) return
    const { request, names } = decoded.value
    const entries = names.map((name): BlocksEntry => {
      const versions = this.#blocks.get(name.round)?.[name.author] ?? []
      const found = versions.find((block) => Buffer.compare(block.digest, name.digest) === 0)
      return found === undefined ? { ...name, type: 'unknown' } : { type: 'block', bytes: encodeBlock(found) }
    })
    this.#o.send(from, encodeFrame({ type: 'blocks', request, last: true, entries }))
  }
}
