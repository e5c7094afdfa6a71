/** Payloads packed as a run of packets has them: with something between them. */
import { PackedPayloads } from '../src/messages/payloads.ts'

/** About what lies before a payload in a packet with a short topic, bytes. */
const GAP_BYTES = 10

export function packed(payloads: readonly Uint8Array[]): PackedPayloads {
  const bytes: number[] = []
  const starts: number[] = []
  const ends: number[] = []
  for (const payload of payloads) {
    for (let i = 0; i < GAP_BYTES; i++) bytes.push(0xee)
    starts.push(bytes.length)
    bytes.push(...payload)
    ends.push(bytes.length)
  }
  return new PackedPayloads(Uint8Array.from(bytes), Int32Array.from(starts), Int32Array.from(ends))
}
