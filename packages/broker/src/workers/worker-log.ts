/**
 * The log of one worker thread, made of the order in shared memory: to the sequencer it is what the consensus engine is in a
 * cluster. Each worker applies all bundles to a machine of its own, so all have one order and one state.
 *
 *   sequencer ─submit▶ pending ▶ shared order ─ ─ every worker ─ ─ ▶ ordered(unit) ▶ machine
 *   journal ───mark──▶ pending ▶ shared order ─ ─ every worker ─ ─ ▶ marked()
 *
 * A turn reads what is there up to a number of bytes and lets sockets have theirs; who finds nothing sleeps. What finds no
 * room waits here: the sequencer stops its publishers at a few megabytes, so that is bounded.
 *
 * Absent: all that comes of nodes that may fail alone. Threads of a process end together, so nobody stalls, nothing is sent
 * beside the log, and no snapshot is asked for.
 */
import { MessageKind, type Status } from '@concordmq/consensus'
import { WORKERS_MAX } from '../config/check.ts'
import { invariant } from '../errors.ts'
import type { OrderedApplication, OrderedLog, OrderedLogNode, Placement } from '../model/ordered-log.ts'
import type { RelayLinks } from '../model/relay.ts'
import { type SharedMemory, SharedOrder } from './shared-order.ts'

export interface WorkerLogOptions {
  readonly memory: SharedMemory
  /** Which worker this thread is. */
  readonly worker: number
  /** The first entry has this position: one that no message had before. The same for all workers. */
  readonly firstPosition: number
  /** Microseconds since 1970. */
  readonly nowUs: () => number
}

interface Pending {
  /** Empty: a mark. */
  readonly bytes: Uint8Array
  /** Bytes that are put in. */
  done: number
}

type Done = ((placement: Placement) => void) | undefined

/** What marks are made of: a bundle has bytes. */
const NO_BYTES = new Uint8Array(0)
/** Bytes of bundles that one turn reads. */
const TURN_BYTES = 512 * 1024

export class WorkerLog implements OrderedLog {
  readonly node: number
  readonly nodes: readonly OrderedLogNode[]
  /** No operators of a network. */
  readonly judge = (): string => 'workers have no operators'
  readonly isOneProcess = true
  readonly relay: RelayLinks = { send() {}, flush() {}, drop() {} }
  readonly #o: WorkerLogOptions
  readonly #order: SharedOrder
  readonly #linearised: number
  /** Workers of an earlier start that are not there now: their connections are lost. */
  readonly #jailed: number
  readonly #pending: Pending[] = []
  /** Of own bundles that are put in or pending, in their order. */
  readonly #dones: Done[] = []
  #application: OrderedApplication | undefined
  #timeUs = 0
  #seq = 0
  #due = false
  readonly #turn = (): void => this.#read()

  constructor(options: WorkerLogOptions) {
    this.#o = options
    const { memory, worker } = options
    this.node = worker
    this.nodes = Array.from({ length: memory.workers }, (_, i) => nodeOf(i))
    this.#order = new SharedOrder(memory, worker)
    this.#linearised = 2 ** memory.workers - 1
    this.#jailed = (2 ** WORKERS_MAX - 1) & ~this.#linearised
  }

  async start(application: OrderedApplication): Promise<void> {
    this.#application = application
    application.statusChanged(this.status)
    this.#order.sleep(this.#turn)
  }

  submit(bytes: Uint8Array, done?: (placement: Placement) => void): number {
    this.#pending.push({ bytes, done: 0 })
    this.#dones.push(done)
    if (this.#pending.length === 1) this.#fill()
    this.#soon()
    return 0
  }

  /** Nothing waits long enough to be kept before it has its place. */
  keep(): void {}

  submitSealed(_bytes: Uint8Array, done?: (placement: Placement) => void): void {
    queueMicrotask(() => done?.({ type: 'refused', why: 'stopped' }))
  }

  /** Every worker's application is told where this stands (`OrderedApplication.marked`). */
  mark(): void {
    this.#pending.push({ bytes: NO_BYTES, done: 0 })
    if (this.#pending.length === 1) this.#fill()
    this.#soon()
  }

  /** No worker starts later than the others. */
  applied(): void {}

  get status(): Status {
    const position = this.#position(this.#order.next)
    return {
      ...{ mode: 'active', epoch: 0, round: 0, nextStep: position, position, consensusUs: this.#timeUs },
      ...{ checkpointStep: 0, connected: this.#linearised, jailed: 0, demoted: 0, fairCuts: 0, fairLate: 0 },
      ...{ queuedMessages: this.#pending.length, queuedBytes: 0 },
    }
  }

  async stop(): Promise<void> {
    this.#application = undefined
    this.#order.close()
  }

  /** At the end of this turn: what is there is applied, the own bundles among it. */
  #soon(): void {
    if (this.#due) return
    this.#due = true
    queueMicrotask(this.#turn)
  }

  #read(): void {
    this.#due = false
    if (this.#application === undefined) return
    const order = this.#order
    order.stayAwake()
    let bytes = 0
    while (bytes < TURN_BYTES) {
      const entry = order.read()
      if (entry === undefined) break
      this.#timeUs = Math.max(this.#timeUs, entry.timeUs)
      if (entry.bytes === undefined) continue
      bytes += entry.bytes.length
      if (entry.bytes.length === 0) this.#application?.marked?.()
      else this.#hand(entry.place, entry.worker, entry.bytes)
    }
    order.tell()
    if (this.#pending.length > 0) this.#fill()
    if (order.readable) {
      this.#due = true
      setImmediate(this.#turn)
    } else order.sleep(this.#turn)
  }

  #hand(place: number, worker: number, bytes: Uint8Array): void {
    const position = this.#position(place)
    const done = worker === this.node ? this.#dones.shift() : undefined
    const message = {
      ...{ position, author: worker, seq: this.#seq++, consensusUs: this.#timeUs },
      ...{ kind: MessageKind.payload, bytes },
    }
    const unit = { step: position, linearised: this.#linearised, jailed: this.#jailed, messages: [message] }
    this.#application?.ordered(unit)
    done?.({ type: 'placed', position, consensusUs: this.#timeUs })
  }

  /** Puts in what is pending, as far as there is room. */
  #fill(): void {
    const { partBytesMax } = this.#order
    const timeUs = this.#o.nowUs()
    let put = 0
    for (let next = this.#pending[0]; next !== undefined; next = this.#pending[0]) {
      const { bytes, done } = next
      const end = Math.min(bytes.length, done + partBytesMax)
      if (!this.#order.put(bytes.subarray(done, end), { timeUs, more: end < bytes.length })) break
      put++
      next.done = end
      if (end === bytes.length) this.#pending.shift()
    }
    if (put > 0) this.#order.ring()
  }

  #position(place: number): number {
    const position = this.#o.firstPosition + place
    invariant(Number.isSafeInteger(position), 'positions are used up')
    return position
  }
}

/** Workers have no keys: nobody else sees them. */
function nodeOf(worker: number): OrderedLogNode {
  return { publicKey: Uint8Array.of(worker), keyId: `worker-${worker}`, address: '' }
}
