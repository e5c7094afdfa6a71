/**
 * One log that all nodes of a cluster agree on, as the broker sees it: bytes go in at any node, and come out at every node in
 * one order, each with a position and a time. `cluster/` makes it of the consensus engine; tests make it of an array. What the
 * bytes mean is the business of whoever uses it (`ordering/`).
 *
 *   submit ─▶ the order of all nodes ─▶ ordered(batch) on every node ─▶ applied(position)
 *   submitSealed ─▶ the same, as bytes that no other node can read ─▶ opened(verdict) on every node, later
 *
 * Absent: any promise to order at once. With too few nodes nothing is ordered, and `status` says so.
 */
import type { OrderedBatch, Status } from '@concordmq/consensus'
import type { Judge } from '@concordmq/state'
import type { RelayLinks, RelayReceiver } from './relay.ts'

export interface OrderedLog {
  /** Index of this node in the book of the current epoch. */
  readonly node: number
  /** The nodes of the current epoch, in the order of their indices. */
  readonly nodes: readonly OrderedLogNode[]
  /**
   * Begins to call the application: first the log from `application.nextPosition` on, or a snapshot in place of what others no
   * longer have. Resolves when the node takes part, which need not mean that it is current.
   */
  start(application: OrderedApplication): Promise<void>
  /**
   * Gives bytes a place in the log. `done` is called once, never from within `submit`: after the batch with the message was
   * handed to the application, or with why it never gets there. `kept` is called when this node's disk has the message: from
   * then on it enters the order although the process ends. A submission of a process that ended has no `done`. Gives its name.
   */
  submit(bytes: Uint8Array, done?: (placement: Placement) => void, kept?: () => void): number
  /** Asks for `kept` of what was submitted without it; it is not called when that has its place before. */
  keep(submission: number, kept: () => void): void
  /**
   * The same for bytes that no other node can read before their place is final (consensus.md section 12). At its place the
   * application finds a message of kind `sealed`; what was in it comes later, by `opened`.
   */
  submitSealed(bytes: Uint8Array, done?: (placement: Placement) => void): void
  /** Whether operators of the network signed something, as its first epoch names them. */
  readonly judge: Judge
  /** All who submit are threads of this process, and are believed: what they submit may lie as it came from a client. */
  readonly isOneProcess?: boolean
  /** The way to the other nodes beside the log. */
  readonly relay: RelayLinks
  /** What is below this position is kept by the application; it need not be handed to it again after a restart. */
  applied(position: number): void
  readonly status: Status
  /** Ends: nothing is called any more, and all that waits is refused as stopped. */
  stop(): Promise<void>
}

export interface OrderedLogNode {
  /** Uncompressed P-256 point, 65 bytes; names the node across epochs. */
  readonly publicKey: Uint8Array
  /** First 16 hex digits of SHA-256 over the key (SPKI, DER), as in logs. */
  readonly keyId: string
  readonly address: string
}

/** Where a submitted message went. `busy` can be tried again later; `stopped` is the end of this process or of this node. */
export type Placement =
  | { readonly type: 'placed'; readonly position: number; readonly consensusUs: number }
  | { readonly type: 'refused'; readonly why: 'busy' | 'tooLarge' | 'stopped' }

/** What became of a sealed message. */
export interface SealedVerdict {
  /** Where it stands in the log. */
  readonly position: number
  /** Undefined: it is void. Nobody could open it, so nobody knows what it was. */
  readonly content: Uint8Array | undefined
}

/** The messages of one unit, and what it tells of the nodes. */
export type OrderedUnit = Pick<OrderedBatch, 'step' | 'linearised' | 'jailed' | 'messages'>

/** Who applies the log: a state machine, equal on all nodes. None of its functions may throw. */
export interface OrderedApplication {
  /** All messages below this position are in its state. */
  readonly nextPosition: number
  /**
   * The messages of one unit, in the order, without gaps; only those of kind `payload` are the application's own to read, others
   * take positions all the same. The bytes are views that stay valid.
   */
  ordered(unit: OrderedUnit): void
  /**
   * A sealed message has its verdict, at the same place on all nodes: behind all messages handed over so far. Given again after
   * a restart if nothing came behind it.
   */
  opened(verdict: SealedVerdict): void
  /** Among the threads of one process, and only there: all of them take here what their disk gets. */
  marked?(): void
  /**
   * A checkpoint stands here: all messages below `position` have been handed over. The state as of now is to be held, copied on
   * write, until `release`; at most two are held at a time.
   */
  checkpoint(step: number, position: number): OrderedSnapshot
  /**
   * Takes the place of everything applied so far: the state as of `source.position`. Batches wait until it resolves; it rejects
   * when the bytes are no state of its own, which ends the node.
   */
  install(source: SnapshotSource): Promise<void>
  /** Called at each change of mode, of who is connected, jailed or demoted, and about once a second. */
  statusChanged(status: Status): void
  /** Takes what comes beside the log. */
  readonly relay: RelayReceiver
  /** Another epoch began: `node` and `nodes` of the log have changed. */
  epochChanged(): void
}

/** A state held at a checkpoint. The same on all nodes, to the byte. */
export interface OrderedSnapshot {
  /** SHA-256 over each chunk, at most 256 KiB each, as they are served. Computed without stopping the event loop. */
  hashes(): Promise<readonly Uint8Array[]>
  read(chunk: number): Promise<Uint8Array>
  release(): void
}

/** A state made elsewhere, checked against a certificate chunk by chunk. */
export interface SnapshotSource {
  readonly position: number
  readonly consensusUs: number
  readonly chunks: number
  read(chunk: number): Promise<Uint8Array>
}
