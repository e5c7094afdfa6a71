/**
 * Keeps the machine's durable state on disk: changes go to the log at once, as one group after the other, and now and then
 * to the state store, which makes the log before them superfluous.
 *
 *   machine ─takeDelta─▶ group ─▶ log (write, sync) ─▶ waiting answers leave
 *      └────takeSave──▶ save ──▶ state store (thread) ─▶ older log segments are dropped, messages are let go
 *
 * A group is begun at the end of the turn in which somebody began to wait, and takes all that changed until then; while one
 * is written, the next gathers. So the latency is that of the disk, and the throughput does not depend on it. What nobody
 * waits for follows within `LAZY_MS`, or `LAZY_MS_REPLICATED`.
 *
 * Where several threads apply the same commands, this one writes for all: the others are told how far it has come, and it takes a
 * save where a mark stands in their order, so that messages lie in the same places for all.
 */
import type { Command, Machine, Outcome, Save, Session } from '@concordmq/state'
import { reasonOf } from '../errors.ts'
import type { CommandLog } from '../model/command-log.ts'
import type { Journal, SharedJournal } from '../model/journal.ts'
import type { Store } from '../model/store.ts'
import type { Logger } from '../telemetry/logger.ts'
import { releaseAnswer } from './release-answer.ts'
import type { SegmentLog } from './segment-log.ts'

export interface DiskJournalOptions {
  readonly machine: Machine
  /** Undefined: answers wait for the store itself. */
  readonly log: SegmentLog | undefined
  readonly store: Store
  readonly logger: Logger
  readonly observer?: CommandLog
  /** Positions below are reserved already. */
  readonly reserved: number
  /** The other threads, where there are any. */
  readonly shared?: SharedJournal | undefined
}

/** What one write to the log has in it. */
interface Group {
  readonly done: readonly ((outcome: Outcome) => void)[]
  readonly outcomes: readonly Outcome[]
  readonly reserve: number
  readonly position: number
  readonly delta: Uint8Array | undefined
  readonly save: Save | undefined
}

/** What nobody waits for is in the log after so long: settlements, above all. */
const LAZY_MS = 20
/** Where other nodes have it, too, no answer and no delivery waits: fewer writes leave the disk to the blocks of the order. */
const LAZY_MS_REPLICATED = 100
/** The store is told at least so often, while anything changes. */
const SAVE_MS = 1000
/** … and as soon as so many records wait for it: taking a save is the one thing here that keeps the event loop. */
const SAVE_RECORDS = 4096
/**
 * … unless queues give out about what they get: then most of what a save would put on the shelf is settled when it is there. What
 * clients have in flight at once keeps a place in memory either way.
 */
const SAVE_RECORDS_PASSING = 16_384
/** Saves under way: more would only gather in memory. */
const SAVES_MAX = 2
const RESERVE_BLOCK = 2 ** 22
const SAVE_RETRY_MS_MIN = 100
const SAVE_RETRY_MS_MAX = 5000
/** Chunks of which little is left that are written anew after one save. */
const SHRINK_MAX = 4

export class DiskJournal implements Journal {
  readonly #o: DiskJournalOptions
  #done: ((outcome: Outcome) => void)[] = []
  #outcomes: Outcome[] = []
  #running = false
  #immediate: NodeJS.Immediate | undefined
  readonly #lazyMs: number
  #timer: NodeJS.Timeout | undefined
  #timerDue = Number.POSITIVE_INFINITY
  #savedMs = performance.now()
  #saves = 0
  /** Entries that queues had got, and had, when the last save was taken. */
  #atSave = { queued: 0, messages: 0 }
  #commits: Promise<void> = Promise.resolve()
  #reserved: number
  #reserveTo: number
  /** All changes up to this position are in the log. */
  #loggedTo = 0
  #closing = false
  #idle: (() => void) | undefined
  #saveTrouble = false
  /** Takes the group where the mark stands that is on its way. */
  #atMark: ((group: Group) => void) | undefined
  onLogged: (session: Session) => void = () => {}

  constructor(options: DiskJournalOptions) {
    this.#o = options
    this.#reserved = options.reserved
    this.#reserveTo = options.reserved
    const { replicated, threads } = options.machine.settings
    this.#lazyMs = replicated && !threads ? LAZY_MS_REPLICATED : LAZY_MS
    options.shared?.onWanted(() => {
      // Else the change that is waited for is not applied here yet.
      if (options.machine.hasUnlogged) this.#soon()
    })
  }

  get trouble(): boolean {
    const { log } = this.#o
    return log === undefined ? this.#saveTrouble : log.trouble !== undefined
  }

  observe(position: number, timeUs: number, command: Command): void {
    this.#o.observer?.(position, timeUs, command)
  }

  changed(): void {
    if (this.#running) return
    if (this.#isWanted) this.#soon()
    else this.#later(this.#lazyMs)
  }

  whenKept(done: (outcome: Outcome) => void, outcome: Outcome): void {
    this.#done.push(done)
    this.#outcomes.push(outcome)
    this.#soon()
  }

  reserve(position: number): void {
    if (position + RESERVE_BLOCK / 2 <= this.#reserveTo) return
    this.#reserveTo = position + RESERVE_BLOCK
    this.#soon()
  }

  marked(): void {
    this.#atMark?.(this.#takeGroup({ save: true }))
  }

  /** Messages of a chunk, as the store has them. */
  content(chunk: number): Promise<Uint8Array> {
    return this.#o.store.content(chunk)
  }

  /**
   * Saves all that was read from the log, which is dropped then. Before the first change only. A store that cannot be written
   * is reported, and the log stays: it has everything.
   */
  async saveNow(): Promise<void> {
    try {
      await this.#tryToCommit(this.#o.machine.takeSave())
    } catch (error) {
      this.#commitFailed(error)
    }
  }

  async close(): Promise<void> {
    this.#closing = true
    clearTimeout(this.#timer)
    const { log, store, machine } = this.#o
    log?.stopRetrying()
    // The order of the threads has ended: the mark does not come any more.
    this.#atMark?.(this.#takeGroup({ save: false }))
    if (this.#running) {
      await new Promise<void>((resolve) => {
        this.#idle = resolve
      })
    }
    clearImmediate(this.#immediate)
    try {
      await this.#writeGroup()
      await this.#commits
      // All is in the store then, and the log is empty: nothing has to be read twice at the next start.
      if (!this.#saveTrouble) await this.#tryToCommit(machine.takeSave())
      if (!this.#saveTrouble) {
        await log?.rotate()
        await log?.drop(Number.MAX_SAFE_INTEGER)
      }
    } catch (error) {
      this.#o.logger.error(
        { event: 'journal.unfinished', error: reasonOf(error) },
        'The data could not be written whole at the end; what was acknowledged is in the log',
      )
    }
    await log?.close()
    await store.close()
    this.#o.shared?.close()
  }

  // ---------------------------------------------------------------- when

  #soon(): void {
    if (this.#running || this.#immediate !== undefined || this.#closing) return
    this.#immediate = setImmediate(() => {
      this.#immediate = undefined
      this.#run()
    })
  }

  #later(ms: number): void {
    const due = performance.now() + ms
    if (due >= this.#timerDue || this.#closing) return
    clearTimeout(this.#timer)
    this.#timerDue = due
    this.#timer = setTimeout(() => {
      this.#timerDue = Number.POSITIVE_INFINITY
      if (!this.#running) this.#run()
    }, ms)
    this.#timer.unref()
  }

  #run(): void {
    this.#running = true
    // Both may be due in one turn, and the log takes one group at a time.
    clearImmediate(this.#immediate)
    this.#immediate = undefined
    clearTimeout(this.#timer)
    this.#timerDue = Number.POSITIVE_INFINITY
    this.#rounds().then(
      () => this.#rest(),
      (error: unknown) => {
        // Only after close: the log tries for as long as it is open.
        this.#o.logger.error({ event: 'journal.ended', error: reasonOf(error) }, 'The log can no longer be written')
        this.#rest()
      },
    )
  }

  async #rounds(): Promise<void> {
    do await this.#writeGroup()
    while ((this.#done.length > 0 || (this.#isWanted && this.#o.machine.hasUnlogged)) && !this.#closing)
  }

  /** Another thread waits for something that the log does not have. */
  get #isWanted(): boolean {
    const { shared } = this.#o
    return shared !== undefined && shared.wanted > this.#loggedTo
  }

  #rest(): void {
    this.#running = false
    this.#idle?.()
    if (this.#done.length > 0 || (this.#isWanted && this.#o.machine.hasUnlogged)) this.#soon()
    else if (this.#o.machine.hasUnlogged) this.#later(this.#lazyMs)
    else if (this.#o.machine.unsaved > 0) this.#later(SAVE_MS)
  }

  // ---------------------------------------------------------------- what

  async #writeGroup(): Promise<void> {
    const { machine, log, shared } = this.#o
    const isSaveDue = log !== undefined && this.#isSaveDue()
    const group =
      isSaveDue && shared !== undefined ? await this.#groupAtMark(shared) : this.#takeGroup({ save: isSaveDue })
    const { done, outcomes, reserve, position, delta, save } = group
    if (log === undefined) {
      if (delta !== undefined) await this.#commitUntilDone(machine.takeSave())
    } else if (delta !== undefined || reserve > this.#reserved) {
      await log.write(payloadOf(reserve, delta), position)
      this.#reserved = reserve
    }
    this.#loggedTo = position
    shared?.logged(position)
    // Before what may be sent now: a publisher would wait for the writes to its subscribers.
    for (const [i, answer] of done.entries()) releaseAnswer(answer, outcomes[i] as Outcome, this.#o.logger)
    machine.deltaLogged(this.onLogged)
    if (save !== undefined) this.#commit(save)
  }

  /** All that the log does not have, and all who wait for it. */
  #takeGroup({ save }: { readonly save: boolean }): Group {
    const { machine } = this.#o
    const done = this.#done
    const outcomes = this.#outcomes
    this.#done = []
    this.#outcomes = []
    const delta = machine.takeDelta()
    const { position } = machine
    const reserve = this.#reserveTo
    if (!save) return { done, outcomes, reserve, position, delta, save: undefined }
    this.#atSave = { queued: machine.counters.queued, messages: machine.queuesMessages }
    return { done, outcomes, reserve, position, delta, save: machine.takeSave() }
  }

  #groupAtMark(shared: SharedJournal): Promise<Group> {
    return new Promise((resolve) => {
      this.#atMark = (group) => {
        this.#atMark = undefined
        // Until it is written others may take one.
        resolve({ ...group, delta: group.delta?.slice() })
      }
      shared.mark()
    })
  }

  #isSaveDue(): boolean {
    const { unsaved } = this.#o.machine
    if (unsaved === 0 || this.#saves >= SAVES_MAX || this.#closing) return false
    const due = unsaved >= SAVE_RECORDS && (unsaved >= SAVE_RECORDS_PASSING || !this.#isPassing)
    return due || performance.now() - this.#savedMs >= SAVE_MS
  }

  /** Whether of the messages that were queued since the last save at most a quarter made the queues longer. */
  get #isPassing(): boolean {
    const { counters, queuesMessages } = this.#o.machine
    const { queued, messages } = this.#atSave
    return (queuesMessages - messages) * 4 <= counters.queued - queued
  }

  #commit(save: Save): void {
    this.#saves++
    this.#savedMs = performance.now()
    this.#commits = this.#commits.then(async () => {
      // It gives up only when the journal is closed, which says so.
      await this.#commitUntilDone(save).catch(() => {})
      this.#saves--
      if (!this.#running && this.#o.machine.unsaved > 0) this.#later(SAVE_MS)
    })
  }

  async #commitUntilDone(save: Save): Promise<void> {
    for (let delayMs = SAVE_RETRY_MS_MIN; ; delayMs = Math.min(2 * delayMs, SAVE_RETRY_MS_MAX)) {
      try {
        await this.#tryToCommit(save)
        return
      } catch (error) {
        this.#commitFailed(error)
        if (this.#closing) throw error
        await new Promise((resolve) => setTimeout(resolve, delayMs).unref())
        if (this.#closing) throw error
      }
    }
  }

  async #tryToCommit(save: Save): Promise<void> {
    const { store, log, machine, logger } = this.#o
    await store.commit(save)
    if (this.#saveTrouble) {
      this.#saveTrouble = false
      logger.info({ event: 'store.healed' }, 'The state store can be written again')
    }
    machine.saved(save)
    this.#o.shared?.saved(save.position)
    try {
      await log?.drop(save.position)
      await this.#shrink()
    } catch (error) {
      logger.warn({ event: 'store.upkeep', error: reasonOf(error) }, 'Old log segments or contents are left for later')
    }
  }

  async #shrink(): Promise<void> {
    const { machine, store, logger } = this.#o
    for (const chunk of machine.sparseChunks(SHRINK_MAX)) {
      const problem = machine.shrinkChunk(chunk, await store.content(chunk))
      if (problem !== undefined) logger.error({ event: 'store.damaged', chunk, problem }, 'Stored messages are damaged')
    }
  }

  #commitFailed(error: unknown): void {
    if (this.#saveTrouble) return
    this.#saveTrouble = true
    this.#o.logger.error(
      { event: 'store.trouble', error: reasonOf(error) },
      this.#o.log === undefined
        ? 'Cannot write the session store: what would have to be kept is refused until it can be'
        : 'Cannot write the state store; the log keeps everything meanwhile',
    )
  }
}

const PLACE_BYTES = 8

/** A group: the reservation, and what changed. */
function payloadOf(reserved: number, delta: Uint8Array | undefined): readonly Uint8Array[] {
  const place = Buffer.allocUnsafe(PLACE_BYTES)
  place.writeBigUInt64BE(BigInt(reserved))
  return delta === undefined ? [place] : [place, delta]
}

/** Takes a group apart. */
export function readPayload(payload: Uint8Array): {
  readonly reserved: number
  readonly delta: Uint8Array | undefined
} {
  const view = Buffer.from(payload.buffer, payload.byteOffset, payload.length)
  if (view.length < PLACE_BYTES) return { reserved: 0, delta: undefined }
  return {
    reserved: Number(view.readBigUInt64BE()),
    delta: view.length === PLACE_BYTES ? undefined : view.subarray(PLACE_BYTES),
  }
}
