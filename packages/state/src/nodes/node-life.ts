/**
 * What the machine knows of one node: which of its lives counts, and, in a cluster, how far the order has got with what it
 * submits and whether it is still heard of.
 *
 *   bundles of the present life    0  1  2  3 │ 4  ·  6  7        4: `next`, not here yet; 6 and 7 are held until it is
 */
import type { Writer } from '../encoding/writer.ts'
import { RecordKind } from '../records/kinds.ts'
import { StateRecord } from '../records/state-record.ts'

/** Bundles of one node that are held until their predecessor comes; more are dropped, which ends that life of the node. */
export const HELD_BUNDLES_MAX = 1024
/** Bytes of them. */
export const HELD_BYTES_MAX = 16 * 1024 * 1024

/** Sealed messages of one node that wait for their verdict; what is in further ones is void. */
export const SEALED_MAX = 4096

/** Stands for a time that has not come. */
const NEVER_US = Number.MAX_SAFE_INTEGER

export class NodeLife extends StateRecord {
  readonly node: number
  incarnation: number
  /** Number of the bundle that is applied next; 0: nothing of this life came in bundles (no cluster). */
  next = 0
  /** It fell: nothing of this life counts any more, but late publishes. */
  down = false
  /** Time of the first unit since it was last heard of, microseconds since 1970. */
  silentSinceUs: number = NEVER_US
  /** Steps with units since then, and the last of them. */
  silentSteps = 0
  silentStep = 0
  /** By number. */
  readonly held = new Map<number, Uint8Array>()
  heldBytes = 0
  /** Positions of its sealed messages without a verdict, of all its lives, ascending. */
  readonly sealed: number[] = []

  constructor(node: number, incarnation: number) {
    super()
    this.node = node
    this.incarnation = incarnation
  }

  /** Whether it has been silent since it was last heard of. */
  get isSilent(): boolean {
    return this.silentSinceUs !== NEVER_US
  }

  /** Another life begins. */
  begin(incarnation: number): void {
    this.incarnation = incarnation
    this.next = 0
    this.down = false
    this.heard()
    this.held.clear()
    this.heldBytes = 0
  }

  heard(): void {
    this.silentSinceUs = NEVER_US
    this.silentSteps = 0
    this.silentStep = 0
  }

  /** Keeps a bundle for later; false: there is no room. */
  hold(number: number, bytes: Uint8Array): boolean {
    if (this.held.has(number)) return true
    if (this.held.size >= HELD_BUNDLES_MAX || this.heldBytes + bytes.length > HELD_BYTES_MAX) return false
    this.held.set(number, new Uint8Array(bytes))
    this.heldBytes += bytes.length
    return true
  }

  /** The bundle that is next, if it is held. */
  takeHeld(): Uint8Array | undefined {
    const bytes = this.held.get(this.next)
    if (bytes === undefined) return undefined
    this.held.delete(this.next)
    this.heldBytes -= bytes.length
    return bytes
  }

  /** A sealed message of it stands at this position; false: there is no room. */
  seal(position: number): boolean {
    if (this.sealed.length >= SEALED_MAX) return false
    this.sealed.push(position)
    return true
  }

  unseal(position: number): void {
    this.sealed.splice(this.sealed.indexOf(position), 1)
  }

  override writeKey(writer: Writer): void {
    writer.u8(RecordKind.node)
    writer.u32(this.node)
  }

  /** Outside a cluster the incarnation is all. */
  override writeValue(writer: Writer): void {
    writer.u53(this.incarnation)
    if (this.next === 0) return
    writer.u53(this.next)
    writer.u8(this.down ? 1 : 0)
    writer.u53(this.silentSinceUs)
    writer.u53(this.silentSteps)
    writer.u53(this.silentStep)
    writer.u32(this.held.size)
    for (const number of [...this.held.keys()].sort((a, b) => a - b)) {
      writer.u53(number)
      writer.bytes(this.held.get(number) as Uint8Array)
    }
    if (this.sealed.length === 0) return
    writer.u32(this.sealed.length)
    for (const position of this.sealed) writer.u53(position)
  }
}
