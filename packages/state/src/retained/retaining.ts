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
  if (before !== undefined) forgetRetained(state, before)
  if (body.message.payload.length === 0) return
  if (!fits(retained, settings, body.bytes)) {
    state.counters.retainedFull++
    return
  }
  const entry = new RetainedEntry(body)
  retained.add(entry)
  state.records.add(entry)
  state.deadlines.set(entry, body.expiresUs)
}

/** Whether a message could be retained in the place of the one before. */
export function hasRoomToRetain({ retained, settings }: State, message: Message): boolean {
  const before = retained.entry(message.topic)?.body
  const freed = { count: before === undefined ? 0 : 1, bytes: before?.bytes ?? 0 }
  return fits(
    { count: retained.count - freed.count, bytes: retained.bytes - freed.bytes },
    settings,
    messageBytes(message),
  )
}

function fits(
  held: { readonly count: number; readonly bytes: number },
  settings: MachineSettings,
  bytes: number,
): boolean {
  return (
    held.count < settings.retainedMessagesMax &&
    held.bytes + bytes <= settings.retainedBytesMax &&
    bytes <= settings.retainedMessageBytesMax
  )
}

/** Takes a retained message away: replaced, cleared or expired. */
export function forgetRetained(state: State, entry: RetainedEntry): void {
  state.deadlines.set(entry, NEVER)
  state.retained.delete(entry)
  state.records.remove(entry)
}
