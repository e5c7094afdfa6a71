/**
 * The commit rule (consensus.md section 7): reads votes out of the graph, decides slots, and says step by step what is
 * linearised. Agreement costs no message of its own.
 *
 *     accept(vertex) … ─▶ next() ─▶ Step ─▶ evidence, fair order, emission (order/) ─▶ finish(jailed) ─▶ next() …
 *
 * `next` gives one step until `finish` closes it, so that a step can be held while bytes of the one before are fetched.
 */
import type { Domain } from '../bytes/domain.ts'
import type { Reader } from '../bytes/reader.ts'
import type { Writer } from '../bytes/writer.ts'
import { Graph } from '../graph/graph.ts'
import { authorCount, type Vertex } from '../graph/vertex.ts'
import type { Epoch } from '../model/epoch.ts'
import { History } from './history.ts'
import { LinearisedNames, type NamedRounds } from './linearised-names.ts'
import { Decision, RoundSlots } from './round-slots.ts'
import { Schedule } from './schedule.ts'
import { decideDirectly, nonVoters } from './votes.ts'

/** What a step includes. */
export interface Step {
  readonly round: number
  /** Committed blocks of the round's slots, in slot order. */
  readonly committed: readonly Vertex[]
  /** Newly linearised blocks: per committed block sorted by (round, author, digest). */
  readonly linearised: readonly Linearised[]
}

export interface Linearised {
  readonly vertex: Vertex
  /** This is a second version of its (author, round): right after its evidence is counted, its author is jailed. */
  readonly convicts: boolean
}

/** What the end of a step changed. */
export interface Finished {
  /** Rounds up to this one are to be collected in the graph; 0: none. */
  readonly collectRound: number
  /** Whether other authors have slots from the next round on. */
  readonly activeChanged: boolean
}

export class Committer {
  /** The round whose slots are decided next. */
  nextStep = 1
  readonly #graph: Graph
  readonly #domain: Domain
  readonly #history: History
  readonly #schedule: Schedule
  /** Linearised blocks that a snapshot names and that are not here. */
  readonly #names: LinearisedNames
  /** Element i is of round nextStep + i. */
  #rounds: RoundSlots[] = []
  /** Rounds from here down are all looked at by the next pass. */
  #dirtyRoundMin = Number.POSITIVE_INFINITY
  /** The step that is not finished, and who was convicted by it. */
  #open: Step | undefined = undefined
  #convicted = 0

  constructor(graph: Graph, domain: Domain) {
    this.#graph = graph
    this.#domain = domain
    this.#history = new History(graph)
    this.#schedule = new Schedule(graph.epoch)
    this.#names = new LinearisedNames(graph.epoch.n, graph.epoch.constants.keepRounds)
  }

  /** Authors who have slots. */
  get active(): number {
    return this.#schedule.active
  }

  get jailed(): number {
    return this.#schedule.jailed
  }

  get demoted(): number {
    return this.#schedule.demoted
  }

  /** More than f are jailed: the fault model is broken, and no further step comes. */
  get broken(): boolean {
    return this.#schedule.broken
  }

  /** A vertex of the answer of `Graph.receive` or `Graph.collect`. */
  accept(vertex: Vertex): void {
    this.#names.meet(vertex)
    this.#markDirty(vertex.round)
    this.#markDirty(vertex.round - 1)
    this.#markDirty(vertex.round - 2)
  }

  /** The next step once all its slots are decided; undefined: not yet, or the last one is not finished. */
  next(): Step | undefined {
    if (this.#open !== undefined || this.broken) return undefined
    this.#decide()
    const slots = this.#rounds[0]
    if (slots === undefined || slots.undecided > 0) return undefined
    const committed = slots.committed.filter((block) => block !== undefined)
    const linearised: Linearised[] = []
    for (const block of committed) if (!block.linearised) this.#linearise(block, linearised)
    this.#open = { round: this.nextStep, committed, linearised }
    return this.#open
  }

  /** Ends the step that `next` gave; `convicted`: authors whose evidence messages were emitted in it. */
  finish(convicted: number): Finished {
    const round = this.nextStep
    if (this.#open === undefined) return { collectRound: 0, activeChanged: false }
    const { windowRounds, keepRounds } = this.#graph.epoch.constants
    this.#open = undefined
    const windowEnds = round % windowRounds === 0
    if (windowEnds) this.#schedule.judge(this.#goodRounds(round))
    const convicts = (convicted | this.#convicted) & ~this.jailed
    this.#convicted = 0
    this.#schedule.jailed |= convicts
    const activeChanged = (windowEnds || convicts !== 0) && this.#schedule.update()
    this.#rounds.shift()
    this.nextStep = round + 1
    if (activeChanged) this.#forgetDecisions()
    const collectRound = Math.max(0, round - keepRounds)
    this.#names.collect(collectRound)
    this.#names.settle(this.#graph, round - 2 * windowRounds)
    return { collectRound, activeChanged }
  }

  /** Authors that have slots in a round from the next step on, in slot order. */
  slots(round: number): readonly number[] {
    return this.#slotsOf(round)?.authors ?? []
  }

  /** W2 of section 5: whether a quorum of authors votes for one block of the slot, or a quorum for none of its blocks. */
  voted(round: number, author: number): boolean {
    const { q } = this.#graph.epoch
    let none = true
    for (let block = this.#graph.first(round, author); block !== undefined; block = block.other) {
      if (authorCount(block.voters) >= q) return true
      if (authorCount(nonVoters(this.#graph, block)) < q) none = false
    }
    return none
  }

  /** The canonical form of what steps have left behind, for the engine's snapshot (section 11). Between steps only. */
  write(writer: Writer): void {
    writer.u64(this.nextStep)
    this.#schedule.write(writer)
    this.#names.write(writer, this.#graph, this.#namedRounds())
  }

  /** What `write` wrote, with a graph that has yet to receive the blocks above its collected rounds. */
  static read(reader: Reader, epoch: Epoch, domain: Domain): { readonly graph: Graph; readonly committer: Committer } {
    const nextStep = reader.u64()
    if (nextStep < 1) reader.fail('next step is 0')
    const graph = new Graph(epoch, Math.max(0, nextStep - 1 - epoch.constants.keepRounds))
    const committer = new Committer(graph, domain)
    committer.nextStep = nextStep
    committer.#schedule.read(reader)
    committer.#names.read(reader, epoch.n, committer.#namedRounds())
    return { graph, committer }
  }

  #namedRounds(): NamedRounds {
    const { keepRounds, windowRounds } = this.#graph.epoch.constants
    const from = Math.max(0, this.nextStep - 1 - keepRounds) + 1
    return { from, to: this.nextStep - 1, talliedFrom: this.nextStep - windowRounds }
  }

  #markDirty(round: number): void {
    if (round < this.nextStep) return
    const slots = this.#rounds[round - this.nextStep]
    if (slots !== undefined) slots.dirty = true
    if (round < this.#dirtyRoundMin) this.#dirtyRoundMin = round
  }

  /** The slots of a round at or above the next step; those of the rounds up to it are made. */
  #slotsOf(round: number): RoundSlots | undefined {
    if (round < this.nextStep || round > this.#graph.maxRound + 2) return undefined
    while (this.#rounds.length <= round - this.nextStep) {
      const next = this.nextStep + this.#rounds.length
      this.#rounds.push(new RoundSlots(next, this.active, this.#graph.epoch.n, this.#domain))
    }
    return this.#rounds[round - this.nextStep]
  }

  /**
   * One pass from the highest round down, as the rule is written; it stops below the last round that can have changed. A round
   * depends on votes for it, on the decisions three rounds above, and on the anchor of the round above.
   */
  #decide(): void {
    if (this.#dirtyRoundMin === Number.POSITIVE_INFINITY) return
    let changedMin = Number.POSITIVE_INFINITY
    for (let round = this.#graph.maxRound; round >= this.nextStep; round--) {
      const slots = this.#slotsOf(round) as RoundSlots
      const anchor = this.#anchorOf(round)
      const moved = anchor !== slots.anchor
      slots.anchor = anchor
      const undecided = slots.undecided
      if (slots.dirty) this.#decideDirectly(slots)
      if (anchor !== undefined && slots.undecided > 0) this.#decideBy(anchor, slots)
      if (slots.undecided < undecided) changedMin = round
      if (!moved && round <= this.#dirtyRoundMin && round <= changedMin - 3) break
    }
    this.#dirtyRoundMin = Number.POSITIVE_INFINITY
  }

  #anchorOf(round: number): Vertex | undefined {
    if (round + 3 > this.#graph.maxRound) return undefined
    const { decision, block } = (this.#slotsOf(round + 3) as RoundSlots).firstKept()
    return decision === Decision.skip ? this.#slotsOf(round + 1)?.anchor : block
  }

  #decideDirectly(slots: RoundSlots): void {
    slots.dirty = false
    for (let slot = 0; slot < slots.authors.length; slot++) {
      if (slots.decisions[slot] !== Decision.undecided) continue
      const decided = decideDirectly(this.#graph, slots.round, slots.authors[slot] as number)
      if (decided !== undefined) slots.decide(slot, decided === 'skip' ? undefined : decided)
    }
  }

  #decideBy(anchor: Vertex, slots: RoundSlots): void {
    for (let slot = 0; slot < slots.authors.length; slot++) {
      if (slots.decisions[slot] !== Decision.undecided) continue
      slots.decide(slot, this.#history.certified(anchor, slots.round, slots.authors[slot] as number))
    }
  }

  /** Includes a committed block with what is new of its history: counts its votes, and finds those who made two blocks. */
  #linearise(block: Vertex, into: Linearised[]): void {
    const cut = this.nextStep - this.#graph.epoch.constants.keepRounds
    for (const vertex of this.#history.unlinearised(block, cut)) {
      const bit = 1 << vertex.author
      const convicts = ((this.jailed | this.#convicted) & bit) === 0 && this.#isSecond(vertex)
      if (convicts) this.#convicted |= bit
      vertex.linearised = true
      this.#names.changed(vertex.round)
      for (const voted of vertex.votes) voted.tallied |= bit
      into.push({ vertex, convicts })
    }
  }

  #isSecond(vertex: Vertex): boolean {
    if (this.#names.has(vertex.round, vertex.author)) return true
    for (let other = this.#graph.first(vertex.round, vertex.author); other !== undefined; other = other.other) {
      if (other !== vertex && other.linearised) return true
    }
    return false
  }

  /** Rounds of the window that ends with `round` in which an author's block found a quorum of voters. */
  #goodRounds(round: number): number[] {
    const { n, q, constants } = this.#graph.epoch
    const good = Array.from({ length: n }, () => 0)
    for (let x = Math.max(1, round - constants.windowRounds); x <= round - 2; x++) {
      for (let author = 0; author < n; author++) {
        let block = this.#graph.first(x, author)
        while (block !== undefined && authorCount(block.tallied) < q) block = block.other
        if (block !== undefined || this.#names.good(x, author, q)) good[author] = (good[author] as number) + 1
      }
    }
    return good
  }

  #forgetDecisions(): void {
    for (const slots of this.#rounds) slots.reset(this.active)
    this.#dirtyRoundMin = this.nextStep
  }
}
