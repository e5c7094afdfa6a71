/**
 * The payloads of a run. A list of byte strings is one form of them; packed, they lie in one piece of memory, which is copied,
 * written to the log and sent as a whole, and nothing is made for each of them.
 *
 *   bytes   head│payload 0│head│payload 1│head│payload 2
 *               ▲starts[0] ▲ends[0]          ▲starts[2] ▲ends[2]
 *
 * What lies between payloads is of no account here. Where it is the rest of PUBLISH packets, `packets` says of which kind:
 * whoever sends them to a client of that kind has only packet identifiers to change.
 */
import type { PublishRun, QoS } from '@concordmq/protocol'

/** Payloads by their number. */
export interface Payloads {
  readonly length: number
  /** One of them, for good: the same object whenever it is asked for. */
  at(i: number): Uint8Array | undefined
}

/** What the bytes of packed payloads are as a whole: packets without RETAIN, DUP and properties, and nothing but these. */
export interface PacketsForm {
  readonly qos: QoS
  /** Of 5.0: the length of no properties lies between identifier and payload. */
  readonly v5: boolean
}

export class PackedPayloads implements Payloads {
  readonly bytes: Uint8Array
  readonly starts: Int32Array
  readonly ends: Int32Array
  readonly packets: PacketsForm | undefined
  /** What they count for together, bytes. */
  readonly total: number
  #own: (Uint8Array | undefined)[] | undefined

  /** Takes all four over. */
  constructor(bytes: Uint8Array, starts: Int32Array, ends: Int32Array, packets?: PacketsForm) {
    this.bytes = bytes
    this.starts = starts
    this.ends = ends
    this.packets = packets
    let total = 0
    for (let i = 0; i < starts.length; i++) total += (ends[i] as number) - (starts[i] as number)
    this.total = total
  }

  get length(): number {
    return this.starts.length
  }

  /** Bytes of one of them. */
  size(i: number): number {
    return (this.ends[i] as number) - (this.starts[i] as number)
  }

  /** A copy, so that one that is kept does not keep the others. */
  at(i: number): Uint8Array | undefined {
    if (i < 0 || i >= this.length) return undefined
    this.#own ??= []
    let own = this.#own[i]
    if (own === undefined) own = this.#own[i] = new Uint8Array(this.bytes.subarray(this.starts[i], this.ends[i]))
    return own
  }
}

/** Those of a run that has no pieces, copied together. `packets`: the run has this form. */
export function packPayloads(run: PublishRun, packets?: PacketsForm): PackedPayloads {
  const { buf, start, end, count } = run
  const starts = run.payloads.slice(0, count)
  const ends = new Int32Array(count)
  for (let i = 0; i < count; i++) {
    starts[i] = (starts[i] as number) - start
    ends[i] = run.endOf(i) - start
  }
  return new PackedPayloads(new Uint8Array(buf.subarray(start, end)), starts, ends, packets)
}
