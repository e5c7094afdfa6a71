/**
 * The order of a cluster: commands of this node go into the log that all nodes agree on, and every node applies what comes out
 * (architecture sections 3.1 and 3.2).
 *
 *   submit ─▶ open bundle ─▶ end of the turn ─▶ log ─ ─ ─ agreement ─ ─ ─▶ ordered ─▶ machine ─▶ effects, answers
 *
 * One bundle takes all that was submitted in a turn of the event loop, and more while many are on their way. An answer leaves
 * when its command was applied here: then it is ordered, and durable on a quorum. Where the machine is kept on disk, that is
 * this node's memory of how far it got; no answer waits for it. Among the threads of one process nobody else has it, so what an
 * answer promises is on the disk before it leaves.
 *
 * A node that reads of its own fall, or finds its life over, begins another one.
 */
import { MessageKind, type Status } from '@concordmq/consensus'
import { PublishRun } from '@concordmq/protocol'
import {
  type BundleEffects,
  type BundleHead,
  BundleWriter,
  type Command,
  type ConnectionId,
  decodeCommand,
  type Effects,
  eachItem,
  encodeCommand,
  HELD_BUNDLES_MAX,
  HELD_BYTES_MAX,
  type Machine,
  type Message,
  type Outcome,
  type PlacedMessage,
  type PlacedRun,
  type PublishCommand,
  type RunAuthor,
  type RunOutcome,
  readRun,
} from '@concordmq/state'
import type { Journal } from '../model/journal.ts'
import type { Order, Unplaced } from '../model/order.ts'
import type { OrderedLog, OrderedUnit, Placement, SealedVerdict } from '../model/ordered-log.ts'
import type { Sequencer } from '../model/sequencer.ts'
import type { Counters } from '../telemetry/counters.ts'
import type { Logger } from '../telemetry/logger.ts'
import { SealedSubmissions } from './sealed-submissions.ts'

/** What the driver of the machine's effects does beyond those of a single node. */
export interface ClusterEffects extends Effects {
  /** `had`: who got it before it had its place. */
  run(run: PublishRun, placed: PlacedRun, had: ReadonlySet<unknown> | undefined): void
  published(placed: PlacedMessage, publisher: ConnectionId | undefined, had?: ReadonlySet<unknown>): void
}

export interface BftSequencerOptions {
  readonly machine: Machine
  readonly effects: ClusterEffects
  readonly journal: Journal
  readonly log: OrderedLog
  readonly logger: Logger
  readonly counters: Pick<Counters, 'sealedPublished' | 'sealedVoid'>
  readonly nowMs: () => number
  /** Told of memory outside the engine's heap that bundles took, where they are read from memory that threads share. */
  readonly took?: ((bytes: number) => void) | undefined
  /** A life of this node begins, or is over: from then on, or until then, clients are served. */
  readonly serving: (serves: boolean) => void
  /** Such a life has been asked for: connections of it may be let in before the order has it, where that is wanted. */
  readonly announced?: () => void
  /** Nothing is ordered from now on. */
  readonly stalls: () => void
  /** What is submitted then, or is under way, may be acknowledged when this node's disk has it. */
  readonly keepsInStall: boolean
}

/** So many bundles may be on their way; a later one goes on growing. Below what the machine holds of a node. */
const BUNDLES_MAX = HELD_BUNDLES_MAX / 4
/** While so many are on their way, one that is small waits for the next turn. */
const BUNDLES_EAGER = 8
/** A bundle of this size leaves although many are on their way. */
const BUNDLE_BYTES = 128 * 1024
/** A bundle that a message would make larger than this leaves before it: both fit into a block of the order, together they need not. */
const BUNDLE_BYTES_MAX = 976 * 1024
/**
 * Largest command, or run of messages, in a cluster: it fits into a block alone, whatever else the block has to say. A message that is larger for the
 * length of its client's identifier and of a topic behind an alias is refused; it would never have a place.
 */
const ITEM_BYTES_MAX = (1024 - 17) * 1024
/** Names below this many characters are not looked at to know how long they are. */
const NAME_SHORT = 1024
/** Bytes that are submitted and not applied: above, publishers wait. */
const SUBMITTED_BYTES_MAX = HELD_BYTES_MAX / 4
const RETRY_MS = 50
/** Longest timer; a later deadline is looked at again then. */
const TIMER_MS_MAX = 60_000
/** Nodes notice a deadline one after the other, so that one tick is submitted and not one each. */
const STAGGER_MS = 100
/** A tick may be given a time just before the deadline: the next one comes after this long. */
const TICK_MS_MIN = 20
/** Nodes of a cluster. */
const NODES_MAX = 31
/** How often the log hears how far this node got. */
const ACKNOWLEDGE_MS = 1000
/** How often the journal hears of positions that no command took. */
const RESERVE_STEP = 65_536
/** While a node is gone, ticks come so often that its fall needs no other traffic: parts of the time-out. */
const ABSENCE_TICKS = 16

/** Of one item: called when it is applied, and when what it promises is kept. */
interface Answer {
  readonly applied?: ((outcome: Outcome) => void) | undefined
  readonly kept?: ((outcome: Outcome) => void) | undefined
  /** What is done about it while nothing is ordered: of a run, or of one message. */
  readonly run?: Unplaced<PublishRun> | undefined
  readonly message?: Unplaced<Message> | undefined
}

/** By item: who had it before it had its place. */
type Dispatched = Map<number, ReadonlySet<unknown>>

interface Bundle {
  readonly number: number
  readonly bytes: Uint8Array
  readonly answers: readonly (Answer | undefined)[]
  dispatched: Dispatched | undefined
  /** This node's disk has it by itself. */
  isKept: boolean
  /** The log's name for it, once it is there. */
  submission: number | undefined
}

const STALE: Outcome = { type: 'stale' }
/** Quota exceeded. */
const TOO_LARGE: Outcome = { type: 'refused', reasonCode: 0x97 }
const NONE_TAKEN: RunOutcome = { type: 'run', taken: 0, duplicates: 0 }

export class BftSequencer implements Sequencer, Order {
  readonly #o: BftSequencerOptions
  readonly #effects: BundleEffects
  readonly #writer: BundleWriter
  readonly #isOneProcess: boolean
  readonly #itemBytesMax: number
  readonly #sealed: SealedSubmissions
  #open: (Answer | undefined)[] = []
  #openDispatched: Dispatched | undefined
  /** Who had what is being applied. */
  #had: ReadonlySet<unknown> | undefined
  #stalled = false
  /** Shows runs of bundles that are under way. */
  readonly #run = new PublishRun()
  #number = 0
  #incarnation = 0
  /** The number of this node in its present life. */
  #node = -1
  /** The `start` of this life is applied. */
  #begun = false
  #closed = false
  readonly #underWay = new Map<number, Bundle>()
  /** Of those, the ones that wait for this life to begin: if it does not, nobody need order them. */
  readonly #early: Bundle[] = []
  #underWayBytes = 0
  #flush: NodeJS.Immediate | undefined
  readonly #retries: Bundle[] = []
  #retryTimer: NodeJS.Timeout | undefined
  #nextPosition: number
  #appliedMs: number
  #acknowledgeTimer: NodeJS.Timeout | undefined
  /** The journal is told again at this position. */
  #reserveAt = 0
  /** The machine's durable version before the item that is being applied. */
  #durableBefore = 0
  #timer: NodeJS.Timeout | undefined
  #timerMs = Number.POSITIVE_INFINITY
  #tickedMs = Number.NEGATIVE_INFINITY
  /** When the link to a node was lost, monotonic ms, by node. */
  readonly #goneMs = new Map<number, number>()
  readonly #waiting: (() => void)[] = []
  /** Messages that the order has had, of all nodes. */
  messages = 0

  constructor(options: BftSequencerOptions) {
    this.#o = options
    const isOneProcess = options.log.isOneProcess === true
    this.#isOneProcess = isOneProcess
    this.#writer = new BundleWriter({ packets: isOneProcess })
    this.#itemBytesMax = isOneProcess ? Number.POSITIVE_INFINITY : ITEM_BYTES_MAX
    this.#appliedMs = options.nowMs()
    const { machine, effects } = options
    // Position 0 is a position of the log, and the place of a machine that has none.
    this.#nextPosition = machine.position === 0 && machine.timeUs === 0 ? 0 : machine.position + 1
    this.#effects = {
      published: (placed, publisher) => {
        this.messages++
        effects.published(placed, publisher, this.#had)
      },
      queued: (...entry) => effects.queued(...entry),
      deliver: (...delivery) => effects.deliver(...delivery),
      connectionEnded: (...end) => effects.connectionEnded(...end),
      sessionEnded: (clientId, reason) => effects.sessionEnded(clientId, reason),
      dropped: (clientId, q, reason) => effects.dropped(clientId, q, reason),
      retainedExpired: (topic) => effects.retainedExpired?.(topic),
      willPublished: (clientId, will) => effects.willPublished?.(clientId, will),
      administered: (subject) => effects.administered?.(subject),
      run: (run, placed) => {
        this.messages++
        effects.run(run, placed, this.#had)
      },
      applying: (node, head, item) => this.#applying(node, head, item),
      answered: (node, head, item, outcome) => this.#answered(node, head, item, outcome),
      nodeFell: (node, incarnation) => this.#nodeFell(node, incarnation),
    }
    this.#sealed = new SealedSubmissions({ ...options, roomChanged: () => this.#letPublishersOn() }, this.#effects)
  }

  /** The life of this node that counts now, or will when its `start` is applied. */
  get incarnation(): number {
    return this.#incarnation
  }

  /** Whether clients may be served: this life of the node is in the order. */
  get serves(): boolean {
    return this.#begun && !this.#closed
  }

  /** This life is asked for, and the order does not have it yet: this node lags, or too few others are there. */
  get isBehind(): boolean {
    return this.#incarnation > 0 && this.#node >= 0 && !this.#begun && !this.#closed
  }

  /** All positions below are applied. */
  get nextPosition(): number {
    return this.#nextPosition
  }

  /**
   * The machine has the state of a snapshot: all below this position is in it. What this node did for its clients meanwhile is not
   * known, so this life of it ends.
   */
  skipTo(position: number): void {
    this.#nextPosition = position
    this.#appliedMs = this.#o.nowMs()
    this.#o.journal.changed()
    // A life that is only asked for, and is not among those below that position, is still to come.
    const { machine, log } = this.#o
    if (this.#begun || (this.#incarnation > 0 && machine.incarnationOf(log.node) >= this.#incarnation)) this.#endLife()
  }

  // ---------------------------------------------------------------- what is submitted

  submit(command: Command, kept?: (outcome: Outcome) => void, applied?: (outcome: Outcome) => void): void {
    if (command.type === 'start') {
      this.#start(command.incarnation)
      return
    }
    const answer = kept === undefined && applied === undefined ? undefined : { applied, kept }
    if (this.#write(command)) this.#add(answer)
    else if (answer !== undefined) setImmediate(tell, answer, TOO_LARGE)
  }

  /** False: it is too large for the order. */
  #write(command: Command): boolean {
    const bytes = encodeCommand(command)
    if (bytes.length > this.#itemBytesMax) return false
    this.#makeRoom(bytes.length)
    this.#writer.encoded(bytes)
    return true
  }

  submitRun(
    run: PublishRun,
    author: RunAuthor,
    answer: (outcome: Outcome | RunOutcome) => void,
    unplaced?: Unplaced<PublishRun>,
  ): void {
    const { publisher } = author
    const name = publisher.length < NAME_SHORT ? 3 * publisher.length : Buffer.byteLength(publisher)
    const bytes = run.end - run.start + run.partsBytes + name + run.topicEnd - run.topicStart
    if (bytes > this.#itemBytesMax) {
      setImmediate(answer, NONE_TAKEN)
      return
    }
    this.#makeRoom(bytes)
    this.#writer.run(run, author)
    const had = this.#stalled ? unplaced?.dispatch(run) : undefined
    // What becomes of a run is told like any outcome.
    this.#add({ kept: answer as (outcome: Outcome) => void, run: unplaced }, had)
  }

  submitPublish(command: PublishCommand, answer: (outcome: Outcome) => void, unplaced?: Unplaced<Message>): void {
    if (!this.#write(command)) {
      setImmediate(answer, TOO_LARGE)
      return
    }
    const had = this.#stalled ? unplaced?.dispatch(command.message) : undefined
    this.#add({ kept: answer, message: unplaced }, had)
  }

  submitSealed(command: PublishCommand, answer: (outcome: Outcome) => void): void {
    this.#sealed.submit(command, answer)
  }

  get stalled(): boolean {
    return this.#stalled
  }

  get full(): boolean {
    return this.#underWayBytes + this.#writer.length + this.#sealed.bytes > SUBMITTED_BYTES_MAX
  }

  whenRoom(goOn: () => void): void {
    this.#waiting.push(goOn)
  }

  /** Positions are the log's. */
  take(): void {}

  /** In a cluster others keep what this node's disk does not take. */
  get trouble(): boolean {
    return this.#isOneProcess && this.#o.journal.trouble
  }

  /** Time of the last applied position, plus what has passed here since. */
  nowUs(): number {
    return this.#o.machine.timeUs + Math.floor((this.#o.nowMs() - this.#appliedMs) * 1000)
  }

  close(): void {
    this.#closed = true
    if (this.#flush !== undefined) clearImmediate(this.#flush)
    clearTimeout(this.#timer)
    clearTimeout(this.#retryTimer)
    clearTimeout(this.#acknowledgeTimer)
    this.#sealed.close()
  }

  #start(incarnation: number): void {
    this.#begun = false
    this.#giveUp()
    // Above all lives that this machine knows of; of one that it does not know, the order tells.
    const { machine, log } = this.#o
    this.#incarnation = Math.max(incarnation, machine.incarnationOf(log.node) + 1)
    this.#number = 0
    this.#node = log.node
    this.#sealed.begin(this.#incarnation)
    // In no book: an epoch that has this node begins its life.
    if (log.node < 0) return
    this.#writer.begin(this.#incarnation, 0)
    this.#writer.command({ type: 'start', node: log.node, incarnation: this.#incarnation })
    this.#open = [undefined]
    this.#send()
    this.#o.announced?.()
  }

  /** Nobody will answer what was submitted: this life is over. */
  #giveUp(): void {
    this.#sealed.giveUp()
    const answers = [...this.#underWay.values()].flatMap((bundle) => bundle.answers)
    answers.push(...this.#open)
    this.#underWay.clear()
    this.#early.length = 0
    this.#underWayBytes = 0
    this.#retries.length = 0
    this.#open = []
    this.#openDispatched = undefined
    for (const answer of answers) if (answer !== undefined) tell(answer, STALE)
  }

  #makeRoom(bytes: number): void {
    if (this.#writer.length + bytes > BUNDLE_BYTES_MAX && this.#open.length > 0) this.#send()
  }

  #add(answer: Answer | undefined, had?: ReadonlySet<unknown>): void {
    if (had !== undefined) {
      this.#openDispatched ??= new Map()
      this.#openDispatched.set(this.#open.length, had)
    }
    this.#open.push(answer)
    if (!this.#begun || this.#closed) return
    if (this.#writer.length >= BUNDLE_BYTES && this.#underWay.size < BUNDLES_MAX) this.#send()
    else this.#flush ??= setImmediate(() => this.#endTurn())
  }

  #endTurn(): void {
    this.#flush = undefined
    const { size } = this.#underWay
    const isDue =
      size < BUNDLES_EAGER ||
      this.#openDispatched !== undefined ||
      (this.#writer.length >= BUNDLE_BYTES && size < BUNDLES_MAX)
    // Else it leaves when one of those on their way is applied.
    if (this.#open.length > 0 && this.#begun && isDue) this.#send()
  }

  /** The open bundle leaves, and another is opened. */
  #send(): void {
    const bundle: Bundle = {
      number: this.#number,
      bytes: this.#writer.take(),
      answers: this.#open,
      dispatched: this.#openDispatched,
      isKept: false,
      submission: undefined,
    }
    this.#openDispatched = undefined
    this.#underWay.set(bundle.number, bundle)
    this.#underWayBytes += bundle.bytes.length
    this.#o.took?.(bundle.bytes.length)
    this.#open = []
    this.#number++
    this.#writer.begin(this.#incarnation, this.#number)
    if (this.#begun || bundle.number === 0) this.#submitBundle(bundle)
    else this.#early.push(bundle)
  }

  #submitBundle(bundle: Bundle): void {
    const keeps = (): boolean => this.#stalled && this.#o.keepsInStall
    const kept = keeps() ? (): void => this.#kept(bundle) : undefined
    bundle.submission = this.#o.log.submit(bundle.bytes, (placement) => this.#placed(bundle, placement), kept)
    // The order may have stopped just now.
    if (kept === undefined && keeps()) this.#keep(bundle)
  }

  /** One that is not with the log yet is kept when it gets there. */
  #keep(bundle: Bundle): void {
    if (bundle.submission !== undefined) this.#o.log.keep(bundle.submission, () => this.#kept(bundle))
  }

  #kept(bundle: Bundle): void {
    bundle.isKept = true
    for (const item of bundle.dispatched?.keys() ?? []) {
      const { run, message } = bundle.answers[item] as Answer
      run?.kept()
      message?.kept()
    }
  }

  /**
   * Nothing is ordered from now on: of what waits for its place, this node's subscribers get what they may have before. All of it is
   * kept, messages or not: after the loss of one bundle nobody would apply those behind it.
   */
  #dispatch(): void {
    if (this.#open.length > 0 && this.#node >= 0) this.#send()
    for (const bundle of this.#underWay.values()) {
      this.#dispatchBundle(bundle)
      if (bundle.isKept) this.#kept(bundle)
      else if (this.#o.keepsInStall) this.#keep(bundle)
    }
  }

  #dispatchBundle(bundle: Bundle): void {
    const { answers, bytes, dispatched = new Map() } = bundle
    let item = 0
    eachItem(bytes, ({ start, end }) => {
      const { run, message } = answers[item] ?? {}
      if (dispatched.has(item)) {
        // It came while nothing was ordered.
      } else if (run !== undefined) {
        readRun(bytes, start, end, this.#run)
        dispatched.set(item, run.dispatch(this.#run))
      } else if (message !== undefined) {
        const command = decodeCommand(bytes.subarray(start, end)) as PublishCommand
        dispatched.set(item, message.dispatch(command.message))
      }
      item++
    })
    this.#run.clear()
    if (dispatched.size > 0) bundle.dispatched = dispatched
  }

  #placed(bundle: Bundle, placement: Placement): void {
    if (placement.type === 'placed' || this.#closed || this.#underWay.get(bundle.number) !== bundle) return
    if (placement.why !== 'busy') {
      this.#o.logger.error(
        { event: 'order.refused', why: placement.why, bytes: bundle.bytes.length },
        'The order does not take what this node submits',
      )
      return
    }
    // Later ones may have been taken: those wait for this one at every node.
    this.#retries.push(bundle)
    this.#retryTimer ??= setTimeout(() => {
      this.#retryTimer = undefined
      for (const again of this.#retries.splice(0)) this.#submitBundle(again)
    }, RETRY_MS)
  }

  // ---------------------------------------------------------------- what is ordered

  /** Applies a unit of the log. */
  ordered(unit: OrderedUnit): void {
    const { machine, journal, nowMs } = this.#o
    const { messages, step, linearised, jailed } = unit
    const packets = this.#isOneProcess
    const [first] = messages
    const last = messages.at(-1)
    if (last !== undefined && last.position < this.#nextPosition) return
    const before = machine.durableVersion
    const place = { position: first?.position ?? machine.position, timeUs: first?.consensusUs ?? machine.timeUs }
    machine.beginUnit({ ...place, step, linearised, jailed }, this.#effects)
    for (const { position, consensusUs: timeUs, author: node, kind, bytes } of messages) {
      this.#o.took?.(bytes.length)
      if (kind === MessageKind.payload) machine.applyBundle({ position, timeUs, node, bytes, packets }, this.#effects)
      else if (kind === MessageKind.sealed) machine.seal({ position, timeUs, node }, this.#effects)
      else machine.pass(position, timeUs, this.#effects)
      this.#nextPosition = position + 1
    }
    machine.hashAhead()
    this.#appliedMs = nowMs()
    if (machine.durableVersion !== before) journal.changed()
    if (this.#isOneProcess) this.#reserve()
    else this.#acknowledgeTimer ??= setTimeout(() => this.#acknowledge(), ACKNOWLEDGE_MS).unref()
    if (this.#open.length > 0 && this.#flush === undefined && this.#underWay.size < BUNDLES_EAGER) this.#endTurn()
    this.#letPublishersOn()
    this.#arm()
  }

  /** All threads of this process take here what the state store gets. */
  marked(): void {
    this.#o.journal.marked()
  }

  /** A sealed message of any node is opened, or void. */
  opened(verdict: SealedVerdict): void {
    const { machine, journal } = this.#o
    const { position, content } = verdict
    // Told before: this machine was restored from a disk that has it.
    if (!machine.open(position, content, this.#sealed.effects)) return
    this.#sealed.settled(verdict)
    journal.changed()
    this.#arm()
  }

  /** After a restart no position is used again, also of what nobody had to keep. */
  #reserve(): void {
    if (this.#nextPosition < this.#reserveAt) return
    this.#reserveAt = this.#nextPosition + RESERVE_STEP
    this.#o.journal.reserve(this.#nextPosition)
  }

  /** What is below the position reached now is kept here once the journal has it. */
  #acknowledge(): void {
    this.#acknowledgeTimer = undefined
    const position = this.#nextPosition
    this.#o.journal.whenKept(() => this.#o.log.applied(position), STALE)
  }

  #applying(node: number, head: BundleHead, item: number): void {
    if (node !== this.#o.log.node || head.incarnation !== this.#incarnation) return
    this.#durableBefore = this.#o.machine.durableVersion
    this.#had = this.#underWay.get(head.number)?.dispatched?.get(item)
  }

  #answered(node: number, head: BundleHead, item: number, outcome: Outcome | RunOutcome): void {
    if (node !== this.#o.log.node || head.incarnation !== this.#incarnation) return
    this.#had = undefined
    const bundle = this.#underWay.get(head.number)
    if (bundle === undefined) return
    if (head.number === 0 && item === 0) this.#begins(outcome as Outcome)
    const answer = bundle.answers[item]
    if (answer !== undefined) this.#answer(answer, outcome as Outcome)
    if (item < bundle.answers.length - 1) return
    if (this.#underWay.delete(head.number)) this.#underWayBytes -= bundle.bytes.length
  }

  #answer(answer: Answer, outcome: Outcome): void {
    const { journal, machine } = this.#o
    const { applied, kept } = answer
    // What changed nothing durable promises nothing.
    const waits = this.#isOneProcess && machine.durableVersion !== this.#durableBefore
    if (kept === undefined || !waits) {
      tell(answer, outcome)
      return
    }
    applied?.(outcome)
    journal.whenKept(kept, outcome)
  }

  #begins(outcome: Outcome): void {
    const { logger, machine, log, serving } = this.#o
    if (outcome.type !== 'done') {
      logger.warn(
        { event: 'order.restart', incarnation: this.#incarnation },
        'A later life of this node is in the order',
      )
      const ended = this.#incarnation
      setImmediate(() => {
        if (!this.#closed && this.#incarnation === ended) this.#start(machine.incarnationOf(log.node) + 1)
      })
      return
    }
    this.#begun = true
    logger.info({ event: 'order.begun', node: log.node, incarnation: this.#incarnation }, 'This node takes clients')
    serving(true)
    for (const bundle of this.#early.splice(0)) this.#submitBundle(bundle)
    if (this.#open.length > 0) this.#flush ??= setImmediate(() => this.#endTurn())
  }

  #nodeFell(node: number, incarnation: number): void {
    const { logger, log } = this.#o
    this.#goneMs.delete(node)
    if (node !== log.node) {
      logger.warn({ event: 'node.fell', node }, 'A node is gone: its connections count as lost')
      return
    }
    if (incarnation !== this.#incarnation) return
    logger.error({ event: 'node.fallen' }, 'This node was given up by the others: its clients are disconnected')
    this.#endLife()
  }

  #endLife(): void {
    this.#begun = false
    this.#o.serving(false)
    const ended = this.#incarnation
    setImmediate(() => {
      if (!this.#closed && this.#incarnation === ended) this.#start(ended + 1)
    })
  }

  #letPublishersOn(): void {
    if (this.#waiting.length === 0 || this.full) return
    for (const goOn of this.#waiting.splice(0)) goOn()
  }

  /** Nodes have other numbers: a life ends with the number that it began under, since others know its commands by it. */
  epochChanged(): void {
    this.#goneMs.clear()
    if (this.#o.log.node !== this.#node && this.#incarnation > 0) this.#endLife()
  }

  // ---------------------------------------------------------------- time

  statusChanged(status: Status): void {
    const { log, machine, nowMs } = this.#o
    const wasStalled = this.#stalled
    this.#stalled = status.mode === 'stalled'
    if (this.#stalled && !wasStalled && !this.#closed) {
      this.#dispatch()
      this.#o.stalls()
    }
    // Those that were taken out of the book, too.
    for (let node = 0; node < NODES_MAX; node++) {
      const life = machine.node(node)
      const isGone = node !== log.node && (status.connected & (1 << node)) === 0
      if (!isGone || life === undefined || life.down) this.#goneMs.delete(node)
      else if (!this.#goneMs.has(node)) this.#goneMs.set(node, nowMs())
    }
    this.#arm()
  }

  /** Sets the timer to what is due next: a deadline of the state, or a tick because a node is gone. */
  #arm(): void {
    if (this.#closed || !this.#begun) return
    const now = this.#o.nowMs()
    const dueMs = Math.min(this.#deadlineMs(now), this.#absenceMs())
    if (dueMs === Number.POSITIVE_INFINITY || dueMs >= this.#timerMs) return
    clearTimeout(this.#timer)
    this.#timerMs = dueMs
    this.#timer = setTimeout(() => this.#due(), Math.min(Math.max(0, dueMs - now), TIMER_MS_MAX))
    this.#timer.unref()
  }

  #due(): void {
    this.#timerMs = Number.POSITIVE_INFINITY
    const now = this.#o.nowMs()
    if (this.#begun && Math.min(this.#deadlineMs(now), this.#absenceMs()) <= now) {
      this.#tickedMs = now
      this.submit({ type: 'tick' })
    }
    this.#arm()
  }

  /** When this node submits a tick for the next deadline of the state. */
  #deadlineMs(nowMs: number): number {
    const { machine, log } = this.#o
    const deadlineUs = machine.nextDeadlineUs
    if (deadlineUs === undefined) return Number.POSITIVE_INFINITY
    const dueMs = nowMs + (deadlineUs - this.nowUs()) / 1000 + log.node * STAGGER_MS
    return Math.max(dueMs, this.#tickedMs + TICK_MS_MIN)
  }

  #absenceMs(): number {
    const timeoutMs = this.#o.machine.settings.nodeTimeoutMs
    let dueMs = Number.POSITIVE_INFINITY
    for (const goneMs of this.#goneMs.values()) dueMs = Math.min(dueMs, goneMs + timeoutMs / 2)
    return dueMs === Number.POSITIVE_INFINITY ? dueMs : Math.max(dueMs, this.#tickedMs + timeoutMs / ABSENCE_TICKS)
  }
}

function tell({ applied, kept }: Answer, outcome: Outcome): void {
  applied?.(outcome)
  kept?.(outcome)
}
