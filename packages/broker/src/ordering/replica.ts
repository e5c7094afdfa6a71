/** This node as the log sees it: it applies what is ordered, holds its state at checkpoints, and takes over that of others. */
import type { Status } from '@concordmq/consensus'
import { Machine } from '@concordmq/state'
import type {
  OrderedApplication,
  OrderedSnapshot,
  OrderedUnit,
  SealedVerdict,
  SnapshotSource,
} from '../model/ordered-log.ts'
import type { RelayReceiver } from '../model/relay.ts'
import type { BftSequencer } from './bft-sequencer.ts'
import { HeldSnapshot } from './held-snapshot.ts'

export interface ReplicaOptions {
  readonly machine: Machine
  readonly sequencer: BftSequencer
  /** Takes what comes beside the log. */
  readonly relay: RelayReceiver & { epochChanged(): void }
  /** The state was replaced by a snapshot: whatever was found in it is to be found anew. */
  readonly replaced: () => void
  readonly statusChanged: (status: Status) => void
}

export class Replica implements OrderedApplication {
  readonly #o: ReplicaOptions
  #snapshot: HeldSnapshot | undefined

  constructor(options: ReplicaOptions) {
    this.#o = options
  }

  get nextPosition(): number {
    return this.#o.sequencer.nextPosition
  }

  get relay(): RelayReceiver {
    return this.#o.relay
  }

  ordered(unit: OrderedUnit): void {
    this.#o.sequencer.ordered(unit)
  }

  opened(verdict: SealedVerdict): void {
    this.#o.sequencer.opened(verdict)
  }

  marked(): void {
    this.#o.sequencer.marked()
  }

  checkpoint(_step: number, _position: number): OrderedSnapshot {
    // One walk at a time.
    this.#snapshot?.finish()
    this.#snapshot = new HeldSnapshot(this.#o.machine.snapshot())
    return this.#snapshot
  }

  async install(source: SnapshotSource): Promise<void> {
    const { machine, sequencer, replaced } = this.#o
    const chunks: Uint8Array[] = []
    for (let i = 0; i < source.chunks; i++) chunks.push(await source.read(i))
    const restored = Machine.restore(chunks, machine.settings)
    if ('malformed' in restored) throw new Error(`Cannot take over the state of the cluster: ${restored.malformed}`)
    machine.replaceBy(restored)
    replaced()
    sequencer.skipTo(source.position)
  }

  statusChanged(status: Status): void {
    this.#o.sequencer.statusChanged(status)
    this.#o.statusChanged(status)
  }

  /** A node keeps its number as long as the book lets it: what one had that is gone ends by its silence. */
  epochChanged(): void {
    this.#o.sequencer.epochChanged()
    this.#o.relay.epochChanged()
  }
}
