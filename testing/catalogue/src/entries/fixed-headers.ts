/** First bytes and remaining lengths that no packet may have. */
import type { ProtocolVersion } from '../../../../packages/protocol/src/packets/types.ts'
import { type CatalogueEntry, refused, taken } from '../entry.ts'
import { raw, wire } from '../notation.ts'

const versions: readonly ProtocolVersion[] = [3, 4, 5]
const flags = (version: ProtocolVersion) => (version === 5 ? 'MQTT-2.1.3-1' : 'MQTT3-2.2.2-2')
const of = (version: ProtocolVersion, statement: string) => (version === 5 ? `MQTT-${statement}` : `MQTT3-${statement}`)

export const fixedHeaders: readonly CatalogueEntry[] = [
  ...versions.flatMap((version) => [
    refused('packet type 0', version, 'both', raw('00 00'), 0x81, version === 5 ? '2.1.2' : 'MQTT3-2.2.1'),
    refused('CONNECT with a flag', version, 'toServer', wire('11', '"MQTT" 04 02 003c "c"'), 0x81, flags(version)),
    refused('CONNACK with a flag', version, 'toClient', wire('22', '00 00'), 0x81, flags(version)),
    refused('PUBACK with a flag', version, 'both', wire('42', '0001'), 0x81, flags(version)),
    refused('PUBREC with a flag', version, 'both', wire('58', '0001'), 0x81, flags(version)),
    refused('PUBREL without its flag', version, 'both', wire('60', '0001'), 0x81, of(version, '3.6.1-1')),
    refused('PUBCOMP with a flag', version, 'both', wire('71', '0001'), 0x81, flags(version)),
    refused('SUBSCRIBE without its flag', version, 'toServer', wire('80', '0001 "a" 00'), 0x81, of(version, '3.8.1-1')),
    refused('SUBACK with a flag', version, 'toClient', wire('92', '0001 00'), 0x81, flags(version)),
    refused('UNSUBSCRIBE without its flag', version, 'toServer', wire('a0', '0001 "a"'), 0x81, of(version, '3.10.1-1')),
    refused('UNSUBACK with a flag', version, 'toClient', wire('b4', '0001'), 0x81, flags(version)),
    refused('PINGREQ with a flag', version, 'toServer', raw('c1 00'), 0x81, flags(version)),
    refused('PINGRESP with a flag', version, 'toClient', raw('d8 00'), 0x81, flags(version)),
    refused('DISCONNECT with a flag', version, 'both', raw('e1 00'), 0x81, of(version, '3.14.1-1')),
    refused(
      'remaining length of five bytes',
      version,
      'toServer',
      raw('c0 80 80 80 80 00'),
      0x81,
      version === 5 ? 'MQTT-1.5.5-1' : 'MQTT3-2.2.3',
    ),
  ]),
  refused('AUTH with a flag', 5, 'both', raw('f1 00'), 0x81, 'MQTT-3.15.1-1'),
  refused('AUTH before 5.0', 3, 'both', raw('f0 00'), 0x81, 'MQTT3-2.2.1'),
  refused('AUTH before 5.0', 4, 'both', raw('f0 00'), 0x81, 'MQTT3-2.2.1'),
  refused('remaining length in more bytes than needed', 5, 'toServer', raw('c0 80 00'), 0x81, 'MQTT-1.5.5-1'),
  taken(
    'remaining length in more bytes than needed',
    3,
    'toServer',
    raw('c0 80 00'),
    { type: 12 },
    { canonical: false },
  ),
  taken(
    'remaining length in more bytes than needed',
    4,
    'toServer',
    raw('c0 80 80 80 00'),
    { type: 12 },
    { canonical: false },
  ),
  // 3.1, section 2.1: DUP marks a repeated PUBREL, SUBSCRIBE and UNSUBSCRIBE too.
  taken(
    'PUBREL with DUP',
    3,
    'both',
    wire('6a', '0001'),
    { type: 6, packetId: 1, reasonCode: 0 },
    { canonical: false },
  ),
  refused('PUBREL with DUP', 4, 'both', wire('6a', '0001'), 0x81, 'MQTT3-3.6.1-1'),
  refused('PUBREL with DUP', 5, 'both', wire('6a', '0001'), 0x81, 'MQTT-3.6.1-1'),
  taken(
    'UNSUBSCRIBE with DUP',
    3,
    'toServer',
    wire('aa', '0001 "a"'),
    { type: 10, packetId: 1, filters: ['a'] },
    { canonical: false },
  ),
  refused('UNSUBSCRIBE with DUP', 4, 'toServer', wire('aa', '0001 "a"'), 0x81, 'MQTT3-3.10.1-1'),
]
