/**
 * What hooks decide about a form on its way to one client: who gets which of its messages, and in what shape. Only reached
 * while somebody uses such a hook; the forms of everybody else pass by.
 *
 * The messages of a form are read out of its bytes once, whoever it goes to.
 */
import { type RemainingLength, readRemainingLength } from '@concordmq/protocol'
import { messageOfBytes, takeOutgoing } from '../hooks/hook-message.ts'
import { type HookPoints, Refused } from '../hooks/hook-points.ts'
import type { HookMessage } from '../hooks/hooks.ts'
import type { ClientInfo } from '../model/client-info.ts'
import { endOf, type Form } from './form.ts'
import { packetForm } from './message-form.ts'

const header: RemainingLength = { value: 0, next: 0 }
const NO_OFFSETS = new Int32Array(0)

/** Message `i` of a form. */
export function messageAt(form: Form, i: number, v5: boolean): HookMessage {
  form.messages ??= Array.from({ length: form.count }, (_, at) => readMessage(form, at, v5))
  return form.messages[i] as HookMessage
}

function readMessage(form: Form, i: number, v5: boolean): HookMessage {
  const from = i === 0 ? form.start : (form.heads[i] as number)
  const to = endOf(form, i)
  const bytes = new Uint8Array(to - from + form.partsBytes)
  bytes.set(form.buf.subarray(from, to))
  let at = to - from
  for (const part of form.parts ?? []) {
    bytes.set(part, at)
    at += part.length
  }
  // The identifier of a template is whatever stands there; the encoder's refusal of 0 must not meet it.
  if (form.qos > 0) bytes[(form.ids[i] as number) - from + 1] = 1
  readRemainingLength(bytes, 1, bytes.length, header)
  const message = messageOfBytes(bytes, header.next, v5)
  if (message === undefined) throw new Error('A PUBLISH of this broker cannot be read')
  return { ...message, packetId: 0 }
}

/** Message `i` alone. */
function single(form: Form, i: number): Form {
  if (form.count === 1) return form
  const start = i === 0 ? form.start : (form.heads[i] as number)
  return {
    ...form,
    start,
    end: endOf(form, i),
    count: 1,
    heads: Int32Array.of(start),
    ids: form.qos > 0 ? Int32Array.of(form.ids[i] as number) : NO_OFFSETS,
    slice: undefined,
    kept: undefined,
    messages: form.messages === undefined ? [] : [form.messages[i] as HookMessage],
  }
}

/** Whom a screening is for. */
export interface Recipient {
  readonly client: ClientInfo
  readonly v5: boolean
  /** Whether `selectSubscribers` has had its say about this copy. */
  readonly selected: boolean
}

/** One message of a form as the recipient gets it; undefined: not at all. */
export function screenMessage(hooks: HookPoints, to: Recipient, form: Form, i: number): Form | undefined {
  const { client, v5 } = to
  const message = messageAt(form, i, v5)
  if (hooks.decideNow('authorizeDelivery', [client, message], 0x87) > 0) return undefined
  if (!to.selected && !select(hooks, message, [client.clientId]).includes(client.clientId)) return undefined
  const changed = hooks.transformNow('transformOutgoing', [client], message, takeOutgoing)
  if (changed instanceof Refused) return undefined
  if (changed === message) return single(form, i)
  const { topic, payload, retain, properties } = changed
  return packetForm(
    { topic, payload, qos: form.qos, retain, dup: message.dup, ...(v5 && properties !== undefined && { properties }) },
    v5,
    form.expiresAtMs,
  )
}

/** `selectSubscribers`: those of the clients that get the message; nobody when a hook fails. */
export function select(hooks: HookPoints, message: HookMessage, clientIds: readonly string[]): readonly string[] {
  const selected = hooks.transformNow('selectSubscribers', [message], clientIds, (answer) =>
    Array.isArray(answer) && answer.every((id) => typeof id === 'string') ? (answer as string[]) : undefined,
  )
  return selected instanceof Refused ? [] : selected
}
