/**
 * Properties between bytes and value, driven by the table.
 *
 * Order on the wire is kept in the order of keys, so a packet that is decoded and encoded again keeps its bytes unless
 * repeated properties were mixed with others. An empty property section decodes to undefined: on the wire the two cannot
 * be told apart.
 *
 * Two rules about a value are here and not in the table: Topic Alias 0 has a reason code of its own, and a Response Topic
 * is a topic name: not empty, without wildcard.
 */
import { PacketReader } from '../packets/packet-reader.ts'
import type { PacketWriter } from '../packets/packet-writer.ts'
import { ReasonCode } from '../reason-codes.ts'
import type { Refusal } from '../refusal.ts'
import { isWildcard } from '../topics/topic-filter.ts'
import { mayRepeat, type PropertyContext, type PropertyRow, propertyById, propertyByName } from './table.ts'
import type { Properties, UserProperty } from './types.ts'

/**
 * Decodes the properties in `buf[start..end)`, that is without the property length.
 *
 * @returns the properties, undefined if there are none
 */
export function decodeProperties(
  buf: Uint8Array,
  start: number,
  end: number,
  where: PropertyContext,
): Properties | Refusal | undefined {
  const reader = new PacketReader(buf, start, end, 5)
  const properties = readAll(reader, where)
  return reader.problem ?? properties
}

/** Reads property length and properties; a problem stays in the reader. */
export function readProperties(reader: PacketReader, where: PropertyContext): Properties | undefined {
  const length = reader.varint('property length')
  if (reader.problem !== undefined) return undefined
  if (length > reader.left) {
    reader.malformed('MQTT-4.13.1-1', `Property length is ${length}, ${reader.left} bytes are left`)
    return undefined
  }
  if (length === 0) return undefined
  const inner = new PacketReader(reader.buf, reader.at, reader.at + length, 5)
  const properties = readAll(inner, where)
  reader.at += length
  if (inner.problem !== undefined) {
    const { reasonCode, statement, detail } = inner.problem
    reader.refuse(reasonCode, statement, detail)
  }
  return properties
}

/** Writes property length and properties. */
export function writeProperties(
  writer: PacketWriter,
  properties: Properties | undefined,
  where: PropertyContext,
): void {
  const mark = writer.length
  if (properties !== undefined) {
    for (const [name, value] of Object.entries(properties)) {
      if (value !== undefined) writeOne(writer, name, value, where)
    }
  }
  writer.prefixLength(mark)
}

/** Refuses properties before 5.0, where there is no place for them. */
export function checkNoProperties(writer: PacketWriter, properties: Properties | undefined): void {
  if (properties !== undefined) writer.fail('properties', 'exist in MQTT 5.0 only', 'leave them out')
}

/** Whether there is nothing to write. */
export function isEmpty(properties: Properties | undefined): boolean {
  return (
    properties === undefined ||
    Object.values(properties).every((v) => v === undefined || (Array.isArray(v) && v.length === 0))
  )
}

function readAll(reader: PacketReader, where: PropertyContext): Properties | undefined {
  const found: Record<string, unknown> = {}
  while (reader.left > 0) readOne(reader, where, found)
  return reader.problem !== undefined || Object.keys(found).length === 0 ? undefined : (found as Properties)
}

function readOne(reader: PacketReader, where: PropertyContext, found: Record<string, unknown>): void {
  const id = reader.varint('property identifier')
  if (reader.problem !== undefined) return
  const row = propertyById(id)
  if (row === undefined) {
    reader.malformed('2.2.2.2', `Property identifier ${id} does not exist`)
    return
  }
  const section = row.sections[where]
  if (section === undefined) {
    reader.malformed('2.2.2.2', `Property ${row.name} in ${where}`)
    return
  }
  const before = found[row.name]
  if (before !== undefined && !mayRepeat(row, where)) {
    reader.refuse(ReasonCode.protocolError, section, `Property ${row.name} twice in ${where}`)
    return
  }
  const value = readValue(reader, row)
  if (reader.problem !== undefined) return
  checkValue(reader, row, section, value)
  if (!row.list) found[row.name] = value
  else if (Array.isArray(before)) before.push(value)
  else found[row.name] = [value]
}

function readValue(reader: PacketReader, row: PropertyRow): number | string | Uint8Array | UserProperty {
  switch (row.type) {
    case 'byte':
      return reader.byte(row.name)
    case 'uint16':
      return reader.uint16(row.name)
    case 'uint32':
      return reader.uint32(row.name)
    case 'varint':
      return reader.varint(row.name)
    case 'string':
      return reader.string(row.name)
    case 'binary':
      return reader.binary(row.name)
    case 'pair':
      return [reader.string(row.name), reader.string(row.name)]
  }
}

function checkValue(reader: PacketReader, row: PropertyRow, section: string, value: unknown): void {
  if (typeof value === 'number' && (value < row.min || value > row.max)) {
    if (row.name === 'topicAlias') {
      reader.refuse(ReasonCode.topicAliasInvalid, 'MQTT-3.3.2-8', 'Topic alias 0')
      return
    }
    reader.refuse(ReasonCode.protocolError, section, `Property ${row.name} is ${value}`)
  } else if (row.name === 'responseTopic' && value === '') {
    // It is the topic name of the answer.
    reader.refuse(ReasonCode.protocolError, 'MQTT-4.7.3-1', 'Response topic is empty')
  } else if (row.name === 'responseTopic' && isWildcard(value as string)) {
    const statement = section.startsWith('3.3.') ? 'MQTT-3.3.2-14' : section
    reader.refuse(ReasonCode.protocolError, statement, 'Response topic contains a wildcard')
  }
}

function writeOne(writer: PacketWriter, name: string, value: unknown, where: PropertyContext): void {
  const row = propertyByName(name)
  if (row === undefined) return writer.fail(`property ${name}`, 'does not exist', 'use a name of Properties')
  if (row.sections[where] === undefined) {
    return writer.fail(`property ${name}`, `has no place in ${where} [2.2.2.2]`, 'leave it out')
  }
  if (!row.list) return writeValue(writer, row, value)
  if (!Array.isArray(value)) return writer.fail(`property ${name}`, 'is not a list', 'give an array')
  if (value.length > 1 && !mayRepeat(row, where)) {
    return writer.fail(`property ${name}`, `has ${value.length} values, ${where} takes one`, 'give one')
  }
  for (const element of value) writeValue(writer, row, element)
}

function writeValue(writer: PacketWriter, row: PropertyRow, value: unknown): void {
  const field = `property ${row.name}`
  writer.byte(row.id, field)
  switch (row.type) {
    case 'byte':
    case 'uint16':
    case 'uint32':
    case 'varint':
      writer.checkInteger(value as number, row.min, row.max, field)
      return writer[row.type](value as number, field)
    case 'binary':
      return writer.binary(value as Uint8Array, field)
    case 'string':
      if (row.name === 'responseTopic' && value === '') {
        return writer.fail(field, 'is empty [MQTT-4.7.3-1]', 'use a topic name')
      }
      if (row.name === 'responseTopic' && isWildcard(value as string)) {
        return writer.fail(field, 'contains a wildcard [MQTT-3.3.2-14]', 'use a topic name')
      }
      return writer.string(value as string, field)
    case 'pair': {
      const [name, content] = value as UserProperty
      writer.string(name, field)
      return writer.string(content, field)
    }
  }
}
