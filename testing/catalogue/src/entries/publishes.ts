/** PUBLISH in every version. */
import type { ProtocolVersion, PublishPacket } from '../../../../packages/protocol/src/packets/types.ts'
import { type CatalogueEntry, refused, taken } from '../entry.ts'
import { fromHex, wire } from '../notation.ts'

const plain: PublishPacket = { type: 3, topic: 'a/b', payload: fromHex('6869'), qos: 0, retain: false, dup: false }
const versions: readonly ProtocolVersion[] = [3, 4, 5]
/** Statement of 5.0 or of 3.1.1. */
const of = (version: ProtocolVersion, five: string, three: string) => (version === 5 ? five : three)

export const publishes: readonly CatalogueEntry[] = [
  ...versions.flatMap((version) => {
    const none = version === 5 ? '[]' : ''
    const malformed = of(version, 'MQTT-4.13.1-1', 'MQTT3-4.8.0-1')
    const illFormed = of(version, 'MQTT-1.5.4-1', 'MQTT3-1.5.3-1')
    const wildcard = of(version, 'MQTT-3.3.2-2', 'MQTT3-3.3.2-2')
    const empty = { ...plain, payload: fromHex('') }
    return [
      taken('PUBLISH at QoS 0', version, 'both', wire('30', `"a/b" ${none} 'hi'`), plain),
      taken('PUBLISH at QoS 1', version, 'both', wire('32', `"a/b" 000a ${none} 'hi'`), {
        ...plain,
        qos: 1,
        packetId: 10,
      }),
      taken('PUBLISH at QoS 2', version, 'both', wire('34', `"a/b" ffff ${none} 'hi'`), {
        ...plain,
        qos: 2,
        packetId: 65_535,
      }),
      taken('PUBLISH repeated', version, 'both', wire('3a', `"a/b" 0001 ${none} 'hi'`), {
        ...plain,
        qos: 1,
        dup: true,
        packetId: 1,
      }),
      taken('PUBLISH retained', version, 'both', wire('31', `"a/b" ${none} 'hi'`), { ...plain, retain: true }),
      taken('PUBLISH without payload', version, 'both', wire('30', `"a/b" ${none}`), empty),
      taken('PUBLISH to one separator', version, 'both', wire('30', `"/" ${none}`), { ...empty, topic: '/' }),
      taken('PUBLISH to $SYS', version, 'both', wire('30', `"$SYS/x" ${none}`), { ...empty, topic: '$SYS/x' }),
      taken('PUBLISH to a name of many scripts', version, 'both', wire('30', `"Ü/日本/😀/ \u{10ffff}" ${none}`), {
        ...empty,
        topic: 'Ü/日本/😀/ \u{10ffff}',
      }),
      refused(
        'PUBLISH at QoS 3',
        version,
        'both',
        wire('36', `"a" 0001 ${none}`),
        0x81,
        of(version, 'MQTT-3.3.1-4', 'MQTT3-3.3.1-4'),
      ),
      refused(
        'PUBLISH at QoS 0 with DUP',
        version,
        'both',
        wire('38', `"a" ${none}`),
        0x81,
        of(version, 'MQTT-3.3.1-2', 'MQTT3-3.3.1-2'),
      ),
      refused(
        'PUBLISH with packet identifier 0',
        version,
        'both',
        wire('32', `"a" 0000 ${none}`),
        0x82,
        of(version, 'MQTT-2.2.1-3', 'MQTT3-2.3.1-1'),
      ),
      refused('PUBLISH to +', version, 'both', wire('30', `"a/+" ${none}`), 0x90, wildcard),
      refused('PUBLISH to #', version, 'both', wire('30', `"a/#" ${none}`), 0x90, wildcard),
      refused('PUBLISH to a name with + inside a level', version, 'both', wire('30', `"a+b" ${none}`), 0x90, wildcard),
      refused(
        'PUBLISH to an empty name',
        version,
        'both',
        wire('30', `"" ${none} 'x'`),
        version === 5 ? 0x82 : 0x90,
        of(version, '3.3.2.1', 'MQTT3-4.7.3-1'),
      ),
      refused(
        'PUBLISH to U+0000',
        version,
        'both',
        wire('30', `0003 610062 ${none}`),
        0x81,
        of(version, 'MQTT-1.5.4-2', 'MQTT3-1.5.3-2'),
      ),
      refused('PUBLISH to a surrogate', version, 'both', wire('30', `0003 eda080 ${none}`), 0x81, illFormed),
      refused('PUBLISH to an overlong separator', version, 'both', wire('30', `0002 c0af ${none}`), 0x81, illFormed),
      refused('PUBLISH to a lone continuation byte', version, 'both', wire('30', `0001 80 ${none}`), 0x81, illFormed),
      refused(
        'PUBLISH to a name above U+10FFFF',
        version,
        'both',
        wire('30', `0004 f4908080 ${none}`),
        0x81,
        illFormed,
      ),
      refused(
        'PUBLISH to a name cut inside a character',
        version,
        'both',
        wire('30', `0002 e697 ${none}`),
        0x81,
        illFormed,
      ),
      refused('PUBLISH that ends in the topic name', version, 'both', wire('30', '0005 61'), 0x81, malformed),
      refused('PUBLISH without topic name', version, 'both', wire('30', ''), 0x81, malformed),
      refused('PUBLISH that ends in the packet identifier', version, 'both', wire('32', '"a" 00'), 0x81, malformed),
    ]
  }),
  taken(
    'PUBLISH with every property',
    5,
    'both',
    wire('30', '"a/b" [01 01 02 0000003c 23 0005 08"re/ply" 09 0002 00ff 26"k""v" 03"text"] \'hi\''),
    {
      ...plain,
      properties: {
        payloadFormatIndicator: 1,
        messageExpiryInterval: 60,
        topicAlias: 5,
        responseTopic: 're/ply',
        correlationData: fromHex('00ff'),
        userProperties: [['k', 'v']],
        contentType: 'text',
      },
    },
  ),
  taken('PUBLISH by alias', 5, 'both', wire('30', '"" [23 ffff] \'hi\''), {
    ...plain,
    topic: '',
    properties: { topicAlias: 65_535 },
  }),
  taken('PUBLISH with subscription identifiers', 5, 'toClient', wire('30', '"a/b" [0b 01 0b ffffff7f] \'hi\''), {
    ...plain,
    properties: { subscriptionIdentifiers: [1, 268_435_455] },
  }),
  taken(
    'PUBLISH with user properties among others',
    5,
    'both',
    wire('30', '"a/b" [26"x""1" 01 00 26"x""2"] \'hi\''),
    {
      ...plain,
      properties: {
        userProperties: [
          ['x', '1'],
          ['x', '2'],
        ],
        payloadFormatIndicator: 0,
      },
    },
    { canonical: false },
  ),
  taken('PUBLISH that expires at once', 5, 'both', wire('30', '"a/b" [02 00000000] \'hi\''), {
    ...plain,
    properties: { messageExpiryInterval: 0 },
  }),
  refused('PUBLISH with topic alias 0', 5, 'both', wire('30', '"a" [23 0000]'), 0x94, 'MQTT-3.3.2-8'),
  refused('PUBLISH with two topic aliases', 5, 'both', wire('30', '"a" [23 0001 23 0001]'), 0x82, '3.3.2.3.4'),
  refused('PUBLISH with subscription identifier 0', 5, 'toClient', wire('30', '"a" [0b 00]'), 0x82, '3.3.2.3.8'),
  refused(
    'PUBLISH with an overlong subscription identifier',
    5,
    'toClient',
    wire('30', '"a" [0b 8100]'),
    0x81,
    'MQTT-1.5.5-1',
  ),
  refused('PUBLISH with payload format 2', 5, 'both', wire('30', '"a" [01 02]'), 0x82, '3.3.2.3.2'),
  refused(
    'PUBLISH with two expiry intervals',
    5,
    'both',
    wire('30', '"a" [02 00000001 02 00000001]'),
    0x82,
    '3.3.2.3.3',
  ),
  refused(
    'PUBLISH with a wildcard in the response topic',
    5,
    'both',
    wire('30', '"a" [08"b/#"]'),
    0x82,
    'MQTT-3.3.2-14',
  ),
  refused('PUBLISH with a property of CONNECT', 5, 'both', wire('30', '"a" [21 0001]'), 0x81, '2.2.2.2'),
  refused('PUBLISH with an unknown property', 5, 'both', wire('30', '"a" [7f]'), 0x81, '2.2.2.2'),
  refused('PUBLISH with an overlong property identifier', 5, 'both', wire('30', '"a" [8100 01]'), 0x81, 'MQTT-1.5.5-1'),
  refused(
    'PUBLISH with U+0000 in a user property',
    5,
    'both',
    wire('30', '"a" [26 0001 00 "v"]'),
    0x81,
    'MQTT-1.5.4-2',
  ),
  refused('PUBLISH with ill-formed content type', 5, 'both', wire('30', '"a" [03 0001 ff]'), 0x81, 'MQTT-1.5.4-1'),
  refused('PUBLISH that ends in a property', 5, 'both', wire('30', '"a" [02 0000]'), 0x81, 'MQTT-4.13.1-1'),
  refused('PUBLISH with half a user property', 5, 'both', wire('30', '"a" [26"k"]'), 0x81, 'MQTT-4.13.1-1'),
  refused(
    'PUBLISH with properties longer than the packet',
    5,
    'both',
    wire('30', '"a" 05 01 00'),
    0x81,
    'MQTT-4.13.1-1',
  ),
  refused('PUBLISH without property length', 5, 'both', wire('30', '"a"'), 0x81, 'MQTT-4.13.1-1'),
  refused('PUBLISH with an overlong property length', 5, 'both', wire('30', '"a" 8000'), 0x81, 'MQTT-1.5.5-1'),
  refused(
    'PUBLISH with a property length of five bytes',
    5,
    'both',
    wire('30', '"a" 8080808000'),
    0x81,
    'MQTT-1.5.5-1',
  ),
]
