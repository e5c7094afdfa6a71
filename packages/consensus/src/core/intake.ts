/**
 * Blocks of peers, from their bytes to where they are known to be good (consensus.md section 6, receive). They leave in the
 * order in which they came: one whose signature is checked early waits for those before it, since this order is what is
 * reported.
 */
import { decodeBlock } from '../bytes/block-codec.ts'
import { signedBlockBytes } from '../bytes/domain.ts'
import { sameBytes } from '../bytes/order.ts'
import type { Graph } from '../graph/graph.ts'
import type { Block } from '../model/block.ts'
import type { BlockTable } from './block-table.ts'
import type { EpochContext } from './context.ts'

/** Blocks whose signatures are being checked; more are dropped, and fetched again when they are needed. */
const CHECKS_MAX = 4096
const EPOCH_AT = 4

interface Arrival {
  readonly block: Block
  readonly from: number
  readonly arrivalUs: number
  state: 'checked' | 'refused' | 'checking'
}

/** Takes a good block that came from a peer. `arrivalUs`: wall clock. */
export type TakeBlock = (block: Block, from: number, arrivalUs: number) => void

export class Intake {
  readonly #context: EpochContext
  readonly #table: BlockTable
  readonly #graph: Graph
  readonly #take: TakeBlock
  #arrivals: Arrival[] = []
  #head = 0

  constructor(context: EpochContext, table: BlockTable, graph: Graph, take: TakeBlock) {
    this.#context = context
    this.#table = table
    this.#graph = graph
    this.#take = take
  }

  /**
   * The bytes of a block came from a peer, which need not be its author. Those of another epoch say nothing here. Answers the
   * round of a block that is new, else 0.
   */
  receive(bytes: Uint8Array, from: number, arrivalUs: number): number {
    const { epoch, domain, outbox, peers, clock, knownBlocks } = this.#context
    if (epochOf(bytes) !== epoch.number) return 0
    const decoded = decodeBlock(bytes, epoch, domain, knownBlocks)
    if (!decoded.ok) {
      peers.misbehaved(from, decoded.problem, clock.nowUs)
      return 0
    }
    const block = decoded.value
    const known = this.#table.find(block)
    if (known?.held === true) {
      if (!known.accepted) this.#take(known.block ?? block, from, known.arrivalUs)
      return 0
    }
    if (this.#arrivals.length - this.#head >= CHECKS_MAX || this.#isUnderWay(block)) return 0
    if (this.#graph.waitingBlock(block) !== undefined) return 0
    const arrival: Arrival = { block, from, arrivalUs, state: 'checking' }
    this.#arrivals.push(arrival)
    const { publicKey } = epoch.nodes[block.author]!
    outbox.verify(publicKey, signedBlockBytes(block.digest), block.signature, (ok) => {
      arrival.state = ok ? 'checked' : 'refused'
      this.#drain()
    })
    return block.round
  }

  #isUnderWay(block: Block): boolean {
    for (let at = this.#head; at < this.#arrivals.length; at++) {
      const other = this.#arrivals[at]!.block
      if (sameBytes(other.digest, block.digest) && sameBytes(other.signature, block.signature)) return true
    }
    return false
  }

  #drain(): void {
    while (this.#head < this.#arrivals.length) {
      const { block, from, arrivalUs, state } = this.#arrivals[this.#head]!
      if (state === 'checking') break
      this.#head++
      if (state === 'checked') this.#take(block, from, arrivalUs)
      else this.#context.peers.misbehaved(from, 'signature of a block is wrong', this.#context.clock.nowUs)
    }
    if (this.#head === this.#arrivals.length) {
      this.#arrivals = []
      this.#head = 0
    } else if (this.#head > CHECKS_MAX) {
      this.#arrivals = this.#arrivals.slice(this.#head)
      this.#head = 0
    }
  }
}

function epochOf(bytes: Uint8Array): number {
  if (bytes.length < EPOCH_AT + 4) return -1
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(EPOCH_AT)
}
