/**
 * The lines of an export: one JSON object each, with the fields of one kind of thing. A field that says nothing (no expiry,
 * no properties) is left out. Reading is strict: a field of the wrong type, a missing or an unknown one is a problem.
 *
 *   header │ node … │ message … │ session, its subscriptions, its will, its entries … │ retained … │ end
 */
import { NEVER, type PlacedMessage, type RecordForm, type SessionForm } from '@concordmq/state'

export type Message = PlacedMessage['message']

/** Version of the lines; a newer one is refused. */
export const STREAM_VERSION = 1
export const STREAM_FORMAT = 'concordmq-data'

/** A problem with a line; its number is added by whoever counts. */
export class LineError extends Error {
  override readonly name = 'LineError'
}

const U32 = 0xffff_ffff
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export function messageFields(message: Message): Record<string, unknown> {
  const { topic, qos, retain, publisher, expirySeconds, properties } = message
  return {
    topic,
    qos,
    retain,
    ...(publisher !== '' && { publisher }),
    ...(expirySeconds !== undefined && { expirySeconds }),
    ...(properties?.payloadFormatIndicator !== undefined && { payloadFormat: properties.payloadFormatIndicator }),
    ...(properties?.contentType !== undefined && { contentType: properties.contentType }),
    ...(properties?.responseTopic !== undefined && { responseTopic: properties.responseTopic }),
    ...(properties?.correlationData !== undefined && bytesField('correlationData', properties.correlationData)),
    ...((properties?.userProperties?.length ?? 0) > 0 && { userProperties: properties?.userProperties }),
    ...bytesField('payload', message.payload),
  }
}

/** As text where it is text, else in Base64 under another name. */
function bytesField(name: string, bytes: Uint8Array): Record<string, string> {
  try {
    return { [name]: decoder.decode(bytes) }
  } catch {
    return { [`${name}Base64`]: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64') }
  }
}

export function placedFields({ message, position, index, timeUs }: PlacedMessage): Record<string, unknown> {
  return { position, index, timeUs, ...messageFields(message) }
}

export function sessionFields(session: SessionForm): Record<string, unknown> {
  const { base, next, sentBelow, expiryFloorUs, willDueUs, expiresUs, connection, receipts, ...rest } = session
  return {
    ...rest,
    ...(connection !== undefined && { connection }),
    ...(willDueUs !== NEVER && { willDueUs }),
    ...(expiresUs !== NEVER && { expiresUs }),
    queue: { base, next, sentBelow, ...(expiryFloorUs !== NEVER && { expiryFloorUs }) },
    ...(receipts.length > 0 && { receipts }),
  }
}

/** The fields of an object, each taken once. */
export class Fields {
  readonly #object: Record<string, unknown>
  readonly #left: Set<string>

  constructor(value: unknown, what: string) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new LineError(`${what} is no object`)
    this.#object = value as Record<string, unknown>
    this.#left = new Set(Object.keys(value))
  }

  static ofLine(line: string): Fields {
    let value: unknown
    try {
      value = JSON.parse(line)
    } catch {
      throw new LineError('it is no JSON')
    }
    return new Fields(value, 'the line')
  }

  has(name: string): boolean {
    return Object.hasOwn(this.#object, name)
  }

  take(name: string): unknown {
    if (!this.has(name)) throw new LineError(`"${name}" is missing`)
    this.#left.delete(name)
    return this.#object[name]
  }

  text(name: string): string {
    const value = this.take(name)
    if (typeof value !== 'string') throw new LineError(`"${name}" is no text`)
    if (Buffer.byteLength(value) > 65_535 || !value.isWellFormed() || value.includes('\0')) {
      throw new LineError(`"${name}" is no text of MQTT: at most 65,535 bytes, no NUL`)
    }
    return value
  }

  flag(name: string): boolean {
    const value = this.take(name)
    if (typeof value !== 'boolean') throw new LineError(`"${name}" is neither true nor false`)
    return value
  }

  integer(name: string, max: number = NEVER, min = 0): number {
    return integerOf(this.take(name), name, { min, max })
  }

  optional(name: string, max: number, otherwise: number): number {
    return this.has(name) ? this.integer(name, max) : otherwise
  }

  list(name: string): readonly unknown[] {
    if (!this.has(name)) return []
    const value = this.take(name)
    if (!Array.isArray(value)) throw new LineError(`"${name}" is no list`)
    return value
  }

  /** Undefined: neither as text nor in Base64. */
  bytes(name: string): Uint8Array | undefined {
    const coded = `${name}Base64`
    if (this.has(name) && this.has(coded)) throw new LineError(`"${name}" is there twice`)
    if (this.has(name)) {
      const value = this.take(name)
      if (typeof value !== 'string' || !value.isWellFormed()) throw new LineError(`"${name}" is no text`)
      return new Uint8Array(Buffer.from(value))
    }
    if (!this.has(coded)) return undefined
    const value = this.take(coded)
    const bytes = typeof value === 'string' ? Buffer.from(value, 'base64') : undefined
    if (bytes === undefined || bytes.toString('base64') !== value) throw new LineError(`"${coded}" is no Base64`)
    return new Uint8Array(bytes)
  }

  /** Nothing may be left. */
  end(): void {
    const [name] = this.#left
    if (name !== undefined) throw new LineError(`"${name}" is no field of such a line`)
  }
}

function integerOf(value: unknown, name: string, { min, max }: { readonly min: number; readonly max: number }): number {
  if (!Number.isSafeInteger(value) || (value as number) < min || (value as number) > max) {
    throw new LineError(`"${name}" is no integer from ${min} to ${max}`)
  }
  return value as number
}

export function readMessageFields(fields: Fields): Message {
  const format = fields.has('payloadFormat') ? fields.integer('payloadFormat', 1) : undefined
  const correlationData = fields.bytes('correlationData')
  const userProperties = fields.list('userProperties').map((pair): readonly [string, string] => {
    if (!Array.isArray(pair) || pair.length !== 2) throw new LineError('"userProperties" is no list of pairs')
    const texts = new Fields({ name: pair[0], value: pair[1] }, 'a pair')
    return [texts.text('name'), texts.text('value')]
  })
  const properties = {
    ...(format !== undefined && { payloadFormatIndicator: format as 0 | 1 }),
    ...(fields.has('contentType') && { contentType: fields.text('contentType') }),
    ...(fields.has('responseTopic') && { responseTopic: fields.text('responseTopic') }),
    ...(correlationData !== undefined && { correlationData }),
    ...(userProperties.length > 0 && { userProperties }),
  }
  const payload = fields.bytes('payload')
  if (payload === undefined) throw new LineError('"payload" is missing')
  return {
    topic: fields.text('topic'),
    qos: fields.integer('qos', 2) as 0 | 1 | 2,
    retain: fields.flag('retain'),
    publisher: fields.has('publisher') ? fields.text('publisher') : '',
    ...(fields.has('expirySeconds') && { expirySeconds: fields.integer('expirySeconds', U32) }),
    ...(Object.keys(properties).length > 0 && { properties }),
    payload,
  }
}

/** `offset` is added to positions: what is merged comes behind what is there. */
export function readPlacedFields(fields: Fields, offset: number): PlacedMessage {
  const position = fields.integer('position', NEVER - offset) + offset
  const place = { position, index: fields.integer('index', U32), timeUs: fields.integer('timeUs', NEVER) }
  return { ...place, message: readMessageFields(fields) }
}

export function readSessionFields(fields: Fields): SessionForm {
  const queue = new Fields(fields.take('queue'), '"queue"')
  const connection = fields.has('connection') ? new Fields(fields.take('connection'), '"connection"') : undefined
  const version = fields.integer('version', 5, 3) as 3 | 4 | 5
  const session = {
    clientId: fields.text('clientId'),
    kept: fields.flag('kept'),
    connection:
      connection === undefined
        ? undefined
        : {
            node: connection.integer('node', U32),
            incarnation: connection.integer('incarnation'),
            counter: connection.integer('counter'),
          },
    principal: fields.text('principal'),
    version,
    receiveMaximum: fields.integer('receiveMaximum', 65_535, 1),
    expirySeconds: fields.integer('expirySeconds', U32),
    willDueUs: fields.optional('willDueUs', NEVER, NEVER),
    expiresUs: fields.optional('expiresUs', NEVER, NEVER),
    base: queue.integer('base'),
    next: queue.integer('next'),
    sentBelow: queue.integer('sentBelow'),
    expiryFloorUs: queue.optional('expiryFloorUs', NEVER, NEVER),
    receipts: fields.list('receipts').map((id) => integerOf(id, 'receipts', { min: 1, max: 65_535 })),
  }
  queue.end()
  connection?.end()
  return session
}

export function readSubscriptionFields(fields: Fields): RecordForm {
  return {
    kind: 'subscription',
    clientId: fields.text('clientId'),
    order: {
      filter: fields.text('filter'),
      qos: fields.integer('qos', 2) as 0 | 1 | 2,
      noLocal: fields.flag('noLocal'),
      retainAsPublished: fields.flag('retainAsPublished'),
      retainHandling: fields.integer('retainHandling', 2) as 0 | 1 | 2,
      subscriptionId: fields.optional('subscriptionId', 268_435_455, 0),
    },
  }
}
