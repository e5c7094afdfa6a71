/** How a publish changes the retained messages. */
import { NEVER } from '../deadlines/deadlines.ts'
import type { Body } from '../messages/body.ts'
import type { Message } from '../messages/message.ts'
import { messageBytes } from '../messages/message-codec.ts'
import type { MachineSettings } from '../settings.ts'
import type { State } from '../state.ts'
import { RetainedEntry } from './retained.ts'

/**
 * The message takes the place of the one retained before [MQTT-3.3.1-5]; an empty payload only clears it [MQTT-3.3.1-6]
 * [MQTT-3.3.1-7]. Beyond a maximum it is not retained, and neither is the older one: a stale value would be a wrong one. That
 * is for wills; a client's publish is refused before it gets here (`messages/refusing.ts`).
 */
export function keepRetained(state: State, body: Body): void {
  const { retained, settings } = state
  const before = retained.entry(body.message.topic)
  const isEmpty = body.message.payload.length === 0
  const isKept = !isEmpty && fits(heldBut(retained, before), settings, body.bytes)
  if (!isKept && !isEmpty) state.counters.retainedFull++
  if (before !== undefined) {
    if (isKept) end(state, before)
    else forgetRetained(state, before)
  }
  if (!isKept) return
  const entry = new RetainedEntry(body)
  retained.put(entry)
  state.records.add(entry)
  state.deadlines.set(entry, body.expiresUs)
}

/** Whether a message could be retained in the place of the one before. */
export function hasRoomToRetain({ retained, settings }: State, message: Message): boolean {
  return fits(heldBut(retained, retained.entry(message.topic)), settings, messageBytes(message))
}

interface Held {
  readonly count: number
  readonly bytes: number
}

/** What is held without the one that is to be replaced. */
function heldBut({ count, bytes }: Held, before: RetainedEntry | undefined): Held {
  return before === undefined ? { count, bytes } : { count: count - 1, bytes: bytes - before.body.bytes }
}

function fits(held: Held, settings: MachineSettings, bytes: number): boolean {
  return (
    held.count < settings.retainedMessagesMax &&
    held.bytes + bytes <= settings.retainedBytesMax &&
    bytes <= settings.retainedMessageBytesMax
  )
}

/** Takes a retained message away: cleared or expired. */
export function forgetRetained(state: State, entry: RetainedEntry): void {
  state.retained.delete(entry)
  end(state, entry)
}

function end(state: State, entry: RetainedEntry): void {
  state.deadlines.set(entry, NEVER)
  state.records.remove(entry)
}
