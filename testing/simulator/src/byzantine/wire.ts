/**
 * A lying node that is an honest engine behind a wire that is not: frames are kept back, delayed, damaged, repeated, forged, or sent
 * to some only. It says what is right by its own lights at the wrong moment, or to the wrong node, and answers with bytes that
 * somebody has touched; the blocks themselves it cannot change, since it does not hold them back from being signed.
 */
import { FrameType } from '../../../../packages/consensus/src/bytes/frames.ts'
import type { Epoch } from '../../../../packages/consensus/src/model/epoch.ts'
import type { WireHabit } from '../scenario.ts'
import type { Agenda } from '../world/agenda.ts'
import type { Draws } from '../world/draws.ts'
import type { NodeObserver, SimulatedNode } from '../world/node.ts'

interface WireOptions {
  readonly index: number
  readonly genesis: Epoch
  readonly agenda: Agenda
  readonly draws: Draws
  readonly baseUs: number
  readonly habits: ReadonlySet<WireHabit>
  readonly send: (to: number, frame: Uint8Array) => void
  readonly makeNode: (observer: NodeObserver, send: (to: number, frame: Uint8Array) => void) => SimulatedNode
}

/** Frames kept for sending once more. */
const replayMax = 200
const floodTimes = 30
const answers = new Set<number>([FrameType.blocks, FrameType.certificate, FrameType.snapshot])
const forged = new Set<number>([
  FrameType.status,
  FrameType.blocks,
  FrameType.checkpointVote,
  FrameType.certificate,
  FrameType.snapshot,
  FrameType.ownLast,
])

export class LyingWire {
  readonly index: number
  readonly #o: WireOptions
  readonly #node: SimulatedNode
  readonly #sent: Uint8Array[] = []
  /** From when on it is silent, µs. */
  readonly #silentFromUs: number
  readonly #slowUs: number
  #isStopped = false
  /** Whom the block at hand is shown to. */
  #shownBlock: Uint8Array | undefined
  #shownTo = new Set<number>()

  constructor(options: WireOptions) {
    const { draws, baseUs, habits } = options
    this.index = options.index
    this.#o = options
    this.#silentFromUs = habits.has('silent') ? draws.between(0, 100) * baseUs : Number.POSITIVE_INFINITY
    this.#slowUs = habits.has('slow') ? draws.between(1, 30) * baseUs : 0
    this.#node = options.makeNode(nobody, (to, frame) => this.#pass(to, frame))
  }

  start(): void {
    this.#node.start({ amnesia: false })
  }

  stop(): void {
    this.#isStopped = true
  }

  link(peer: number, up: boolean): void {
    this.#node.link(peer, up)
  }

  receive(from: number, frame: Uint8Array): void {
    if (!this.#isStopped) this.#node.receive(from, frame)
  }

  #has(habit: WireHabit, probability: number): boolean {
    return this.#o.habits.has(habit) && this.#o.draws.chance(probability)
  }

  #pass(to: number, frame: Uint8Array): void {
    const { agenda, draws } = this.#o
    if (this.#isStopped || agenda.nowUs >= this.#silentFromUs) return
    const type = frame[0] as number
    if (answers.has(type) && this.#has('refuse', 0.8)) return
    if (type === FrameType.block && this.#o.habits.has('selective') && !this.#isShown(to, frame)) return
    if (this.#sent.length < replayMax) this.#sent.push(frame)
    else this.#sent[draws.below(replayMax)] = frame
    if (this.#has('junk', 0.1))
      this.#send(
        to,
        Uint8Array.from({ length: draws.between(1, 60) }, () => draws.below(256)),
      )
    if (type === FrameType.block && this.#has('badSignatures', 0.2)) this.#send(to, this.#damaged(frame))
    if (this.#has('replay', 0.2)) this.#send(to, draws.pick(this.#sent))
    if (this.#has('flood', 0.02)) for (let i = 0; i < floodTimes; i++) this.#send(to, draws.pick(this.#sent))
    this.#send(to, forged.has(type) && this.#has('forge', 0.5) ? this.#damaged(frame) : frame)
  }

  #isShown(to: number, frame: Uint8Array): boolean {
    const { draws, genesis } = this.#o
    if (this.#shownBlock !== frame) {
      this.#shownBlock = frame
      const peers = Array.from({ length: genesis.n }, (_, peer) => peer).filter((peer) => peer !== this.index)
      this.#shownTo = new Set(draws.shuffled(peers).slice(0, draws.chance(0.5) ? genesis.q - 1 : genesis.w))
    }
    return this.#shownTo.has(to)
  }

  #damaged(frame: Uint8Array): Uint8Array {
    const copy = frame.slice()
    const at = this.#o.draws.below(copy.length)
    copy[at] = (copy[at] as number) ^ (1 << this.#o.draws.below(8))
    return copy
  }

  #send(to: number, frame: Uint8Array): void {
    if (this.#slowUs === 0) this.#o.send(to, frame)
    else this.#o.agenda.after(this.#slowUs, () => this.#o.send(to, frame))
  }
}

const ignore = (): void => undefined

/** Nobody watches a liar. */
const nobody: NodeObserver = {
  arrived: ignore,
  checked: ignore,
  leaves: ignore,
  appended: ignore,
  durable: ignore,
  emitted: ignore,
  installed: ignore,
  placed: ignore,
  kept: ignore,
  refused: ignore,
  alarm: ignore,
  crashed: ignore,
  restarted: ignore,
}
