/** PUBACK, PUBREC, PUBREL and PUBCOMP: the same forms for each. */
import type { AckPacket } from '../../../../packages/protocol/src/packets/types.ts'
import { type CatalogueEntry, refused, taken } from '../entry.ts'
import { wire } from '../notation.ts'

interface Kind {
  readonly type: AckPacket['type']
  readonly name: string
  readonly first: string
  /** A reason code other than 0 that it may carry. */
  readonly code: number
  readonly statement: string
  readonly section: string
}

const kinds: readonly Kind[] = [
  { type: 4, name: 'PUBACK', first: '40', code: 0x10, statement: 'MQTT-3.4.2-1', section: '3.4.2.2' },
  { type: 5, name: 'PUBREC', first: '50', code: 0x87, statement: 'MQTT-3.5.2-1', section: '3.5.2.2' },
  { type: 6, name: 'PUBREL', first: '62', code: 0x92, statement: 'MQTT-3.6.2-1', section: '3.6.2.2' },
  { type: 7, name: 'PUBCOMP', first: '70', code: 0x92, statement: 'MQTT-3.7.2-1', section: '3.7.2.2' },
]

export const acknowledgements: readonly CatalogueEntry[] = kinds.flatMap(
  ({ type, name, first, code, statement, section }) => {
    const plain: AckPacket = { type, packetId: 258, reasonCode: 0 }
    const hex = code.toString(16)
    const both = 'both'
    return [
      taken(name, 3, both, wire(first, '0102'), plain),
      taken(name, 4, both, wire(first, '0102'), plain),
      taken(name, 5, both, wire(first, '0102'), plain),
      taken(`${name} with code 0`, 5, both, wire(first, '0102 00'), plain, { canonical: false }),
      taken(`${name} with code 0 and no properties`, 5, both, wire(first, '0102 00 []'), plain, { canonical: false }),
      taken(`${name} with a code`, 5, both, wire(first, `0102 ${hex}`), { ...plain, reasonCode: code }),
      taken(`${name} with properties`, 5, both, wire(first, `0102 ${hex} [1f"why" 26"k""v"]`), {
        ...plain,
        reasonCode: code,
        properties: { reasonString: 'why', userProperties: [['k', 'v']] },
      }),
      refused(`${name} with packet identifier 0`, 3, both, wire(first, '0000'), 0x82, 'MQTT3-2.3.1'),
      refused(`${name} with packet identifier 0`, 4, both, wire(first, '0000'), 0x82, 'MQTT3-2.3.1'),
      refused(`${name} with packet identifier 0`, 5, both, wire(first, '0000'), 0x82, '2.2.1'),
      refused(`${name} with one byte`, 4, both, wire(first, '01'), 0x81, 'MQTT3-4.8.0-1'),
      refused(`${name} with a code before 5.0`, 4, both, wire(first, '0102 00'), 0x81, 'MQTT3-4.8.0-1'),
      refused(`${name} with a code before 5.0`, 3, both, wire(first, '0102 00'), 0x81, 'MQTT3-4.8.0-1'),
      refused(`${name} with code 1`, 5, both, wire(first, '0102 01'), 0x82, statement),
      refused(`${name} with two reason strings`, 5, both, wire(first, '0102 00 [1f"a" 1f"b"]'), 0x82, `${section}.2`),
      refused(`${name} with bytes left over`, 5, both, wire(first, '0102 00 [] 00'), 0x81, 'MQTT-4.13.1-1'),
    ]
  },
)
