/**
 * What may be wrong with each property in each place, made from the table of properties: twice where once is allowed, out
 * of range, and every property in every packet that has no place for it.
 */
import type { Direction } from '../../../../packages/protocol/src/packets/direction.ts'
import {
  mayRepeat,
  type PropertyContext,
  type PropertyRow,
  propertyTable,
} from '../../../../packages/protocol/src/properties/table.ts'
import { type CatalogueEntry, refused } from '../entry.ts'
import { wire } from '../notation.ts'

interface Place {
  readonly where: PropertyContext
  readonly direction: Direction
  readonly wire: (properties: string) => string
}

const places: readonly Place[] = [
  { where: 'connect', direction: 'toServer', wire: (p) => wire('10', `"MQTT" 05 02 003c [${p}] "c"`) },
  { where: 'will', direction: 'toServer', wire: (p) => wire('10', `"MQTT" 05 06 003c [] "c" [${p}] "w" ""`) },
  { where: 'connack', direction: 'toClient', wire: (p) => wire('20', `00 00 [${p}]`) },
  { where: 'publish', direction: 'both', wire: (p) => wire('30', `"a" [${p}]`) },
  { where: 'puback', direction: 'both', wire: (p) => wire('40', `0001 00 [${p}]`) },
  { where: 'pubrec', direction: 'both', wire: (p) => wire('50', `0001 00 [${p}]`) },
  { where: 'pubrel', direction: 'both', wire: (p) => wire('62', `0001 00 [${p}]`) },
  { where: 'pubcomp', direction: 'both', wire: (p) => wire('70', `0001 00 [${p}]`) },
  { where: 'subscribe', direction: 'toServer', wire: (p) => wire('82', `0001 [${p}] "a" 00`) },
  { where: 'suback', direction: 'toClient', wire: (p) => wire('90', `0001 [${p}] 00`) },
  { where: 'unsubscribe', direction: 'toServer', wire: (p) => wire('a2', `0001 [${p}] "a"`) },
  { where: 'unsuback', direction: 'toClient', wire: (p) => wire('b0', `0001 [${p}] 00`) },
  { where: 'disconnect', direction: 'both', wire: (p) => wire('e0', `00 [${p}]`) },
  { where: 'auth', direction: 'both', wire: (p) => wire('f0', `18 [${p}]`) },
]

const sample: Readonly<Record<PropertyRow['type'], string>> = {
  byte: '01',
  uint16: '0001',
  uint32: '00000001',
  varint: '01',
  string: '"s"',
  binary: '"b"',
  pair: '"k" "v"',
}

const zero: Readonly<Partial<Record<PropertyRow['type'], string>>> = {
  uint16: '0000',
  uint32: '00000000',
  varint: '00',
}

export const properties: readonly CatalogueEntry[] = places.flatMap((place) =>
  propertyTable.flatMap((row) => {
    const one = `${row.id.toString(16).padStart(2, '0')} ${sample[row.type]}`
    const section = row.sections[place.where]
    if (section === undefined) {
      return [refused(`${row.name} in ${place.where}`, 5, place.direction, place.wire(one), 0x81, '2.2.2.2')]
    }
    const entries: CatalogueEntry[] = []
    if (!mayRepeat(row, place.where)) {
      const bytes = place.wire(`${one} ${one}`)
      entries.push(refused(`${row.name} twice in ${place.where}`, 5, place.direction, bytes, 0x82, section))
    }
    const bad = row.type === 'byte' ? '02' : row.min > 0 ? zero[row.type] : undefined
    if (bad !== undefined) {
      const bytes = place.wire(`${row.id.toString(16).padStart(2, '0')} ${bad}`)
      const [code, statement] = row.name === 'topicAlias' ? [0x94, 'MQTT-3.3.2-8'] : [0x82, section]
      entries.push(refused(`${row.name} out of range in ${place.where}`, 5, place.direction, bytes, code, statement))
    }
    return entries
  }),
)
