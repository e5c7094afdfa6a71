/**
 * Sealed messages between their place and their verdict (consensus.md section 12). Nobody knows what is in one until the verdict, so
 * all that is remembered is where it stands and who put it there:
 *
 *   place ─▶ its node's list ─▶ opened: what was in it is published now, with its first place as a user property
 *                             └─ void: nothing was there
 *
 * A verdict counts once: it is given again to a machine that was restored from a disk.
 */
import type { Message } from '../messages/message.ts'
import type { State } from '../state.ts'
import type { NodeLife } from './node-life.ts'

/** Names the place at which the message was sealed, which is its rank: `POSITION.INDEX`. */
const RANK = 'concord-sealed-position'

/** A sealed message of a node has its place, that of the clock. */
export function noteSealed(state: State, node: number): void {
  const { nodes, records, counters, clock } = state
  const life = nodes.get(node)
  if (life === undefined) {
    counters.fenced++
    return
  }
  records.touch(life)
  if (!life.seal(clock.position)) counters.heldFull++
}

/** Whose message stands at this position and has had no verdict; it has one now. */
export function takeSealed({ nodes, records }: State, position: number): NodeLife | undefined {
  for (const life of nodes.values()) {
    if (!life.sealed.includes(position)) continue
    records.touch(life)
    life.unseal(position)
    return life
  }
  return undefined
}

/** The message with its rank. */
export function ranked(message: Message, position: number, index: number): Message {
  const { properties } = message
  const rank = [RANK, `${position}.${index}`] as const
  return { ...message, properties: { ...properties, userProperties: [...(properties?.userProperties ?? []), rank] } }
}
