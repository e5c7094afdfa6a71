/** PINGREQ, PINGRESP, DISCONNECT and AUTH. */
import type { ProtocolVersion } from '../../../../packages/protocol/src/packets/types.ts'
import { type CatalogueEntry, refused, taken } from '../entry.ts'
import { fromHex, wire } from '../notation.ts'

const versions: readonly ProtocolVersion[] = [3, 4, 5]
const authentication = { authenticationMethod: 'SCRAM', authenticationData: fromHex('01') } as const

export const signals: readonly CatalogueEntry[] = [
  ...versions.flatMap((version) => {
    const malformed = version === 5 ? 'MQTT-4.13.1-1' : 'MQTT3-4.8.0-1'
    return [
      taken('PINGREQ', version, 'toServer', wire('c0', ''), { type: 12 }),
      taken('PINGRESP', version, 'toClient', wire('d0', ''), { type: 13 }),
      taken('DISCONNECT', version, version === 5 ? 'both' : 'toServer', wire('e0', ''), { type: 14, reasonCode: 0 }),
      refused('PINGREQ with a body', version, 'toServer', wire('c0', '00'), 0x81, malformed),
      refused('PINGRESP with a body', version, 'toClient', wire('d0', '00'), 0x81, malformed),
    ]
  }),
  refused('DISCONNECT with a body', 3, 'toServer', wire('e0', '00'), 0x81, 'MQTT3-4.8.0-1'),
  refused('DISCONNECT with a body', 4, 'toServer', wire('e0', '00'), 0x81, 'MQTT3-4.8.0-1'),
  taken('DISCONNECT with code 0', 5, 'both', wire('e0', '00'), { type: 14, reasonCode: 0 }, { canonical: false }),
  taken('DISCONNECT with will', 5, 'toServer', wire('e0', '04'), { type: 14, reasonCode: 4 }),
  taken('DISCONNECT by takeover', 5, 'toClient', wire('e0', '8e'), { type: 14, reasonCode: 0x8e }),
  taken(
    'DISCONNECT with no properties',
    5,
    'both',
    wire('e0', '81 []'),
    { type: 14, reasonCode: 0x81 },
    { canonical: false },
  ),
  taken('DISCONNECT with every property', 5, 'both', wire('e0', '9c [11 00000000 1f"bye" 26"k""v" 1c"there"]'), {
    type: 14,
    reasonCode: 0x9c,
    properties: {
      sessionExpiryInterval: 0,
      reasonString: 'bye',
      userProperties: [['k', 'v']],
      serverReference: 'there',
    },
  }),
  refused('DISCONNECT with code 1', 5, 'both', wire('e0', '01'), 0x82, 'MQTT-3.14.2-1'),
  refused('DISCONNECT with bytes left over', 5, 'both', wire('e0', '00 [] 00'), 0x81, 'MQTT-4.13.1-1'),
  refused(
    'DISCONNECT with two expiry intervals',
    5,
    'toServer',
    wire('e0', '00 [11 00000001 11 00000001]'),
    0x82,
    '3.14.2.2.2',
  ),
  taken('AUTH', 5, 'both', wire('f0', ''), { type: 15, reasonCode: 0 }),
  taken('AUTH that goes on', 5, 'both', wire('f0', '18 [15"SCRAM" 16 0001 01]'), {
    type: 15,
    reasonCode: 0x18,
    properties: authentication,
  }),
  taken('AUTH again', 5, 'toServer', wire('f0', '19 [15"SCRAM" 16 0001 01 1f"why" 26"k""v"]'), {
    type: 15,
    reasonCode: 0x19,
    properties: { ...authentication, reasonString: 'why', userProperties: [['k', 'v']] },
  }),
  refused('AUTH with code 1', 5, 'both', wire('f0', '01 [15"m"]'), 0x82, 'MQTT-3.15.2-1'),
  refused('AUTH without method', 5, 'both', wire('f0', '18 [1f"x"]'), 0x82, '3.15.2.2.2'),
  refused('AUTH without properties', 5, 'both', wire('f0', '18 []'), 0x82, '3.15.2.2.2'),
  refused('AUTH without property length', 5, 'both', wire('f0', '18'), 0x81, 'MQTT-4.13.1-1'),
  refused('AUTH with two methods', 5, 'both', wire('f0', '18 [15"a" 15"b"]'), 0x82, '3.15.2.2.2'),
]
