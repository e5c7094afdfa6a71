/**
 * Messages of this node that are sealed (consensus.md section 12): what a turn of the event loop brought is one submission, whose
 * content only this node knows until its place is final.
 *
 *   submit ─▶ end of the turn ─▶ log ─ ─ place ─ ─ shares of the nodes ─ ─▶ verdict ─▶ published, answered
 *                                                                             └─ void ─▶ refused
 *
 * An answer waits for the verdict, not for the place: what is void was not published, and an acknowledgement must not say so. Nothing
 * waits for a sealed message, neither what its client does next nor what others do.
 */
import {
  type BundleEffects,
  type BundleHead,
  BundleWriter,
  type Outcome,
  type PublishCommand,
  type RunOutcome,
} from '@concordmq/state'
import type { OrderedLog, Placement, SealedVerdict } from '../model/ordered-log.ts'
import type { Counters } from '../telemetry/counters.ts'
import type { Logger } from '../telemetry/logger.ts'

export interface SealedSubmissionsOptions {
  readonly log: Pick<OrderedLog, 'node' | 'submitSealed'>
  readonly logger: Logger
  readonly counters: Pick<Counters, 'sealedPublished' | 'sealedVoid'>
  /** Fewer bytes are under way. */
  readonly roomChanged: () => void
}

/** A submission of this size leaves at once; with the largest packet on top it still fits into a block. */
const CONTENT_BYTES = 32 * 1024
/** While so many are under way, one that is small waits for one of them: each costs a key agreement with every node. */
const EAGER = 8
const RETRY_MS = 50
const STALE: Outcome = { type: 'stale' }
/** Implementation specific error: the message cannot be opened, and was not published. */
const VOID: Outcome = { type: 'refused', reasonCode: 0x83 }

type Answer = (outcome: Outcome) => void

interface Submission {
  readonly content: Uint8Array
  readonly answers: readonly Answer[]
  /** Where it stands; undefined: it has no place yet. */
  position: number | undefined
}

export class SealedSubmissions {
  /** What the machine's effects are while it opens something. */
  readonly effects: BundleEffects
  /** Of what has no verdict yet. */
  bytes = 0
  readonly #o: SealedSubmissionsOptions
  readonly #writer = new BundleWriter()
  #incarnation = 0
  #number = 0
  #open: Answer[] = []
  /** By number. */
  readonly #underWay = new Map<number, Submission>()
  #turn: NodeJS.Immediate | undefined
  readonly #retries = new Set<NodeJS.Timeout>()

  /** `effects`: those of the machine otherwise. */
  constructor(options: SealedSubmissionsOptions, effects: BundleEffects) {
    this.#o = options
    this.effects = {
      ...effects,
      applying() {},
      answered: (node, head, item, outcome) => this.#answered(node, head, item, outcome),
    }
  }

  /** A life of this node begins. */
  begin(incarnation: number): void {
    this.#incarnation = incarnation
    this.#number = 0
    this.#writer.begin(incarnation, 0)
  }

  submit(command: PublishCommand, answer: Answer): void {
    this.#o.counters.sealedPublished++
    this.#writer.command(command)
    this.#open.push(answer)
    if (this.#writer.length >= CONTENT_BYTES) this.#send()
    else this.#later()
  }

  #later(): void {
    if (this.#underWay.size < EAGER) this.#turn ??= setImmediate(() => this.#send())
  }

  /** Nobody waits for an answer any more: this life of the node is over. */
  giveUp(): void {
    const answers = [...this.#underWay.values()].flatMap((submission) => submission.answers)
    answers.push(...this.#open)
    this.#underWay.clear()
    this.#open = []
    this.bytes = 0
    this.close()
    for (const answer of answers) answer(STALE)
  }

  close(): void {
    if (this.#turn !== undefined) clearImmediate(this.#turn)
    this.#turn = undefined
    for (const timer of this.#retries) clearTimeout(timer)
    this.#retries.clear()
  }

  /** The verdict on a message of any node; what was in it is published. */
  settled({ position, content }: SealedVerdict): void {
    if (content !== undefined) return
    for (const [number, submission] of this.#underWay) {
      if (submission.position !== position) continue
      this.#settle(number, submission)
      const { length } = submission.answers
      this.#o.counters.sealedVoid += length
      this.#o.logger.warn(
        { event: 'order.sealed.void', position, messages: length },
        'Sealed messages of this node could not be opened by the others: they are not published',
      )
      for (const answer of submission.answers) answer(VOID)
      return
    }
  }

  #send(): void {
    if (this.#turn !== undefined) clearImmediate(this.#turn)
    this.#turn = undefined
    if (this.#open.length === 0) return
    const submission: Submission = { content: this.#writer.take(), answers: this.#open, position: undefined }
    const number = this.#number++
    this.#open = []
    this.#writer.begin(this.#incarnation, this.#number)
    this.#underWay.set(number, submission)
    this.bytes += submission.content.length
    this.#submit(number, submission)
  }

  #submit(number: number, submission: Submission): void {
    this.#o.log.submitSealed(submission.content, (placement) => this.#placed(number, submission, placement))
  }

  #placed(number: number, submission: Submission, placement: Placement): void {
    if (this.#underWay.get(number) !== submission) return
    if (placement.type === 'placed') submission.position = placement.position
    else if (placement.why === 'busy') {
      const timer = setTimeout(() => {
        this.#retries.delete(timer)
        this.#submit(number, submission)
      }, RETRY_MS)
      this.#retries.add(timer)
    } else {
      this.#settle(number, submission)
      for (const answer of submission.answers) answer(placement.why === 'stopped' ? STALE : VOID)
    }
  }

  #answered(node: number, head: BundleHead, item: number, outcome: Outcome | RunOutcome): void {
    if (node !== this.#o.log.node || head.incarnation !== this.#incarnation || outcome.type === 'run') return
    const submission = this.#underWay.get(head.number)
    if (submission === undefined) return
    submission.answers[item]?.(outcome)
    if (item >= submission.answers.length - 1) this.#settle(head.number, submission)
  }

  #settle(number: number, submission: Submission): void {
    this.#underWay.delete(number)
    this.bytes -= submission.content.length
    if (this.#open.length > 0) this.#later()
    this.#o.roomChanged()
  }
}
