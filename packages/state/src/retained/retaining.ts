/** How a publish changes the retained messages. */
import { NEVER } from '../deadlines/deadlines.ts'
import type { Body } from '../messages/body.ts'
import type { Message } from '../messages/message.ts'
import { messageBytes } from '../messages/message-codec.ts'
import type { MachineSettings } from '../settings.ts'
import type { State } from '../state.ts'
import { ExpiringEntry, RetainedEntry } from './retained.ts'

/**
 * The message takes the place of the one retained before [MQTT-3.3.1-5]; an empty payload only clears it [MQTT-3.3.1-6]
 * [MQTT-3.3.1-7]. Beyond a maximum it is not retained, and neither is the older one: a stale value would be a wrong one. That
 * is for wills; a client's publish is refused before it gets here (`messages/refusing.ts`). Returns what is retained now.
 */
export function keepRetained(state: State, body: Body): RetainedEntry | undefined {
  const { retained, counters } = state
  const { topic, payload } = body.message
  const isEmpty = payload.length === 0
  if (isEmpty || !hasRoom(state, topic, body.bytes)) {
    if (!isEmpty) counters.retainedFull++
    const before = retained.entry(topic)
    if (before !== undefined) forgetRetained(state, before)
    return undefined
  }
  return enterRetained(state, body)
}

/** The same for one that there is room for. */
export function enterRetained(state: State, body: Body): RetainedEntry {
  const { retained, deadlines, records } = state
  const { expiresUs } = body
  const entry = expiresUs === NEVER ? new RetainedEntry(body) : new ExpiringEntry(body)
  const before = retained.put(entry)
  if (before !== undefined) end(state, before)
  records.add(entry)
  if (entry instanceof ExpiringEntry) deadlines.set(entry, expiresUs)
  return entry
}

/** Whether a message could be retained in the place of the one before. */
export function hasRoomToRetain(state: State, message: Message): boolean {
  return hasRoom(state, message.topic, messageBytes(message))
}

function hasRoom({ retained, settings }: State, topic: string, bytes: number): boolean {
  // Mostly there is room even beside the one before, which need not be looked for then.
  if (fits(retained, settings, bytes)) return true
  const before = retained.entry(topic)
  if (before === undefined) return false
  return fits({ count: retained.count - 1, bytes: retained.bytes - before.bytes }, settings, bytes)
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

/** Takes a retained message away: cleared or expired. */
export function forgetRetained(state: State, entry: RetainedEntry): void {
  state.retained.delete(entry)
  end(state, entry)
}

function end({ retained, deadlines, records }: State, entry: RetainedEntry): void {
  if (entry instanceof ExpiringEntry) deadlines.set(entry, NEVER)
  records.remove(entry)
  retained.end(entry)
}
