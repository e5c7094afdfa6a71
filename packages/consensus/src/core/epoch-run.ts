/**
 * All that runs in one epoch on this node: its agreement, and around it serving, catching up, checkpoints and the watch for a
 * stall. An epoch ends with the step in which a change of the book is emitted; its blocks go on being made and served until the
 * certificate of its end is here, else nodes that have not decided that step would be left without a quorum (consensus.md
 * section 13).
 */
import type { Reconfiguration } from '../bytes/reconfiguration.ts'
import type { Certificate } from '../log/checkpoint.ts'
import type { Block } from '../model/block.ts'
import type { OrderedMessage } from '../model/effect.ts'
import type { Emission } from '../order/fair-order.ts'
import { Agreement, type EmissionSink } from './agreement.ts'
import { CatchingUp } from './catching-up.ts'
import { Checkpoints, type Taken } from './checkpoints.ts'
import type { EpochContext } from './context.ts'
import { control } from './control.ts'
import type { CheckpointRecord } from './records.ts'
import { Serving } from './serving.ts'
import { type EpochState, type LogState, writeState } from './snapshot.ts'
import { Stall } from './stall.ts'

/** What of an epoch concerns the whole engine. */
export interface EpochSink {
  /** Messages of this node have their places. */
  placed(messages: readonly OrderedMessage[]): void
  /** A checkpoint was taken behind a step. */
  checkpointed(run: EpochRun, taken: Taken): void
  certified(run: EpochRun, certificate: Certificate): void
  diverged(step: number): void
}

export class EpochRun implements EmissionSink {
  readonly context: EpochContext
  readonly agreement: Agreement
  readonly serving: Serving
  readonly catchingUp: CatchingUp
  readonly checkpoints: Checkpoints
  readonly stall: Stall
  /** The change of the book that ends this epoch; undefined: none yet. */
  ending: Reconfiguration | undefined
  readonly #state: EpochState
  readonly #log: LogState
  readonly #sink: EpochSink
  /** About how long the next snapshot will be. */
  #stateBytes = 4096

  constructor(context: EpochContext, state: EpochState, log: LogState, sink: EpochSink) {
    this.context = context
    this.#state = state
    this.#log = log
    this.#sink = sink
    this.agreement = new Agreement(context, state, this)
    const { graph, table } = this.agreement
    this.serving = new Serving(context, table, (name) => graph.waitingBlock(name))
    this.checkpoints = new Checkpoints(context, log.output, state.schedule, {
      certified: (certificate) => sink.certified(this, certificate),
      diverged: (step) => sink.diverged(step),
    })
    this.catchingUp = new CatchingUp(this.agreement, this.serving, () => this.checkpoints.newestStep)
    this.stall = new Stall(context)
  }

  /** Whether this node has something to say or to see through. */
  get need(): boolean {
    return this.agreement.need || this.#state.schedule.pending || this.#log.sealing.need || this.ending !== undefined
  }

  /** The run begins behind a checkpoint of before a restart. What is not certified yet can still become so. */
  resumeAt({ step, ending, state }: CheckpointRecord): Taken {
    this.ending = ending
    if (ending !== undefined) this.agreement.endStep = step
    return this.checkpoints.take({ step, consensusUs: this.#state.fair.consensusUs }, ending, state)
  }

  emit(emission: Emission, block: Block, at: { step: number; jailed: number }): number {
    const messages = this.#log.output.place(emission, block, at)
    if (messages.length > 0) this.#state.schedule.emitted(block.body.length)
    this.#log.sealing.emitted(messages)
    if (emission.author === this.context.self) this.#sink.placed(messages)
    const { convicted, checkpointRequested, reconfiguration } = control(this.context, messages, at.jailed)
    if (checkpointRequested) this.#state.schedule.request()
    this.ending ??= reconfiguration
    return convicted
  }

  linearised(authors: number): void {
    this.#log.output.linearised |= authors
  }

  stepDone(step: number): boolean {
    const { outbox } = this.context
    const after = this.#log.output.next
    for (const { position, content } of this.#log.sealing.stepDone({ silent: outbox.replaying })) {
      if (after >= this.#log.output.appliedPosition) outbox.push({ type: 'opened', position, after, content })
    }
    const consensusUs = this.#state.fair.consensusUs
    const write = (): Uint8Array => {
      const state = writeState(this.#state, this.#log, this.#stateBytes)
      this.#stateBytes = state.length + (state.length >>> 3)
      return state
    }
    const taken = this.checkpoints.stepDone({ step, consensusUs }, this.ending, write)
    if (taken !== undefined) this.#sink.checkpointed(this, taken)
    return this.ending !== undefined
  }
}
