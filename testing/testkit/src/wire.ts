/**
 * Encodes and decodes MQTT packets for black-box tests. It shares nothing with `@concordmq/protocol` on purpose: an error in
 * one codec cannot hide behind the same error in the other. It can also write what no good client would: every part of a
 * packet may be replaced by raw bytes.
 *
 * The decoder is for packets of a server, and strict: a packet with wrong flags, bytes left over, a property that the packet
 * must not have, or a number in too many bytes throws, so every test checks the form of everything it receives.
 */

export type Version = 3 | 4 | 5

export const packetTypes = [
  'RESERVED',
  'CONNECT',
  'CONNACK',
  'PUBLISH',
  'PUBACK',
  'PUBREC',
  'PUBREL',
  'PUBCOMP',
  'SUBSCRIBE',
  'SUBACK',
  'UNSUBSCRIBE',
  'UNSUBACK',
  'PINGREQ',
  'PINGRESP',
  'DISCONNECT',
  'AUTH',
] as const
export type PacketType = (typeof packetTypes)[number]

const propertyTable = {
  payloadFormatIndicator: [0x01, 'byte'],
  messageExpiryInterval: [0x02, 'four'],
  contentType: [0x03, 'text'],
  responseTopic: [0x08, 'text'],
  correlationData: [0x09, 'binary'],
  subscriptionIdentifier: [0x0b, 'variable'],
  sessionExpiryInterval: [0x11, 'four'],
  assignedClientIdentifier: [0x12, 'text'],
  serverKeepAlive: [0x13, 'two'],
  authenticationMethod: [0x15, 'text'],
  authenticationData: [0x16, 'binary'],
  requestProblemInformation: [0x17, 'byte'],
  willDelayInterval: [0x18, 'four'],
  requestResponseInformation: [0x19, 'byte'],
  responseInformation: [0x1a, 'text'],
  serverReference: [0x1c, 'text'],
  reasonString: [0x1f, 'text'],
  receiveMaximum: [0x21, 'two'],
  topicAliasMaximum: [0x22, 'two'],
  topicAlias: [0x23, 'two'],
  maximumQoS: [0x24, 'byte'],
  retainAvailable: [0x25, 'byte'],
  userProperty: [0x26, 'pair'],
  maximumPacketSize: [0x27, 'four'],
  wildcardSubscriptionAvailable: [0x28, 'byte'],
  subscriptionIdentifierAvailable: [0x29, 'byte'],
  sharedSubscriptionAvailable: [0x2a, 'byte'],
} as const
export type PropertyName = keyof typeof propertyTable
export type PropertyValue = number | string | Uint8Array | readonly [string, string]
/** Name and value, or raw bytes in place of a whole property. */
export type Property = readonly [PropertyName, PropertyValue] | Uint8Array

/** What a server may send in which packet (5.0, table 2-4). */
const allowed: Partial<Record<PacketType, readonly PropertyName[]>> = {
  CONNACK: [
    'sessionExpiryInterval',
    'assignedClientIdentifier',
    'serverKeepAlive',
    'authenticationMethod',
    'authenticationData',
    'responseInformation',
    'serverReference',
    'reasonString',
    'receiveMaximum',
    'topicAliasMaximum',
    'maximumQoS',
    'retainAvailable',
    'userProperty',
    'maximumPacketSize',
    'wildcardSubscriptionAvailable',
    'subscriptionIdentifierAvailable',
    'sharedSubscriptionAvailable',
  ],
  PUBLISH: [
    'payloadFormatIndicator',
    'messageExpiryInterval',
    'contentType',
    'responseTopic',
    'correlationData',
    'subscriptionIdentifier',
    'topicAlias',
    'userProperty',
  ],
  PUBACK: ['reasonString', 'userProperty'],
  PUBREC: ['reasonString', 'userProperty'],
  PUBREL: ['reasonString', 'userProperty'],
  PUBCOMP: ['reasonString', 'userProperty'],
  SUBACK: ['reasonString', 'userProperty'],
  UNSUBACK: ['reasonString', 'userProperty'],
  // Without session expiry interval [MQTT-3.14.2-2].
  DISCONNECT: ['reasonString', 'userProperty', 'serverReference'],
  AUTH: ['authenticationMethod', 'authenticationData', 'reasonString', 'userProperty'],
}

export function bytes(...values: number[]): Buffer {
  return Buffer.from(values)
}

export function uint16(value: number): Buffer {
  return bytes(value >> 8, value & 0xff)
}

export function uint32(value: number): Buffer {
  const buffer = Buffer.alloc(4)
  buffer.writeUInt32BE(value)
  return buffer
}

export function variable(value: number): Buffer {
  const out: number[] = []
  do {
    const rest = Math.floor(value / 128)
    out.push((value % 128) + (rest > 0 ? 128 : 0))
    value = rest
  } while (value > 0)
  return Buffer.from(out)
}

/** A string, or raw bytes in its place, behind two bytes of length. */
export function text(value: string | Uint8Array): Buffer {
  const content = Buffer.from(value)
  return Buffer.concat([uint16(content.length), content])
}

export function properties(list: readonly Property[] = []): Buffer {
  const content = Buffer.concat(list.map(property))
  return Buffer.concat([variable(content.length), content])
}

function property(entry: Property): Uint8Array {
  if (entry instanceof Uint8Array) return entry
  const [name, value] = entry
  const [id, kind] = propertyTable[name]
  if (kind === 'pair') {
    const [key, content] = value as readonly [string, string]
    return Buffer.concat([bytes(id), text(key), text(content)])
  }
  if (typeof value === 'number') {
    const number = { byte: bytes, two: uint16, four: uint32, variable, text, binary: text }[kind] as (
      n: number,
    ) => Buffer
    return Buffer.concat([bytes(id), number(value)])
  }
  return Buffer.concat([bytes(id), text(value as string | Uint8Array)])
}

/** A packet from its first byte's two halves and everything behind the remaining length. */
export function packet(type: PacketType, flags: number, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts)
  return Buffer.concat([bytes((packetTypes.indexOf(type) << 4) | flags), variable(body.length), body])
}

export interface WillOptions {
  readonly topic: string | Uint8Array
  readonly payload?: string | Uint8Array
  readonly qos?: number
  readonly retain?: boolean
  readonly properties?: readonly Property[]
}

export interface ConnectOptions {
  readonly clientId?: string | Uint8Array
  /** Clean session before 5.0. Default true. */
  readonly cleanStart?: boolean
  /** Seconds. Default 0: none. */
  readonly keepAlive?: number
  readonly will?: WillOptions
  readonly username?: string | Uint8Array
  readonly password?: string | Uint8Array
  readonly properties?: readonly Property[]
  readonly protocolName?: string | Uint8Array
  readonly protocolLevel?: number
  /** In place of the flags that follow from the rest. */
  readonly flags?: number
}

export function connect(version: Version, options: ConnectOptions = {}): Buffer {
  const { will, username, password } = options
  const flags =
    ((options.cleanStart ?? true) ? 0x02 : 0) |
    (will === undefined ? 0 : 0x04 | ((will.qos ?? 0) << 3) | (will.retain === true ? 0x20 : 0)) |
    (password === undefined ? 0 : 0x40) |
    (username === undefined ? 0 : 0x80)
  const parts = [
    text(options.protocolName ?? (version === 3 ? 'MQIsdp' : 'MQTT')),
    bytes(options.protocolLevel ?? version, options.flags ?? flags),
    uint16(options.keepAlive ?? 0),
  ]
  if (version === 5) parts.push(properties(options.properties))
  parts.push(text(options.clientId ?? ''))
  if (will !== undefined) {
    if (version === 5) parts.push(properties(will.properties))
    parts.push(text(will.topic), text(will.payload ?? ''))
  }
  if (username !== undefined) parts.push(text(username))
  if (password !== undefined) parts.push(text(password))
  return packet('CONNECT', 0, ...parts)
}

export interface PublishOptions {
  readonly qos?: number
  readonly retain?: boolean
  readonly dup?: boolean
  /** Packet identifier. */
  readonly id?: number
  readonly properties?: readonly Property[]
}

export function publish(
  version: Version,
  topic: string | Uint8Array,
  payload: string | Uint8Array,
  options: PublishOptions = {},
): Buffer {
  const { qos = 0, id } = options
  const parts = [text(topic)]
  if (id !== undefined) parts.push(uint16(id))
  if (version === 5) parts.push(properties(options.properties))
  parts.push(Buffer.from(payload))
  return packet('PUBLISH', (options.dup === true ? 8 : 0) | (qos << 1) | (options.retain === true ? 1 : 0), ...parts)
}

/** PUBACK, PUBREC, PUBREL or PUBCOMP. Reason code and properties are written only if given. */
export function acknowledge(
  type: 'PUBACK' | 'PUBREC' | 'PUBREL' | 'PUBCOMP',
  id: number,
  reason?: number,
  list?: readonly Property[],
): Buffer {
  const parts = [uint16(id)]
  if (reason !== undefined) parts.push(bytes(reason))
  if (list !== undefined) parts.push(properties(list))
  return packet(type, type === 'PUBREL' ? 2 : 0, ...parts)
}

/** Filter and its options byte; in 3.1.1 that byte is the QoS. */
export type Subscription = readonly [filter: string | Uint8Array, options: number]

export function subscribe(
  version: Version,
  id: number,
  subscriptions: readonly Subscription[],
  list?: readonly Property[],
): Buffer {
  const parts = [uint16(id)]
  if (version === 5) parts.push(properties(list))
  for (const [filter, options] of subscriptions) parts.push(text(filter), bytes(options))
  return packet('SUBSCRIBE', 2, ...parts)
}

export function unsubscribe(
  version: Version,
  id: number,
  filters: readonly (string | Uint8Array)[],
  list?: readonly Property[],
): Buffer {
  const parts = [uint16(id)]
  if (version === 5) parts.push(properties(list))
  return packet('UNSUBSCRIBE', 2, ...parts, ...filters.map(text))
}

export function disconnect(reason?: number, list?: readonly Property[]): Buffer {
  const parts: Buffer[] = []
  if (reason !== undefined) parts.push(bytes(reason))
  if (list !== undefined) parts.push(properties(list))
  return packet('DISCONNECT', 0, ...parts)
}

export function auth(reason: number, list: readonly Property[]): Buffer {
  return packet('AUTH', 0, bytes(reason), properties(list))
}

export const pingreq: Buffer = packet('PINGREQ', 0)

/** A packet from a server. Fields that its type does not have are 0, false, empty or undefined. */
export interface Received {
  readonly type: PacketType
  readonly length: number
  readonly qos: number
  readonly dup: boolean
  readonly retain: boolean
  readonly topic: string
  readonly payload: Buffer
  readonly id: number
  readonly sessionPresent: boolean
  /** Reason code or return code; 0 where it was left out. */
  readonly reason: number
  /** Of SUBACK and UNSUBACK. */
  readonly reasons: readonly number[]
  readonly properties: readonly (readonly [PropertyName, PropertyValue])[]
}

/** The value of a property that occurs at most once. */
export function propertyOf(received: Received, name: PropertyName): PropertyValue | undefined {
  return propertiesOf(received, name)[0]
}

export function propertiesOf(received: Received, name: PropertyName): PropertyValue[] {
  return received.properties.filter(([other]) => other === name).map(([, value]) => value)
}

/** The first whole packet of what has arrived, or undefined. */
export function decode(version: Version, arrived: Buffer): Received | undefined {
  let length = 0
  let header = 1
  for (let factor = 1; ; factor *= 128, header++) {
    if (header > 4) throw new Error('Remaining length of more than four bytes')
    const byte = arrived[header]
    if (byte === undefined) return undefined
    length += (byte & 127) * factor
    if (byte < 128) {
      if (byte === 0 && header > 1) throw new Error('Remaining length in more bytes than needed')
      break
    }
  }
  header++
  if (arrived.length < header + length) return undefined
  const first = arrived[0] ?? 0
  const type = packetTypes[first >> 4] ?? 'RESERVED'
  const reader = new Reader(type, arrived.subarray(header, header + length))
  const received = { ...empty, type, length: header + length, ...fieldsOf(version, type, first & 15, reader) }
  reader.end()
  return received
}

const empty: Received = {
  type: 'RESERVED',
  length: 0,
  qos: 0,
  dup: false,
  retain: false,
  topic: '',
  payload: Buffer.alloc(0),
  id: 0,
  sessionPresent: false,
  reason: 0,
  reasons: [],
  properties: [],
}

function fieldsOf(version: Version, type: PacketType, flags: number, reader: Reader): Partial<Received> {
  if (type !== 'PUBLISH' && flags !== (type === 'PUBREL' ? 2 : 0)) throw new Error(`${type} with flags ${flags}`)
  const list = () => (version === 5 ? reader.properties() : [])
  switch (type) {
    case 'CONNACK': {
      const connectFlags = reader.byte()
      if (connectFlags > 1) throw new Error(`CONNACK with flags ${connectFlags}`)
      return { sessionPresent: connectFlags === 1, reason: reader.byte(), properties: list() }
    }
    case 'PUBLISH': {
      const qos = (flags >> 1) & 3
      if (qos === 3) throw new Error('PUBLISH with QoS 3')
      const topic = reader.text()
      const id = qos === 0 ? 0 : reader.uint16()
      if (qos > 0 && id === 0) throw new Error('PUBLISH with packet identifier 0')
      const dup = flags >= 8
      if (dup && qos === 0) throw new Error('PUBLISH with QoS 0 and DUP')
      return { qos, dup, retain: (flags & 1) === 1, topic, id, properties: list(), payload: reader.rest() }
    }
    case 'PUBACK':
    case 'PUBREC':
    case 'PUBREL':
    case 'PUBCOMP': {
      const id = reader.uint16()
      if (version < 5) return { id }
      return {
        id,
        reason: reader.left() > 0 ? reader.byte() : 0,
        properties: reader.left() > 0 ? reader.properties() : [],
      }
    }
    case 'SUBACK':
      return { id: reader.uint16(), properties: list(), reasons: [...reader.rest()] }
    case 'UNSUBACK':
      return { id: reader.uint16(), properties: list(), reasons: version === 5 ? [...reader.rest()] : [] }
    case 'PINGRESP':
      return {}
    case 'DISCONNECT':
    case 'AUTH':
      if (version < 5) throw new Error(`${type} from a server in version ${version}`)
      return {
        reason: reader.left() > 0 ? reader.byte() : 0,
        properties: reader.left() > 0 ? reader.properties() : [],
      }
    default:
      throw new Error(`${type} from a server`)
  }
}

class Reader {
  readonly #type: PacketType
  readonly #body: Buffer
  #at = 0

  constructor(type: PacketType, body: Buffer) {
    this.#type = type
    this.#body = body
  }

  take(count: number): Buffer {
    if (this.#at + count > this.#body.length) throw new Error(`${this.#type} ends too early`)
    this.#at += count
    return this.#body.subarray(this.#at - count, this.#at)
  }

  left(): number {
    return this.#body.length - this.#at
  }

  end(): void {
    if (this.left() > 0) throw new Error(`${this.#type} has ${this.left()} bytes too many`)
  }

  byte(): number {
    return this.take(1)[0] ?? 0
  }

  uint16(): number {
    return this.take(2).readUInt16BE()
  }

  variable(): number {
    let value = 0
    for (let count = 0; count < 4; count++) {
      const byte = this.byte()
      value += (byte & 127) * 128 ** count
      if (byte >= 128) continue
      if (byte === 0 && count > 0) throw new Error('Variable byte integer in more bytes than needed')
      return value
    }
    throw new Error('Variable byte integer of more than four bytes')
  }

  text(): string {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(this.take(this.uint16()))
  }

  rest(): Buffer {
    return this.take(this.left())
  }

  properties(): (readonly [PropertyName, PropertyValue])[] {
    const list: (readonly [PropertyName, PropertyValue])[] = []
    const length = this.variable()
    const end = this.#at + length
    while (this.#at < end) {
      const id = this.variable()
      const entry = (Object.keys(propertyTable) as PropertyName[]).find((name) => propertyTable[name][0] === id)
      if (entry === undefined) throw new Error(`${this.#type} with unknown property ${id}`)
      if (allowed[this.#type]?.includes(entry) !== true) throw new Error(`${this.#type} with property ${entry}`)
      const repeats = entry === 'userProperty' || (entry === 'subscriptionIdentifier' && this.#type === 'PUBLISH')
      if (!repeats && list.some(([name]) => name === entry)) throw new Error(`${this.#type} with ${entry} twice`)
      list.push([entry, this.#value(propertyTable[entry][1])])
    }
    if (this.#at !== end) throw new Error(`${this.#type} with a property beyond the property length`)
    return list
  }

  #value(kind: (typeof propertyTable)[PropertyName][1]): PropertyValue {
    if (kind === 'byte') return this.byte()
    if (kind === 'two') return this.uint16()
    if (kind === 'four') return this.take(4).readUInt32BE()
    if (kind === 'variable') return this.variable()
    if (kind === 'text') return this.text()
    if (kind === 'binary') return Buffer.from(this.take(this.uint16()))
    return [this.text(), this.text()]
  }
}
