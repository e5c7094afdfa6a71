/**
 * Drives the engine: gives it what happened, carries out what it asks for, in order.
 *
 *   links, disk, timer, broker ─▶ input ─▶ engine.step ─▶ effects ─▶ links, disk, timer, broker
 *
 * One input at a time: what an effect leads to waits until all effects of its step are carried out. Peers wait for this node's
 * blocks, so what they need comes first: the disk writes while the application is busy with what was ordered, and a block that is on
 * disk leaves at once. Other frames leave at the end of the turn of the event loop, in one write per peer.
 */
import type { Effect, Engine, Input, OrderedBatch, Status } from '@concordmq/consensus'
import type { Files } from '../../model/files.ts'
import type { OrderedApplication, Placement } from '../../model/ordered-log.ts'
import type { Logger } from '../../telemetry/logger.ts'
import type { Members } from '../identity/members.ts'
import { FrameType } from '../links/frames.ts'
import { reportAlarm } from './alarms.ts'
import type { Verifier } from './cryptography.ts'
import { HeldSnapshots, IncomingSnapshot } from './snapshots.ts'
import { StepTimer } from './step-timer.ts'
import type { Wal } from './wal.ts'

/** What the driver needs of links. */
export interface FrameSink {
  send(to: number | 'all', frame: Uint8Array): void
  flush(): void
  drop(peer: number, why: string): void
}

/** A round that seems to cost more was held up by something else; it must not hold up the next ones, µs. */
const ROUND_COST_US_MAX = 20_000

type EffectOf<T extends Effect['type']> = Extract<Effect, { readonly type: T }>

export interface DriverOptions {
  readonly engine: Pick<Engine, 'step'>
  readonly wal: Pick<Wal, 'append' | 'read' | 'forget'>
  readonly verifier: Verifier
  readonly application: OrderedApplication
  readonly files: Files
  /** Where a snapshot of others is collected. */
  readonly directory: string
  readonly logger: Logger
  readonly nowUs: () => number
  readonly members: () => Members
  /** An epoch began; links follow. */
  readonly epochBegan: (effect: EffectOf<'epoch'>) => void
  readonly statusChanged: (status: Status) => void
  /** A batch goes to the application, and a quorum vouches for a checkpoint: what proofs are made of. */
  readonly emitted: (batch: OrderedBatch) => void
  readonly certified: (effect: EffectOf<'certified'>) => void
  /** The application cannot go on. */
  readonly failed: (error: Error) => void
}

export interface Submission {
  readonly done?: ((placement: Placement) => void) | undefined
  readonly kept?: (() => void) | undefined
}

/** Names no submission: it was not taken. */
export const NOT_SUBMITTED = 0

export class Driver {
  readonly #o: DriverOptions
  readonly #timer: StepTimer
  readonly #snapshots = new HeldSnapshots()
  readonly #submissions = new Map<number, Submission>()
  readonly #inputs: Input[] = []
  /** Answers about signatures of the step before, which come before anything else. */
  readonly #verified: Input[] = []
  #links: FrameSink | undefined
  #incoming: IncomingSnapshot | undefined
  /** What waits for the application to install a snapshot. */
  #held: (OrderedBatch | EffectOf<'opened'>)[] | undefined
  #nextId = NOT_SUBMITTED + 1
  #stepping = false
  /** Frames wait for the end of the turn. */
  #flushing = false
  #stopped = false
  /** CPU spent on rounds since the last own block left, µs; and what of the current input was the application's. */
  #roundUs = 0
  #applicationUs = 0

  constructor(options: DriverOptions) {
    this.#o = options
    this.#timer = new StepTimer(options.nowUs, (nowUs) => this.input({ type: 'timer', nowUs }))
  }

  /** Frames go nowhere until there are links. */
  set links(links: FrameSink) {
    this.#links = links
  }

  /** Gives the name of the submission. */
  submit(bytes: Uint8Array, kind: EffectKind, { done, kept }: Submission): number {
    if (this.#stopped) {
      if (done !== undefined) queueMicrotask(() => done({ type: 'refused', why: 'stopped' }))
      return NOT_SUBMITTED
    }
    const id = this.#nextId++
    if (done !== undefined || kept !== undefined) this.#submissions.set(id, { done, kept })
    this.input({ type: 'submit', id, kind, bytes, nowUs: this.#o.nowUs(), keep: kept !== undefined })
    return id
  }

  /** `kept` is called when this node's disk has a submission, unless that has its place before. */
  keep(id: number, kept: () => void): void {
    const submission = this.#submissions.get(id)
    if (submission === undefined) return
    this.#submissions.set(id, { ...submission, kept })
    this.input({ type: 'keep', id, nowUs: this.#o.nowUs() })
  }

  /** Gives the engine an input; gives what it cost without what the application did, µs. */
  input(input: Input): number {
    if (this.#stopped) return 0
    if (this.#stepping) {
      this.#inputs.push(input)
      return 0
    }
    this.#stepping = true
    const startedUs = cpuUs()
    this.#applicationUs = 0
    try {
      for (let next: Input | undefined = input; next !== undefined; next = this.#next()) {
        this.#carryOutAll(this.#o.engine.step(next))
      }
    } finally {
      this.#stepping = false
    }
    const costUs = cpuUs() - startedUs - this.#applicationUs
    if (isRoundWork(input)) this.#roundUs += costUs
    return costUs
  }

  /** What waited for its turn, with the time of its turn: else a clock would seem to be set back by as long as it waited. */
  #next(): Input | undefined {
    const waited = this.#verified.shift() ?? this.#inputs.shift()
    return waited !== undefined && 'nowUs' in waited ? { ...waited, nowUs: this.#o.nowUs() } : waited
  }

  /** No more inputs and effects; what waits for a place is refused. */
  stop(): void {
    if (this.#stopped) return
    this.#stopped = true
    this.#timer.clear()
    this.#snapshots.releaseAll()
    for (const [, { done }] of this.#submissions) done?.({ type: 'refused', why: 'stopped' })
    this.#submissions.clear()
  }

  /**
   * In order, but for the log, which depends on nothing before it. What effects in a row make the application do is looked at as a
   * whole: looking costs a call of the system.
   */
  #carryOutAll(effects: readonly Effect[]): void {
    if (this.#stopped) return
    // A snapshot of others is where the log begins anew: nothing before leads to its checkpoint.
    const checkpointLater = !effects.some(({ type }) => type === 'install')
    for (const effect of effects) {
      if (effect.type === 'persist') this.#o.wal.append(effect.records, effect.barrier, { checkpointLater })
    }
    let startedUs = 0
    for (const effect of effects) {
      const isApplication = effect.type === 'emit' || effect.type === 'placed' || effect.type === 'opened'
      if (isApplication && startedUs === 0) startedUs = cpuUs()
      else if (!isApplication && startedUs !== 0) {
        this.#applicationUs += cpuUs() - startedUs
        startedUs = 0
      }
      this.#carryOut(effect)
    }
    if (startedUs !== 0) this.#applicationUs += cpuUs() - startedUs
  }

  #carryOut(effect: Effect): void {
    if (this.#stopped) return
    const { wal, verifier, members, logger } = this.#o
    switch (effect.type) {
      case 'persist':
        // It is with the log already.
        return
      case 'send':
        return this.#send(effect)
      case 'verify':
        return this.#verify(effect)
      case 'timerAt':
        return this.#timer.set(effect.atUs)
      case 'emit':
        return this.#emit(effect.batch)
      case 'placed':
        return this.#placed(effect)
      case 'kept':
        return this.#submissions.get(effect.id)?.kept?.()
      case 'refused':
        return this.#refused(effect)
      case 'read':
        return void this.#read(effect)
      case 'forget':
        return wal.forget(effect.below)
      case 'checkpoint':
        return void this.#checkpoint(effect)
      case 'certified':
        this.#snapshots.certified(effect.step)
        return this.#o.certified(effect)
      case 'appChunk':
        return this.#chunk(effect)
      case 'opened':
        return this.#opened(effect)
      case 'install':
        return void this.#install(effect)
      case 'epoch':
        verifier.setNodes(effect.epoch.n)
        return this.#o.epochBegan(effect)
      case 'status':
        return this.#o.statusChanged(effect.status)
      case 'drop':
        return this.#links?.drop(effect.peer, effect.why)
      case 'alarm':
        return reportAlarm(effect.what, members(), logger)
    }
  }

  #send({ to, frame }: EffectOf<'send'>): void {
    this.#links?.send(to, frame)
    if (to !== 'all' || frame[0] !== FrameType.block) return this.#flushSoon()
    this.#links?.flush()
    // An own block left: what the round cost goes into the pace of the next ones.
    this.#inputs.push({ type: 'cost', cpuUs: Math.min(this.#roundUs, ROUND_COST_US_MAX) })
    this.#roundUs = 0
  }

  #verify(effect: EffectOf<'verify'>): void {
    const { verifier, nowUs } = this.#o
    const { handle } = effect
    if (verifier.inLine) {
      this.#verified.push({ type: 'verified', handle, ok: verifier.verify(effect), nowUs: nowUs() })
    } else {
      verifier.verifyElsewhere(effect, (ok) => this.input({ type: 'verified', handle, ok, nowUs: nowUs() }))
    }
  }

  #emit(batch: OrderedBatch): void {
    if (this.#held !== undefined) {
      this.#held.push(batch)
      return
    }
    const { emitted, application } = this.#o
    emitted(batch)
    const { position } = batch.messages.at(-1) ?? { position: application.nextPosition }
    // Some come again for whoever keeps the log alone.
    if (position >= application.nextPosition) application.ordered(batch)
  }

  #opened(effect: EffectOf<'opened'>): void {
    if (this.#held !== undefined) {
      this.#held.push(effect)
      return
    }
    const startedUs = cpuUs()
    this.#o.application.opened(effect)
    this.#applicationUs += cpuUs() - startedUs
  }

  #placed({ id, position, consensusUs }: EffectOf<'placed'>): void {
    this.#settle(id, { type: 'placed', position, consensusUs })
  }

  #refused({ id, why }: EffectOf<'refused'>): void {
    // It may be the answer to a submission that is still being made.
    queueMicrotask(() => this.#settle(id, { type: 'refused', why }))
  }

  #settle(id: number, placement: Placement): void {
    const submission = this.#submissions.get(id)
    this.#submissions.delete(id)
    submission?.done?.(placement)
  }

  async #read({ handle, what }: EffectOf<'read'>): Promise<void> {
    const bytes =
      what.type === 'record' ? await this.#o.wal.read(what.mark) : await this.#snapshots.read(what.step, what.chunk)
    this.input({ type: 'read', handle, bytes, nowUs: this.#o.nowUs() })
  }

  async #checkpoint({ step, position }: EffectOf<'checkpoint'>): Promise<void> {
    const { application, logger, nowUs } = this.#o
    try {
      const startedUs = cpuUs()
      const snapshot = application.checkpoint(step, position)
      this.#snapshots.add(step, snapshot)
      this.#applicationUs += cpuUs() - startedUs
      const hashes = Buffer.concat(await snapshot.hashes())
      this.input({ type: 'appState', step, hashes, nowUs: nowUs() })
    } catch (error) {
      logger.warn(
        { event: 'cluster.snapshot.failed', step, error: String(error) },
        'Cannot take a snapshot of the state: this node does not sign this checkpoint',
      )
    }
  }

  #chunk({ epoch, step, chunk, bytes }: EffectOf<'appChunk'>): void {
    if (this.#incoming?.epoch !== epoch || this.#incoming.step !== step) {
      void this.#incoming?.remove()
      this.#incoming = new IncomingSnapshot({ epoch, step }, this.#o.files, this.#o.directory)
    }
    this.#incoming.add(chunk, bytes)
  }

  async #install({ step, position, consensusUs }: EffectOf<'install'>): Promise<void> {
    const { application, files, directory, failed } = this.#o
    const incoming = this.#incoming ?? new IncomingSnapshot({ epoch: 0, step }, files, directory)
    this.#incoming = undefined
    this.#held ??= []
    try {
      await application.install(await incoming.source(position, consensusUs))
      await incoming.remove()
    } catch (error) {
      return failed(error instanceof Error ? error : new Error(String(error)))
    }
    const held = this.#held ?? []
    this.#held = undefined
    for (const each of this.#stopped ? [] : held) {
      if ('messages' in each) this.#emit(each)
      else this.#opened(each)
    }
  }

  /** Once per turn of the event loop. */
  #flushSoon(): void {
    if (this.#flushing) return
    this.#flushing = true
    setImmediate(() => {
      this.#flushing = false
      const startedUs = cpuUs()
      this.#links?.flush()
      this.#roundUs += cpuUs() - startedUs
    })
  }
}

type EffectKind = Extract<Input, { readonly type: 'submit' }>['kind']

/**
 * Whether an input is part of what every round costs. What one node asks of another now and then is not: a node that helps, or is
 * helped, would slow down and need the more help.
 */
function isRoundWork(input: Input): boolean {
  return input.type === 'frame' ? input.bytes[0] === FrameType.block : input.type !== 'read'
}

/**
 * CPU time of this thread, µs. Not the time that passes: on a machine with more to do than cores a round would seem to cost what
 * others do, and the pace would slow down for it.
 */
function cpuUs(): number {
  const { user, system } = process.threadCpuUsage()
  return user + system
}
