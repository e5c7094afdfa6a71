/**
 * What happened: everything that the engine is ever told (consensus.md section 17). Times are microseconds of the host's wall
 * clock, which may jump: the engine makes it monotone for itself (`core/clock.ts`).
 */
import type { MessageKind } from './block.ts'

export type Input =
  /** The node runs; first input after `Engine.open`. */
  | { readonly type: 'start'; readonly nowUs: number }
  /** A whole frame came from a peer (section 16); `arrivalUs` is when its last byte was read. The bytes are the engine's. */
  | { readonly type: 'frame'; readonly from: number; readonly bytes: Uint8Array; readonly arrivalUs: number }
  /** The answer to a `verify` effect; may come before the next other input. */
  | { readonly type: 'verified'; readonly handle: number; readonly ok: boolean; readonly nowUs: number }
  /** Everything up to this barrier is on disk. */
  | { readonly type: 'durable'; readonly barrier: number; readonly nowUs: number }
  | { readonly type: 'timer'; readonly nowUs: number }
  /** A message of this node. `id` names it until it has a place. */
  | {
      readonly type: 'submit'
      readonly id: number
      readonly kind: MessageKind
      readonly bytes: Uint8Array
      /** Write it to the log at once, and say when it is there (`kept`). */
      readonly keep?: boolean
      readonly nowUs: number
    }
  /** The same for one that is submitted already. If it has its place, nothing happens. */
  | { readonly type: 'keep'; readonly id: number; readonly nowUs: number }
  | { readonly type: 'link'; readonly peer: number; readonly up: boolean; readonly nowUs: number }
  /** What was emitted below this position is kept by the application and need not be repeated. */
  | { readonly type: 'applied'; readonly position: number; readonly nowUs: number }
  /**
   * The application's snapshot at a checkpoint step is taken, as asked by a `checkpoint` effect: SHA-256 of each of its chunks,
   * 32 bytes each, one behind the other. Equal states must give equal chunks on all nodes.
   */
  | { readonly type: 'appState'; readonly step: number; readonly hashes: Uint8Array; readonly nowUs: number }
  /** Round trip to a peer, µs, as its link measures it. */
  | { readonly type: 'rtt'; readonly peer: number; readonly rttUs: number }
  /** Bytes that a `read` effect asked for; undefined: they are there no more. */
  | { readonly type: 'read'; readonly handle: number; readonly bytes: Uint8Array | undefined; readonly nowUs: number }
  /** CPU that making and sending the last round cost this process, µs: for pacing (section 5). */
  | { readonly type: 'cost'; readonly cpuUs: number }
