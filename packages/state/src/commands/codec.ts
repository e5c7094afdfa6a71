/**
 * The canonical binary form of commands: what the recorder writes, and what goes through the order between nodes. One
 * command has one form; what is not that form is malformed. Meaning is not checked here but by the machine, so that every
 * replica counts the same no-ops.
 */
import type { ProtocolVersion, QoS } from '@concordmq/protocol'
import { readSigned, writeSigned } from '../admin/admin-document.ts'
import { Reader } from '../encoding/reader.ts'
import { Writer } from '../encoding/writer.ts'
import { readHead, readMessage, writeHead, writeMessage } from '../messages/message-codec.ts'
import type { Command, ConnectionId, Settlement, SubscriptionOrder, WillOrder } from './commands.ts'

const TAGS = {
  start: 1,
  publish: 2,
  connect: 3,
  disconnect: 4,
  subscribe: 5,
  unsubscribe: 6,
  acknowledge: 7,
  release: 8,
  tick: 9,
  publishRun: 10,
  withdrawWill: 11,
  admin: 12,
} as const satisfies Record<Command['type'], number>

const OUTCOMES = ['acked', 'received', 'completed', 'givenUp'] as const
const SETTLEMENT_BYTES = 14
const PAYLOAD_BYTES = 4
const SUBSCRIPTION_BYTES = 7

/** The bytes of a command. */
export function encodeCommand(command: Command): Uint8Array {
  const writer = new Writer()
  writer.u8(TAGS[command.type])
  switch (command.type) {
    case 'start':
      writer.u32(command.node)
      writer.u53(command.incarnation)
      break
    case 'publish':
      writer.u8((command.connection === undefined ? 0 : 1) | (command.receipt === undefined ? 0 : 2))
      if (command.connection !== undefined) writeConnection(writer, command.connection)
      if (command.receipt !== undefined) writer.u16(command.receipt)
      writeMessage(writer, command.message)
      break
    case 'publishRun':
      writer.u8(command.connection === undefined ? 0 : 1)
      if (command.connection !== undefined) writeConnection(writer, command.connection)
      writeHead(writer, command.head)
      writer.u32(command.payloads.length)
      for (let i = 0; i < command.payloads.length; i++) writer.bytes(command.payloads.at(i) as Uint8Array)
      break
    case 'connect':
      writeClient(writer, command)
      writer.string(command.principal)
      writer.u8(command.version)
      writer.u8((command.cleanStart ? 1 : 0) | (command.will === undefined ? 0 : 2))
      writer.u32(command.sessionExpirySeconds)
      writer.u16(command.receiveMaximum)
      if (command.will !== undefined) {
        writer.u32(command.will.delaySeconds)
        writeMessage(writer, command.will.message)
      }
      break
    case 'disconnect':
      writeClient(writer, command)
      writer.u8(command.reasonCode)
      writer.u8(
        (command.will === 'publish' ? 1 : 0) |
          (command.sessionExpirySeconds === undefined ? 0 : 2) |
          (command.sentBelow === undefined ? 0 : 4),
      )
      if (command.sessionExpirySeconds !== undefined) writer.u32(command.sessionExpirySeconds)
      if (command.sentBelow !== undefined) writer.u53(command.sentBelow)
      break
    case 'subscribe':
      writeClient(writer, command)
      writer.u32(command.subscriptions.length)
      for (const order of command.subscriptions) writeSubscription(writer, order)
      break
    case 'unsubscribe':
      writeClient(writer, command)
      writer.u32(command.filters.length)
      for (const filter of command.filters) writer.string(filter)
      break
    case 'acknowledge':
      writeClient(writer, command)
      writer.u32(command.settlements.length)
      for (const { q, count = 1, outcome, reasonCode } of command.settlements) {
        writer.u53(q)
        writer.u32(count)
        writer.u8(OUTCOMES.indexOf(outcome) | (reasonCode === undefined ? 0 : 4))
        writer.u8(reasonCode ?? 0)
      }
      break
    case 'release':
      writeClient(writer, command)
      writer.u32(command.packetIds.length)
      for (const packetId of command.packetIds) writer.u16(packetId)
      break
    case 'withdrawWill':
      writer.string(command.clientId)
      writer.u53(command.dueUs)
      break
    case 'admin':
      writeSigned(writer, command)
      break
    case 'tick':
      break
  }
  return writer.take()
}

/** The command in these bytes, or what is wrong with them. */
export function decodeCommand(bytes: Uint8Array): Command | { readonly malformed: string } {
  const reader = new Reader(bytes)
  const command = readCommand(reader)
  reader.end()
  if (reader.problem !== undefined || command === undefined) return { malformed: reader.problem ?? 'unknown command' }
  return command
}

function readCommand(reader: Reader): Command | undefined {
  switch (reader.u8()) {
    case TAGS.start:
      return { type: 'start', node: reader.u32(), incarnation: reader.u53() }
    case TAGS.publish: {
      const set = reader.upTo(3, 'flags of publish')
      const connection = (set & 1) === 0 ? {} : { connection: readConnection(reader) }
      const receipt = (set & 2) === 0 ? {} : { receipt: reader.u16() }
      return { type: 'publish', ...connection, ...receipt, message: readMessage(reader) }
    }
    case TAGS.publishRun: {
      const set = reader.upTo(1, 'flags of publishRun')
      const connection = set === 0 ? {} : { connection: readConnection(reader) }
      const head = readHead(reader)
      return {
        type: 'publishRun',
        ...connection,
        head,
        payloads: readList(reader, PAYLOAD_BYTES, () => reader.bytes()),
      }
    }
    case TAGS.connect:
      return readConnect(reader)
    case TAGS.disconnect: {
      const client = readClient(reader)
      const reasonCode = reader.u8()
      const set = reader.upTo(7, 'flags of disconnect')
      const expiry = (set & 2) === 0 ? {} : { sessionExpirySeconds: reader.u32() }
      const sentBelow = (set & 4) === 0 ? {} : { sentBelow: reader.u53() }
      return {
        type: 'disconnect',
        ...client,
        reasonCode,
        ...expiry,
        will: (set & 1) === 0 ? 'drop' : 'publish',
        ...sentBelow,
      }
    }
    case TAGS.subscribe:
      return {
        type: 'subscribe',
        ...readClient(reader),
        subscriptions: readList(reader, SUBSCRIPTION_BYTES, () => readSubscription(reader)),
      }
    case TAGS.unsubscribe:
      return { type: 'unsubscribe', ...readClient(reader), filters: readList(reader, 2, () => reader.string()) }
    case TAGS.acknowledge:
      return {
        type: 'acknowledge',
        ...readClient(reader),
        settlements: readList(reader, SETTLEMENT_BYTES, () => readSettlement(reader)),
      }
    case TAGS.release:
      return { type: 'release', ...readClient(reader), packetIds: readList(reader, 2, () => reader.u16()) }
    case TAGS.withdrawWill:
      return { type: 'withdrawWill', clientId: reader.string(), dueUs: reader.u53() }
    case TAGS.admin:
      return { type: 'admin', ...readSigned(reader) }
    case TAGS.tick:
      return { type: 'tick' }
    default:
      reader.fail('unknown command')
      return undefined
  }
}

function readConnect(reader: Reader): Command {
  const client = readClient(reader)
  const principal = reader.string()
  const version = reader.upTo(5, 'version')
  if (version < 3) reader.fail('version is none of MQTT')
  const set = reader.upTo(3, 'flags of connect')
  const sessionExpirySeconds = reader.u32()
  const receiveMaximum = reader.u16()
  let will: { will?: WillOrder } = {}
  if ((set & 2) !== 0) {
    const delaySeconds = reader.u32()
    will = { will: { message: readMessage(reader), delaySeconds } }
  }
  return {
    type: 'connect',
    ...client,
    principal,
    version: version as ProtocolVersion,
    cleanStart: (set & 1) !== 0,
    sessionExpirySeconds,
    receiveMaximum,
    ...will,
  }
}

interface OfClient {
  readonly connection: ConnectionId
  readonly clientId: string
}

function writeClient(writer: Writer, { connection, clientId }: OfClient): void {
  writeConnection(writer, connection)
  writer.string(clientId)
}

function readClient(reader: Reader): OfClient {
  return { connection: readConnection(reader), clientId: reader.string() }
}

function writeConnection(writer: Writer, connection: ConnectionId): void {
  writer.u32(connection.node)
  writer.u53(connection.incarnation)
  writer.u53(connection.counter)
}

function readConnection(reader: Reader): ConnectionId {
  return { node: reader.u32(), incarnation: reader.u53(), counter: reader.u53() }
}

function writeSubscription(writer: Writer, order: SubscriptionOrder): void {
  writer.string(order.filter)
  const flags =
    (order.noLocal ? 4 : 0) |
    (order.retainAsPublished ? 8 : 0) |
    (order.timestamps === true ? 64 : 0) |
    (order.positions === true ? 128 : 0)
  writer.u8(order.qos | flags | (order.retainHandling << 4))
  writer.u32(order.subscriptionId)
}

function readSubscription(reader: Reader): SubscriptionOrder {
  const filter = reader.string()
  const options = reader.u8()
  const retainHandling = (options >> 4) & 3
  if ((options & 3) === 3) reader.fail('subscription has QoS 3')
  if (retainHandling === 3) reader.fail('retain handling is 3')
  return {
    filter,
    qos: (options & 3) as QoS,
    noLocal: (options & 4) !== 0,
    retainAsPublished: (options & 8) !== 0,
    retainHandling: retainHandling as 0 | 1 | 2,
    subscriptionId: reader.u32(),
    ...((options & 64) !== 0 && { timestamps: true }),
    ...((options & 128) !== 0 && { positions: true }),
  }
}

function readSettlement(reader: Reader): Settlement {
  const q = reader.u53()
  const entries = reader.u32()
  if (entries === 0) reader.fail('settlement of no entry')
  const count = entries === 1 ? {} : { count: entries }
  const set = reader.upTo(7, 'outcome')
  const reasonCode = reader.u8()
  const outcome = OUTCOMES[set & 3] as Settlement['outcome']
  if ((set & 4) !== 0) return { q, ...count, outcome, reasonCode }
  if (reasonCode !== 0) reader.fail('reason code of a settlement without one')
  return { q, ...count, outcome }
}

function readList<T>(reader: Reader, bytesMin: number, read: () => T): T[] {
  const count = reader.count(bytesMin)
  const list: T[] = []
  for (let i = 0; i < count && reader.problem === undefined; i++) list.push(read())
  return list
}
