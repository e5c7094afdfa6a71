/**
 * The `-D` flag: `-D COMMAND NAME VALUE`, with two values for a user property. Names are those of the standard with hyphens,
 * as in the stock clients; which packet may carry which is read from the protocol's own table.
 */
import { type Properties, type PropertyContext, type PropertyRow, propertyTable, utf8Encode } from '@concordmq/protocol'
import { usageError } from './read-flag.ts'

/** Commands that `-D` may name; which of them make sense is the command's own choice. */
export type PropertyCommand = 'connect' | 'publish' | 'subscribe' | 'unsubscribe' | 'disconnect' | 'will'
export type PropertyFlags = Partial<Record<PropertyCommand, Properties>>

const example = 'as in: -D publish user-property key value'

/** Reads what commander collected from all `-D` flags: one flat list. */
export function parsePropertyFlags(words: readonly string[], commands: readonly PropertyCommand[]): PropertyFlags {
  const flags: Partial<Record<PropertyCommand, Record<string, unknown>>> = {}
  for (let at = 0; at < words.length; ) {
    const command = (words[at] as string).toLowerCase() as PropertyCommand
    if (!commands.includes(command)) {
      throw usageError(
        `Cannot use -D ${words[at]}: no such packet here`,
        `Use one of ${commands.join(', ')}, ${example}`,
      )
    }
    const name = words[at + 1] ?? ''
    const row = rowFor(command, name)
    const count = row.type === 'pair' ? 2 : 1
    const values = words.slice(at + 2, at + 2 + count)
    if (values.length < count) {
      throw usageError(
        `Cannot use -D ${command} ${name}: it needs ${count === 1 ? 'a value' : 'a name and a value'}`,
        example,
      )
    }
    const properties = flags[command] ?? {}
    flags[command] = properties
    const value = valueFor(command, name, row, values)
    const earlier = properties[row.name]
    if (row.list) properties[row.name] = [...((earlier as unknown[] | undefined) ?? []), value]
    else if (earlier === undefined) properties[row.name] = value
    else throw usageError(`Cannot use -D ${command} ${name} twice`, 'Leave one of them out')
    at += 2 + count
  }
  return flags as PropertyFlags
}

/** `user-property` for `userProperties`, `maximum-qos` for `maximumQoS`. */
export function propertyFlagName({ name }: PropertyRow): string {
  const hyphened = name.replace('QoS', 'Qos').replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
  return hyphened.replace(/properties$/, 'property').replace(/identifiers$/, 'identifier')
}

function rowFor(command: PropertyCommand, name: string): PropertyRow {
  const context: PropertyContext = command
  const possible = propertyTable.filter((row) => row.sections[context] !== undefined && !NOT_BY_HAND.has(row.name))
  const row = possible.find((candidate) => propertyFlagName(candidate) === name.toLowerCase())
  if (row !== undefined) return row
  const names = possible.map(propertyFlagName).join(', ')
  throw usageError(`Cannot use -D ${command} ${name}: ${command} has no such property`, `Use one of ${names}`)
}

/** The client sets these itself. */
const NOT_BY_HAND: ReadonlySet<string> = new Set(['topicAlias', 'subscriptionIdentifiers'])

function valueFor(command: string, name: string, row: PropertyRow, values: readonly string[]): unknown {
  const text = values[0] as string
  switch (row.type) {
    case 'pair':
      return [text, values[1]]
    case 'string':
      return text
    case 'binary':
      return utf8Encode(text)
    default: {
      const max = Math.min(row.max, row.type === 'byte' ? 0xff : row.type === 'uint16' ? 0xffff : 0xffffffff)
      if (/^\d+$/.test(text) && Number(text) >= row.min && Number(text) <= max) return Number(text)
      throw usageError(`Cannot use -D ${command} ${name} "${text}"`, `Give an integer from ${row.min} to ${max}`)
    }
  }
}
