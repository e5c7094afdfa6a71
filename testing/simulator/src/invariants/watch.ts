/**
 * Sees everything that correct nodes are told and do, and holds it against every invariant of section 18 at once. Liars are not
 * watched: they may do what they like.
 */
import { RecordKind } from '../../../../packages/consensus/src/core/records.ts'
import type { Block } from '../../../../packages/consensus/src/model/block.ts'
import { isUnit } from '../../../../packages/consensus/src/model/block.ts'
import type { Alarm, OrderedBatch, WalRecord } from '../../../../packages/consensus/src/model/effect.ts'
import type { Epoch } from '../../../../packages/consensus/src/model/epoch.ts'
import type { Status } from '../../../../packages/consensus/src/model/status.ts'
import type { BlockReader } from '../world/block-reader.ts'
import type { NodeObserver, SimulatedNode } from '../world/node.ts'
import { Agreement } from './agreement.ts'
import { Fairness } from './fairness.ts'
import { OwnBlocks } from './own-blocks.ts'
import { Excused, violated } from './violation.ts'

interface WatchOptions {
  readonly genesis: Epoch
  /** All nodes of the run that hold an engine under test, by index; the others are liars. */
  readonly correct: readonly number[]
  /** A node whose disk is lost during the run: counted among the faulty where reports matter. */
  readonly forgetful: number | undefined
  /** It is not told that its disk was lost. */
  readonly untold: boolean
  readonly reader: BlockReader
  /** Virtual time. */
  readonly nowUs: () => number
  readonly nodeOf: (node: number) => SimulatedNode
  readonly trace?: ((line: string) => void) | undefined
}

/** Submissions of one node that wait for a place: more than any run has. */
const submissionsMax = 100_000

export class Watch implements NodeObserver {
  readonly agreement: Agreement
  readonly fairness: Fairness
  /** Highest round of an own block that left, by node. */
  readonly lastRounds: Float64Array
  /** The highest of them. */
  highestRound = 0
  /** Own blocks that left correct nodes. */
  blocksMade = 0
  /** From submission to place at the submitter, in own rounds. */
  readonly latencies: number[] = []
  readonly jailed = new Set<number>()
  fairCuts = 0
  fairLate = 0
  readonly #o: WatchOptions
  readonly #ownBlocks: OwnBlocks
  readonly #isCorrect: readonly boolean[]
  /** By node and submission: the round of the node at that time. */
  readonly #submittedAt: Map<number, { number: number; round: number }>[]
  /** Authors of two versions of a block, as the world knows. */
  readonly #forkers = new Set<number>()
  readonly #versions = new Map<string, Uint8Array>()

  constructor(options: WatchOptions) {
    const { genesis, correct, forgetful, untold, reader } = options
    const { n } = genesis
    this.#o = options
    this.#isCorrect = Array.from({ length: n }, (_, node) => correct.includes(node))
    this.agreement = new Agreement(n, (node) => this.#isCorrect[node] === true, options.nowUs)
    this.fairness = new Fairness(
      n,
      correct.filter((node) => node !== forgetful),
    )
    this.#ownBlocks = new OwnBlocks(n, { untold, blockOfRecord: (record) => reader.ofRecord(record) })
    this.lastRounds = new Float64Array(n)
    this.#submittedAt = Array.from({ length: n }, () => new Map())
  }

  /** Submissions of this node that were not answered yet. */
  unanswered(node: number): number {
    return this.#submittedAt[node]?.size ?? 0
  }

  submitted(node: number, id: number, number: number): void {
    const pending = this.#submittedAt[node] as Map<number, { number: number; round: number }>
    if (pending.size > submissionsMax) violated(`Node ${node} holds more than ${submissionsMax} submissions`)
    pending.set(id, { number, round: this.lastRounds[node] as number })
  }

  /** A liar's block, so that it is known who really forked. */
  liarMade(block: Block): void {
    const key = `${block.epoch}/${block.author}/${block.round}`
    const known = this.#versions.get(key)
    if (known === undefined) this.#versions.set(key, block.digest)
    else if (Buffer.compare(known, block.digest) !== 0) this.#forkers.add(block.author)
  }

  arrived(node: number, _from: number, frame: Uint8Array): void {
    for (const block of this.#o.reader.ofFrame(frame)) {
      if (block.author !== node && isUnit(block)) this.#unitArrived(node, block)
    }
  }

  checked(node: number): void {
    this.fairness.checked(node)
  }

  leaves(node: number, frame: Uint8Array): void {
    for (const block of this.#o.reader.ofFrame(frame)) if (block.author === node) this.#ownBlockLeaves(node, block)
  }

  appended(node: number, records: readonly WalRecord[]): void {
    for (const record of records) {
      if (record.kind !== RecordKind.own) continue
      const block = this.#o.reader.ofRecord(record)
      // An own unit stands behind what its block reports.
      if (block === undefined || !isUnit(block)) continue
      this.#unitArrived(node, block)
      this.fairness.made(node)
    }
  }

  durable(node: number, records: readonly WalRecord[]): void {
    this.#ownBlocks.durable(node, records)
  }

  emitted(node: number, batch: OrderedBatch): void {
    const { unit, step } = batch
    this.#o.trace?.(`${node} step ${step} emits ${unit.author}/${unit.round}, ${batch.messages.length} messages`)
    this.agreement.emitted(node, batch)
    const status = this.#o.nodeOf(node).status
    if (status !== undefined) this.#noteStatus(node, status)
    const [first] = batch.messages
    if (first !== undefined) this.fairness.emitted(unit, step, first.consensusUs)
  }

  installed(node: number, position: number): void {
    this.agreement.resumed(node, position)
  }

  placed(node: number, id: number, position: number): void {
    const pending = this.#submittedAt[node]?.get(id)
    if (pending === undefined) violated(`Node ${node} places submission ${id}, which it was not given`)
    this.#submittedAt[node]?.delete(id)
    this.latencies.push((this.lastRounds[node] as number) - pending.round)
    this.agreement.placed(node, pending.number, position)
  }

  kept(node: number, id: number): void {
    const pending = this.#submittedAt[node]?.get(id)
    // It may have its place already.
    if (pending !== undefined) this.agreement.kept(node, pending.number)
  }

  refused(node: number, id: number, why: string): void {
    const pending = this.#submittedAt[node]?.get(id)
    if (pending === undefined) violated(`Node ${node} refuses submission ${id} (${why}), which it was not given`)
    this.#submittedAt[node]?.delete(id)
    this.agreement.excuse(node, pending.number)
  }

  alarm(node: number, alarm: Alarm): void {
    switch (alarm.type) {
      case 'jailed':
        this.jailed.add(alarm.author)
        if (this.#ownBlocks.excused.has(alarm.author)) throw new Excused()
        if (this.#isCorrect[alarm.author]) violated(`Node ${node} jails ${alarm.author}, which is correct`)
        if (!this.#forkers.has(alarm.author)) violated(`Node ${node} jails ${alarm.author}, which did not fork`)
        break
      case 'tooManyJailed':
        violated(`Node ${node} says that more than f nodes forked`)
        break
      case 'divergence':
        violated(`Node ${node} says that the order diverged at step ${alarm.step}`)
        break
      case 'amnesia':
        // It was told so: its disk is lost.
        break
      case 'fairCut':
        this.fairCuts = Math.max(this.fairCuts, alarm.count)
    }
  }

  crashed(node: number): void {
    this.agreement.excuseAll(node, { disk: false })
    this.fairness.crashed(node)
    this.#submittedAt[node]?.clear()
  }

  /** The disk of a node is gone, and what was promised with it. */
  lost(node: number): void {
    this.agreement.excuseAll(node, { disk: true })
    this.#ownBlocks.lost(node)
  }

  restarted(node: number, position: number): void {
    this.agreement.resumed(node, position)
  }

  #noteStatus(node: number, status: Status): void {
    this.fairCuts = Math.max(this.fairCuts, status.fairCuts)
    this.fairLate = Math.max(this.fairLate, status.fairLate)
    this.agreement.schedule(node, status)
  }

  #unitArrived(node: number, block: Block): void {
    const simulated = this.#o.nodeOf(node)
    const round = simulated.status?.round ?? 0
    const ahead = block.round > round + this.#o.genesis.constants.reportAheadRounds
    this.fairness.arrived(node, block, simulated.clock.read(), { ahead })
  }

  #ownBlockLeaves(node: number, block: Block): void {
    if (block.round > (this.lastRounds[node] as number)) {
      this.lastRounds[node] = block.round
      this.highestRound = Math.max(this.highestRound, block.round)
      this.blocksMade++
      this.#o.trace?.(`${node} makes ${describeBlock(block)}`)
    }
    const status = this.#o.nodeOf(node).status
    if (status === undefined) return
    this.#noteStatus(node, status)
    this.#ownBlocks.leaves(node, block, status.nextStep - 1 - this.#o.genesis.constants.keepRounds)
  }
}

export function describeBlock({ round, messageCount, references, digest }: Block): string {
  const parents = references.filter(({ parent }) => parent).map(({ author, round: of }) => `${author}/${of}`)
  const reports = references.filter(({ report }) => report).map(({ author, round: of }) => `${author}/${of}`)
  const name = Buffer.from(digest.subarray(0, 3)).toString('hex')
  return `round ${round} (${name}), ${messageCount} messages, parents ${parents.join(' ')}, reports ${reports.join(' ')}`
}
