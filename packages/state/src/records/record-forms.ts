/**
 * A record as plain values, and back: for whoever looks at a record without building a state of it, above all what exports
 * data and imports them. Reading tells whether bytes have the form of a record; whether it fits the others, a state does.
 */
import type { ProtocolVersion, QoS } from '@concordmq/protocol'
import {
  ADMIN_SUBJECTS,
  type AdminDocument,
  type AdminSignature,
  readSigned,
  writeSigned,
} from '../admin/admin-document.ts'
import type { ConnectionId, SubscriptionOrder } from '../commands/commands.ts'
import { Reader } from '../encoding/reader.ts'
import { Writer } from '../encoding/writer.ts'
import { readDirectory, type Shelved } from '../messages/chunk.ts'
import type { Message, PlacedMessage } from '../messages/message.ts'
import { readMessage, writeMessage } from '../messages/message-codec.ts'
import { RecordKind } from './kinds.ts'
import { type EntryForm, type Malformed, readEntries, writeEntries } from './reading.ts'

export interface SessionForm {
  readonly clientId: string
  readonly kept: boolean
  readonly connection: ConnectionId | undefined
  readonly principal: string
  readonly version: ProtocolVersion
  readonly receiveMaximum: number
  readonly expirySeconds: number
  readonly willDueUs: number
  readonly expiresUs: number
  readonly base: number
  readonly next: number
  readonly sentBelow: number
  readonly expiryFloorUs: number
  readonly receipts: readonly number[]
}

export type RecordForm =
  | { readonly kind: 'clock'; readonly position: number; readonly timeUs: number; readonly index: number }
  /** `order`: how far the order of a cluster has got with it, as bytes; absent outside a cluster. */
  | { readonly kind: 'node'; readonly node: number; readonly incarnation: number; readonly order?: Uint8Array }
  | { readonly kind: 'message'; readonly placed: PlacedMessage }
  | { readonly kind: 'session'; readonly session: SessionForm }
  | { readonly kind: 'subscription'; readonly clientId: string; readonly order: SubscriptionOrder }
  | {
      readonly kind: 'queuePart'
      readonly clientId: string
      readonly number: number
      readonly entries: readonly EntryForm[]
    }
  | { readonly kind: 'retained'; readonly placed: PlacedMessage }
  /** In a cluster only. */
  | { readonly kind: 'shareGroup'; readonly filter: string; readonly last: string }
  | { readonly kind: 'will'; readonly clientId: string; readonly delaySeconds: number; readonly message: Message }
  /** In a cluster only. */
  | {
      readonly kind: 'admin'
      readonly position: number
      readonly timeUs: number
      readonly document: AdminDocument
      readonly signatures: readonly AdminSignature[]
    }
  | { readonly kind: 'chunk'; readonly id: number; readonly messages: readonly Shelved[] }

/** The form of a record; undefined: a kind that is not kept on disk. */
export function readRecordForm(key: Uint8Array, value: Uint8Array): RecordForm | Malformed | undefined {
  const keys = new Reader(key)
  const values = new Reader(value)
  const form = readForm(keys.u8(), keys, values)
  if (form === undefined) return undefined
  keys.end()
  values.end()
  const problem = keys.problem ?? values.problem
  return problem === undefined ? form : { malformed: problem }
}

function readForm(kind: number, keys: Reader, values: Reader): RecordForm | undefined {
  switch (kind) {
    case RecordKind.clock:
      return { kind: 'clock', position: values.u53(), timeUs: values.u53(), index: values.u32() }
    case RecordKind.node:
      return readNode(keys, values)
    case RecordKind.message: {
      const place = { position: keys.u53(), index: keys.u32() }
      return { kind: 'message', placed: { ...place, timeUs: values.u53(), message: readMessage(values) } }
    }
    case RecordKind.session:
      return { kind: 'session', session: readSession(keys, values) }
    case RecordKind.subscription: {
      const clientId = keys.string()
      const filter = keys.string()
      const options = values.u8()
      const order = {
        filter,
        qos: (options & 3) as QoS,
        noLocal: (options & 4) !== 0,
        retainAsPublished: (options & 8) !== 0,
        retainHandling: (options >> 4) as 0 | 1 | 2,
        subscriptionId: values.u32(),
      }
      return { kind: 'subscription', clientId, order }
    }
    case RecordKind.queuePart:
      return { kind: 'queuePart', clientId: keys.string(), number: keys.u53(), entries: readEntries(values) }
    case RecordKind.retained: {
      keys.string()
      const place = { position: values.u53(), index: values.u32(), timeUs: values.u53() }
      return { kind: 'retained', placed: { ...place, message: readMessage(values) } }
    }
    case RecordKind.shareGroup:
      return { kind: 'shareGroup', filter: keys.string(), last: values.string() }
    case RecordKind.will:
      return { kind: 'will', clientId: keys.string(), delaySeconds: values.u32(), message: readMessage(values) }
    case RecordKind.chunk:
      return { kind: 'chunk', id: keys.u53(), messages: readDirectory(values) }
    case RecordKind.admin: {
      keys.u8()
      return { kind: 'admin', position: values.u53(), timeUs: values.u53(), ...readSigned(values) }
    }
    default:
      return undefined
  }
}

function readNode(keys: Reader, values: Reader): RecordForm {
  const form = { kind: 'node', node: keys.u32(), incarnation: values.u53() } as const
  return values.left === 0 ? form : { ...form, order: values.raw(values.left) }
}

function readSession(keys: Reader, values: Reader): SessionForm {
  const clientId = keys.string()
  const set = values.u8()
  const head = {
    principal: values.string(),
    version: values.u8() as ProtocolVersion,
    receiveMaximum: values.u16(),
    expirySeconds: values.u32(),
    willDueUs: values.u53(),
    expiresUs: values.u53(),
  }
  const connection =
    (set & 2) === 0 ? undefined : { node: values.u32(), incarnation: values.u53(), counter: values.u53() }
  const queue = { base: values.u53(), next: values.u53(), sentBelow: values.u53(), expiryFloorUs: values.u53() }
  const receipts: number[] = []
  for (let left = values.count(2); left > 0; left--) receipts.push(values.u16())
  return { clientId, kept: (set & 1) !== 0, connection, ...head, ...queue, receipts }
}

/** Key and value of a record. The values must be what their fields hold; texts are not checked. */
export function writeRecordForm(form: RecordForm): { readonly key: Uint8Array; readonly value: Uint8Array } {
  const key = new Writer()
  const value = new Writer()
  key.u8(RecordKind[form.kind])
  switch (form.kind) {
    case 'clock':
      value.u53(form.position)
      value.u53(form.timeUs)
      value.u32(form.index)
      break
    case 'node':
      key.u32(form.node)
      value.u53(form.incarnation)
      if (form.order !== undefined) value.raw(form.order)
      break
    case 'message':
      writePlace(key, form.placed)
      value.u53(form.placed.timeUs)
      writeMessage(value, form.placed.message)
      break
    case 'session':
      key.string(form.session.clientId)
      writeSession(value, form.session)
      break
    case 'subscription': {
      const { filter, qos, noLocal, retainAsPublished, retainHandling, subscriptionId } = form.order
      key.string(form.clientId)
      key.string(filter)
      value.u8(qos | (noLocal ? 4 : 0) | (retainAsPublished ? 8 : 0) | (retainHandling << 4))
      value.u32(subscriptionId)
      break
    }
    case 'queuePart':
      key.string(form.clientId)
      key.u53(form.number)
      writeEntries(value, form.entries)
      break
    case 'retained':
      key.string(form.placed.message.topic)
      writePlace(value, form.placed)
      value.u53(form.placed.timeUs)
      writeMessage(value, form.placed.message)
      break
    case 'shareGroup':
      key.string(form.filter)
      value.string(form.last)
      break
    case 'will':
      key.string(form.clientId)
      value.u32(form.delaySeconds)
      writeMessage(value, form.message)
      break
    case 'admin':
      key.u8(ADMIN_SUBJECTS.indexOf(form.document.subject))
      value.u53(form.position)
      value.u53(form.timeUs)
      writeSigned(value, form)
      break
    case 'chunk':
      key.u53(form.id)
      value.u16(form.messages.length)
      for (const { slot, position, index, bytes, expiresUs } of form.messages) {
        value.u16(slot)
        writePlace(value, { position, index })
        value.u32(bytes)
        value.u53(expiresUs)
      }
  }
  return { key: key.take(), value: value.take() }
}

function writePlace(writer: Writer, { position, index }: { readonly position: number; readonly index: number }): void {
  writer.u53(position)
  writer.u32(index)
}

function writeSession(writer: Writer, session: SessionForm): void {
  const { connection } = session
  writer.u8((session.kept ? 1 : 0) | (connection === undefined ? 0 : 2))
  writer.string(session.principal)
  writer.u8(session.version)
  writer.u16(session.receiveMaximum)
  writer.u32(session.expirySeconds)
  writer.u53(session.willDueUs)
  writer.u53(session.expiresUs)
  if (connection !== undefined) {
    writer.u32(connection.node)
    writer.u53(connection.incarnation)
    writer.u53(connection.counter)
  }
  writer.u53(session.base)
  writer.u53(session.next)
  writer.u53(session.sentBelow)
  writer.u53(session.expiryFloorUs)
  writer.u32(session.receipts.length)
  for (const packetId of session.receipts) writer.u16(packetId)
}
