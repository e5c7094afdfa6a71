/**
 * Agreement and integrity: the logs of correct nodes are prefixes of one log, each place has the same message, time, unit and step
 * everywhere, no (author, seq) has two places, and what a correct node is said to have published it has published.
 *
 * The log is written by whichever node emits a position first; all others are compared with it, and so is a node that emits again
 * after a restart.
 */
import { MessageKind } from '../../../../packages/consensus/src/model/block.ts'
import type { OrderedBatch, OrderedMessage } from '../../../../packages/consensus/src/model/effect.ts'
import type { Status } from '../../../../packages/consensus/src/model/status.ts'
import { nameOfMessage } from '../world/traffic.ts'
import { roundKey, submissionKey } from './keys.ts'
import { sameBytes, violated } from './violation.ts'

export interface LogEntry {
  readonly message: OrderedMessage
  readonly epoch: number
  readonly step: number
  /** Name of the unit, the same for all its messages. */
  readonly unit: Uint8Array
  readonly linearised: number
  readonly jailed: number
}

/** What the clients of a node submitted, and what became of it. */
interface Submission {
  readonly kind: MessageKind
  readonly bytes: Uint8Array
  readonly atUs: number
  /** Whether the end of the run must find it in the log: its node has not crashed since, and did not refuse it. */
  required: boolean
  /** Whether its node promised to keep it over a crash. */
  kept: boolean
  position: number | undefined
}

/** Kinds that engines make by themselves. */
const ownKinds = new Set<number>([MessageKind.evidence, MessageKind.share, MessageKind.checkpointRequest])

export class Agreement {
  readonly log: LogEntry[] = []
  /** How far each node's log goes. */
  readonly positions: number[]
  /** From submission to emission at a node, µs of true time, for every message and node. */
  readonly deliveriesUs: number[] = []
  readonly #isCorrect: (node: number) => boolean
  readonly #nowUs: () => number
  readonly #seqs = new Map<number, number>()
  /** By node, by number. */
  readonly #submissions: Submission[][]
  /** By step: what the schedule was before it, as the first node saw it. */
  readonly #schedules = new Map<number, { demoted: number; jailed: number }>()
  #missing = 0

  constructor(n: number, isCorrect: (node: number) => boolean, nowUs: () => number) {
    this.#isCorrect = isCorrect
    this.#nowUs = nowUs
    this.positions = Array.from({ length: n }, () => 0)
    this.#submissions = Array.from({ length: n }, () => [])
  }

  /** Submissions that must still get a place. */
  get missing(): number {
    return this.#missing
  }

  submitted(node: number, number: number, kind: MessageKind, bytes: Uint8Array): void {
    const submissions = this.#submissions[node] as Submission[]
    submissions[number] = { kind, bytes, atUs: this.#nowUs(), required: true, kept: false, position: undefined }
    this.#missing++
  }

  /** The node does not promise this any more, or never did; it may still get a place. */
  excuse(node: number, number: number): void {
    const submission = this.#submissions[node]?.[number]
    if (submission?.required !== true) return
    submission.required = false
    if (submission.position === undefined) this.#missing--
  }

  /** The node promises to keep it over a crash. */
  kept(node: number, number: number): void {
    const submission = this.#submissions[node]?.[number]
    if (submission !== undefined) submission.kept = true
  }

  /** All that a crash may have taken; with its disk, what was to be kept as well. */
  excuseAll(node: number, { disk }: { readonly disk: boolean }): void {
    this.#submissions[node]?.forEach((submission, number) => {
      if (submission.position === undefined && (disk || !submission.kept)) this.excuse(node, number)
    })
  }

  placed(node: number, number: number, position: number): void {
    const submission = this.#submissions[node]?.[number]
    const entry = this.log[position]
    if (submission === undefined || entry === undefined || !sameBytes(entry.message.bytes, submission.bytes)) {
      violated(`Node ${node} says its message ${number} is at position ${position}, where another is`)
    }
  }

  /** After a crash the node emits again from here on, or goes on there after a snapshot. */
  resumed(node: number, position: number): void {
    if (position > this.log.length) violated(`Node ${node} goes on at ${position}, beyond the log's ${this.log.length}`)
    this.positions[node] = position
  }

  emitted(node: number, batch: OrderedBatch): void {
    for (const message of batch.messages) {
      const { position } = message
      if (position !== this.positions[node]) {
        violated(`Node ${node} emits position ${position} after ${(this.positions[node] as number) - 1}`)
      }
      this.positions[node] = position + 1
      const entry = entryOf(message, batch)
      const known = this.log[position]
      if (known === undefined) this.#extend(entry)
      else this.#compare(node, known, entry)
      this.#delivered(message)
    }
  }

  schedule(node: number, { epoch, nextStep, demoted, jailed }: Status): void {
    const key = roundKey(epoch, nextStep)
    const known = this.#schedules.get(key)
    if (known === undefined) this.#schedules.set(key, { demoted, jailed })
    else if (known.demoted !== demoted || known.jailed !== jailed) {
      violated(
        `Node ${node} has another schedule for step ${nextStep}: ${demoted}/${jailed}, not ${known.demoted}/${known.jailed}`,
      )
    }
  }

  #delivered({ bytes }: OrderedMessage): void {
    const name = nameOfMessage(bytes)
    const submission = name === undefined ? undefined : this.#submissions[name.node]?.[name.number]
    if (submission !== undefined) this.deliveriesUs.push(this.#nowUs() - submission.atUs)
  }

  #extend(entry: LogEntry): void {
    const { message } = entry
    const before = this.log.at(-1)
    if (before !== undefined && before.message.consensusUs > message.consensusUs) {
      violated(`Time goes back at position ${message.position}`)
    }
    const key = submissionKey(entry.epoch, message.author, message.seq)
    const other = this.#seqs.get(key)
    if (other !== undefined)
      violated(`Message ${message.author}/${message.seq} is at positions ${other} and ${message.position}`)
    this.#seqs.set(key, message.position)
    this.log.push(entry)
    if (this.#isCorrect(message.author)) this.#recognise(entry)
  }

  #recognise({ message }: LogEntry): void {
    if (ownKinds.has(message.kind)) return
    const name = nameOfMessage(message.bytes)
    const submission = name?.node === message.author ? this.#submissions[name.node]?.[name.number] : undefined
    if (submission === undefined || submission.kind !== message.kind || !sameBytes(submission.bytes, message.bytes)) {
      violated(`Position ${message.position} holds what node ${message.author} never submitted`)
    }
    if (submission.position !== undefined) {
      violated(`One submission of node ${message.author} is at ${submission.position} and ${message.position}`)
    }
    submission.position = message.position
    if (submission.required) this.#missing--
  }

  #compare(node: number, known: LogEntry, entry: LogEntry): void {
    const { message: a } = known
    const { message: b } = entry
    const same =
      a.author === b.author &&
      a.seq === b.seq &&
      a.kind === b.kind &&
      a.consensusUs === b.consensusUs &&
      known.epoch === entry.epoch &&
      known.step === entry.step &&
      known.linearised === entry.linearised &&
      known.jailed === entry.jailed &&
      sameBytes(known.unit, entry.unit) &&
      sameBytes(a.bytes, b.bytes)
    if (same) return
    const shown = [known, entry].map(({ message, unit, ...rest }) => ({
      ...rest,
      unit: Buffer.from(unit).toString('hex'),
      ...message,
    }))
    violated(`Node ${node} has another position ${a.position}: ${JSON.stringify(shown)}`)
  }
}

function entryOf(message: OrderedMessage, batch: OrderedBatch): LogEntry {
  const { epoch, step, unit, linearised, jailed } = batch
  return { message, epoch, step, unit: unit.digest, linearised, jailed }
}
