/** CONNACK in every version. */
import { type CatalogueEntry, refused, taken } from '../entry.ts'
import { fromHex, wire } from '../notation.ts'

export const connacks: readonly CatalogueEntry[] = [
  taken('CONNACK', 3, 'toClient', wire('20', '00 00'), { type: 2, sessionPresent: false, reasonCode: 0 }),
  taken('CONNACK', 4, 'toClient', wire('20', '00 00'), { type: 2, sessionPresent: false, reasonCode: 0 }),
  taken('CONNACK', 5, 'toClient', wire('20', '00 00 []'), { type: 2, sessionPresent: false, reasonCode: 0 }),
  taken('CONNACK of a session', 4, 'toClient', wire('20', '01 00'), { type: 2, sessionPresent: true, reasonCode: 0 }),
  taken('CONNACK of a session', 5, 'toClient', wire('20', '01 00 []'), {
    type: 2,
    sessionPresent: true,
    reasonCode: 0,
  }),
  taken('CONNACK identifier rejected', 3, 'toClient', wire('20', '00 02'), {
    type: 2,
    sessionPresent: false,
    reasonCode: 2,
  }),
  taken('CONNACK not authorized', 4, 'toClient', wire('20', '00 05'), {
    type: 2,
    sessionPresent: false,
    reasonCode: 5,
  }),
  taken('CONNACK server busy', 5, 'toClient', wire('20', '00 89 [1f"later"]'), {
    type: 2,
    sessionPresent: false,
    reasonCode: 0x89,
    properties: { reasonString: 'later' },
  }),
  taken(
    'CONNACK with every property',
    5,
    'toClient',
    wire(
      '20',
      '00 00 [11 0000000a 21 0014 24 01 25 00 27 00100000 12"id" 22 000a 1f"ok" 26"k""v" 28 01 29 00 2a 01 13 001e 1a"info" 1c"other" 15"m" 16"d"]',
    ),
    {
      type: 2,
      sessionPresent: false,
      reasonCode: 0,
      properties: {
        sessionExpiryInterval: 10,
        receiveMaximum: 20,
        maximumQoS: 1,
        retainAvailable: 0,
        maximumPacketSize: 1_048_576,
        assignedClientIdentifier: 'id',
        topicAliasMaximum: 10,
        reasonString: 'ok',
        userProperties: [['k', 'v']],
        wildcardSubscriptionAvailable: 1,
        subscriptionIdentifierAvailable: 0,
        sharedSubscriptionAvailable: 1,
        serverKeepAlive: 30,
        responseInformation: 'info',
        serverReference: 'other',
        authenticationMethod: 'm',
        authenticationData: fromHex('64'),
      },
    },
  ),
  refused('CONNACK with a reserved flag', 3, 'toClient', wire('20', '01 00'), 0x81, 'MQTT3-3.2.2'),
  refused('CONNACK with a reserved flag', 4, 'toClient', wire('20', '02 00'), 0x81, 'MQTT3-3.2.2'),
  refused('CONNACK with a reserved flag', 5, 'toClient', wire('20', '80 00 []'), 0x81, 'MQTT-3.2.2-1'),
  refused('CONNACK with return code 6', 4, 'toClient', wire('20', '00 06'), 0x82, 'MQTT3-3.2.2.3'),
  refused('CONNACK with reason code 1', 5, 'toClient', wire('20', '00 01 []'), 0x82, 'MQTT-3.2.2-8'),
  refused('CONNACK that refuses a session', 4, 'toClient', wire('20', '01 05'), 0x82, 'MQTT3-3.2.2-4'),
  refused('CONNACK that refuses a session', 5, 'toClient', wire('20', '01 87 []'), 0x82, 'MQTT-3.2.2-6'),
  refused('CONNACK without a code', 4, 'toClient', wire('20', '00'), 0x81, 'MQTT3-4.8.0-1'),
  refused('CONNACK without properties', 5, 'toClient', wire('20', '00 00'), 0x81, 'MQTT-4.13.1-1'),
  refused('CONNACK with bytes left over', 4, 'toClient', wire('20', '00 00 00'), 0x81, 'MQTT3-4.8.0-1'),
]
