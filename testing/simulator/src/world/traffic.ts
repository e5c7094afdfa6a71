/**
 * What the nodes' clients publish: each message is known by its bytes, so that the log can be compared with what was submitted,
 * and nothing else. Bursts, steady streams, isolated messages with silence between, and one node that speaks alone.
 *
 *     message := node u8 | number u32 | padding
 */
import type { TrafficShape } from '../scenario.ts'
import type { Draws } from './draws.ts'

/** First byte of what a liar makes up; no node has this number. */
export const liarMark = 0xff
const nameBytes = 5

export function messageOf(node: number, number: number, paddingBytes: number): Uint8Array {
  const bytes = new Uint8Array(nameBytes + paddingBytes)
  bytes[0] = node
  for (let at = 1; at < nameBytes; at++) bytes[at] = number >>> (8 * (nameBytes - 1 - at))
  bytes.fill(number & 0xff, nameBytes)
  return bytes
}

/** The node and number that a message's bytes name; undefined if they are not such a message. */
export function nameOfMessage(bytes: Uint8Array): { readonly node: number; readonly number: number } | undefined {
  if (bytes.length < nameBytes || bytes[0] === liarMark) return undefined
  let number = 0
  for (let at = 1; at < nameBytes; at++) number = number * 256 + (bytes[at] as number)
  return { node: bytes[0] as number, number }
}

/** When the next submission comes, and where. */
export interface Arrival {
  readonly afterUs: number
  readonly node: number
  /** How many messages come at once. */
  readonly count: number
}

/** Endless: the caller stops to ask. */
export function arrivals(
  shape: TrafficShape,
  draws: Draws,
  { n, baseUs }: { n: number; baseUs: number },
): () => Arrival {
  const node = draws.below(n)
  const wait = (times: number): number => Math.round(-Math.log(1 - draws.fraction()) * times * baseUs)
  switch (shape) {
    case 'steady':
      return () => ({ afterUs: wait(2 / n), node: draws.below(n), count: 1 })
    case 'oneNode':
      return () => ({ afterUs: wait(2), node, count: 1 })
    case 'isolated':
      return () => ({ afterUs: baseUs * 15 + wait(10), node: draws.below(n), count: 1 })
    case 'bursts':
      return () => {
        const silent = draws.chance(0.1)
        return { afterUs: silent ? wait(90) : wait(1 / n), node: draws.below(n), count: draws.between(1, 10) }
      }
  }
}
