/** CONNECT and CONNACK: form, fields, client identifiers, refusals. Sections 3.1 and 3.2 of both standards. */
import assert from 'node:assert/strict'
import { argon2Sync } from 'node:crypto'
import { describe, test } from 'node:test'
import { connect, open, opened } from '../../testkit/src/raw-client.ts'
import type { ConnectOptions, Property } from '../../testkit/src/wire.ts'
import * as wire from '../../testkit/src/wire.ts'
import { outside, unique, useBroker } from './target.ts'

const target = useBroker()
const strict = useBroker('tcp', { access: { allowAnonymous: false }, limits: { clientIdBytesMax: 40 } })
/** Argon2id with little memory: the record of user `romeo` with password `secret`. */
const romeo = argonRecord('secret')
const users = useBroker('tcp', { access: { users: new Map([['romeo', romeo]]) } })
const shortIds = useBroker('tcp', { access: { allowAnonymous: true }, limits: { clientIdBytesMax: 40 } })

function argonRecord(password: string): string {
  const nonce = Buffer.alloc(16, 7)
  const cost = { parallelism: 1, tagLength: 32, memory: 64, passes: 1 }
  const tag = argon2Sync('argon2id', { message: password, nonce, ...cost })
  const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64').replaceAll('=', '')
  return `$argon2id$v=19$m=64,t=1,p=1$${base64(nonce)}$${base64(tag)}`
}

/** 0x81 malformed, 0x82 protocol error: which of the two is right is not always clear from the standard. */
const malformed = [0x81, 0x82]

describe('CONNECT', { concurrency: 8 }, () => {
  for (const version of [3, 4, 5] as const) {
    test(`version ${version}: the first packet of the broker is CONNACK 0 [MQTT-3.1.4-5] [MQTT-3.2.0-1] [MQTT-3.2.2-1] [MQTT-3.2.2-8] [MQTT3-3.1.4-4] [MQTT3-3.2.0-1] [MQTT-4.2-1] [MQTT3-7.1.1-1]`, async () => {
      using client = await opened(
        target,
        version,
        wire.connect(version, { clientId: unique('c') }),
        wire.pingreq,
        wire.subscribe(version, 1, [['t', 0]]),
      )
      await client.expectPacket('CONNACK', { reason: 0, sessionPresent: false })
      await client.expectPacket('PINGRESP')
      await client.expectPacket('SUBACK', { id: 1 })
    })

    test(`version ${version}: the connection is closed if the first packet is not CONNECT, without DISCONNECT [MQTT-3.1.0-1] [MQTT-3.14.0-1] [MQTT3-3.1.0-1]`, async () => {
      const packets = [
        wire.pingreq,
        wire.disconnect(),
        wire.publish(version, 't', 'x'),
        wire.subscribe(version, 1, [['t', 0]]),
        wire.unsubscribe(version, 1, ['t']),
        wire.acknowledge('PUBACK', 1),
        wire.auth(0x18, [['authenticationMethod', 'x']]),
        wire.packet('CONNACK', 0, wire.bytes(0, 0)),
        wire.packet('RESERVED', 0),
      ]
      for (const packet of packets) {
        using client = await opened(target, version, packet)
        assert.deepEqual(await client.untilClosed(), Buffer.alloc(0), packet.toString('hex'))
      }
    })

    test(`version ${version}: a second CONNECT closes the connection and gets no CONNACK [MQTT-3.1.0-2] [MQTT-3.2.0-2] [MQTT-4.13.1-1] [MQTT3-3.1.0-2] [MQTT3-4.8.0-1]`, async () => {
      const options = { clientId: unique('c') }
      using client = await connect(target, version, options)
      client.send(wire.connect(version, options))
      await client.expectRefusal(0x82)
    })

    test(`version ${version}: will QoS 3 is refused [MQTT-3.1.2-12] [MQTT3-3.1.2-14]`, async () => {
      const options = { clientId: unique('c'), will: { topic: 'w', qos: 3 } }
      using client = await opened(target, version, wire.connect(version, options))
      await client.expectConnectError(...malformed)
    })

    test(`version ${version}: a CONNECT with missing fields closes the connection [MQTT-3.1.3-3] [MQTT-3.1.2-9] [MQTT-3.1.2-17] [MQTT-3.1.2-19] [MQTT3-3.1.3-3] [MQTT3-3.1.2-9] [MQTT3-3.1.2-19] [MQTT3-3.1.2-21]`, async () => {
      const head = (flags: number) => [
        wire.text(version === 3 ? 'MQIsdp' : 'MQTT'),
        wire.bytes(version, flags),
        wire.uint16(0),
        ...(version === 5 ? [wire.properties()] : []),
      ]
      const id = wire.text(unique('c'))
      const will = [...(version === 5 ? [wire.properties()] : []), wire.text('w'), wire.text('x')]
      const packets = {
        'no client identifier': wire.packet('CONNECT', 0, ...head(0x02)),
        'client identifier cut off': wire.packet('CONNECT', 0, ...head(0x02), id.subarray(0, -1)),
        'will flag without will': wire.packet('CONNECT', 0, ...head(0x06), id),
        'will flag without will message': wire.packet('CONNECT', 0, ...head(0x06), id, ...will.slice(0, -1)),
        'user name flag without user name': wire.packet('CONNECT', 0, ...head(0x82), id),
        'password flag without password': wire.packet('CONNECT', 0, ...head(0xc2), id, wire.text('u')),
        'nothing but the name': wire.packet('CONNECT', 0, head(0)[0] ?? wire.bytes()),
      }
      for (const [name, packet] of Object.entries(packets)) {
        using client = await opened(target, version, packet)
        // 3.1 lets a client leave out user name and password although their flags are set.
        if (version === 3 && /user name|password/.test(name)) continue
        // What ends before the version is known cannot be answered in its form.
        if (name === 'nothing but the name') assert.deepEqual(await client.untilClosed(), Buffer.alloc(0))
        else await client.expectConnectError(...malformed)
      }
    })

    test(`version ${version}: client identifiers of 1 to 23 letters and digits are accepted [MQTT-3.1.3-5] [MQTT3-3.1.3-5]`, async () => {
      const alphabet = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'
      const ids = [alphabet.slice(0, 23), alphabet.slice(23, 46), alphabet.slice(46), unique('c').padEnd(23, 'z'), 'Q']
      for (const clientId of ids) {
        using client = await connect(target, version, { clientId: clientId.slice(0, 23) })
        await client.disconnect()
      }
    })

    test(`version ${version}: data after a rejected CONNECT is not processed [MQTT-3.1.4-6] [MQTT3-3.1.4-5]`, async () => {
      const topic = unique('t')
      using watcher = await connect(target, 4, { clientId: unique('w') })
      await watcher.subscribe(topic)
      using client = await opened(
        target,
        version,
        wire.connect(version, { clientId: unique('c'), will: { topic: 'w', qos: 3 } }),
        wire.publish(version, topic, 'lost', { retain: true }),
      )
      await client.untilClosed()
      await watcher.expectNothing()
      using late = await connect(target, 4, { clientId: unique('l') })
      await late.subscribe(topic)
      await late.expectNothing()
    })
  }

  for (const version of [4, 5] as const) {
    // 3.1 asks for none of these checks.
    test(`version ${version}: the reserved connect flag must be 0 [MQTT-3.1.2-3] [MQTT-3.1.4-1] [MQTT-2.1.3-1] [MQTT3-3.1.2-3] [MQTT3-3.1.4-1] [MQTT3-3.2.2-6]`, async () => {
      using client = await opened(target, version, wire.connect(version, { clientId: unique('c'), flags: 0x03 }))
      await client.expectConnectError(...malformed)
    })

    test(`version ${version}: flags in the fixed header of CONNECT close the connection [MQTT-2.1.3-1] [MQTT3-2.2.2-1] [MQTT3-2.2.2-2]`, async () => {
      const packet = wire.connect(version, { clientId: unique('c') })
      packet[0] = 0x11
      using client = await opened(target, version, packet)
      await client.expectConnectError(...malformed)
    })

    test(`version ${version}: a CONNECT with fields that its flags do not announce closes the connection [MQTT-3.1.2-16] [MQTT-3.1.2-18] [MQTT3-3.1.2-11] [MQTT3-3.1.2-18] [MQTT3-3.1.2-20]`, async () => {
      const fields: Record<string, ConnectOptions> = {
        'user name': { username: 'u', flags: 0x02 },
        password: { username: 'u', password: 'p', flags: 0x82 },
        will: { will: { topic: 'w', payload: 'x' }, flags: 0x02 },
      }
      for (const options of Object.values(fields)) {
        using client = await opened(target, version, wire.connect(version, { clientId: unique('c'), ...options }))
        await client.expectConnectError(...malformed)
      }
    })

    test(`version ${version}: will QoS and will retain must be 0 without the will flag [MQTT-3.1.2-11] [MQTT-3.1.2-13] [MQTT3-3.1.2-11] [MQTT3-3.1.2-13] [MQTT3-3.1.2-15]`, async () => {
      for (const flags of [0x02 | 0x08, 0x02 | 0x10, 0x02 | 0x20]) {
        using client = await opened(target, version, wire.connect(version, { clientId: unique('c'), flags }))
        await client.expectConnectError(...malformed)
      }
    })

    test(`version ${version}: ill-formed UTF-8 or U+0000 in any string of CONNECT closes the connection [MQTT-1.5.4-1] [MQTT-1.5.4-2] [MQTT-3.1.3-4] [MQTT-3.1.3-11] [MQTT-3.1.3-12] [MQTT3-1.5.3-1] [MQTT3-1.5.3-2] [MQTT3-3.1.3-4] [MQTT3-3.1.3-10] [MQTT3-3.1.3-11]`, async () => {
      const id = unique('c')
      for (const bad of [
        wire.bytes(0x61, 0x00, 0x62),
        wire.bytes(0xed, 0xa0, 0x80),
        wire.bytes(0xc0, 0xaf),
        wire.bytes(0xf5, 0x80, 0x80, 0x80),
        wire.bytes(0xe2, 0x82),
        wire.bytes(0x80),
      ]) {
        for (const options of [
          { clientId: bad },
          { clientId: id, will: { topic: bad } },
          { clientId: id, username: bad, password: 'p' },
        ]) {
          using client = await opened(target, version, wire.connect(version, options))
          // 0x85, 0x86 and 0x90 name the field; they are as good.
          await client.expectConnectError(...malformed, 0x85, 0x86, 0x90)
        }
      }
    })

    test(`version ${version}: the payload fields are read in their order [MQTT-3.1.3-1] [MQTT3-3.1.3-1] [MQTT-3.1.2-7]`, async () => {
      const topic = unique('will')
      using watcher = await connect(target, version, { clientId: unique('w') })
      await watcher.subscribe(topic, 1)
      const client = await connect(target, version, {
        clientId: unique('c'),
        will: { topic, payload: 'the will', qos: 1 },
      })
      await client.drop()
      await watcher.receive({ topic, payload: 'the will', qos: 1 })
    })
  }

  test('a wrong protocol name is not accepted [MQTT-3.1.2-1] [MQTT3-3.1.2-1]', async () => {
    for (const protocolName of ['MQTX', 'mqtt', 'MQT', '', 'MQTTT', 'MQIsdp ']) {
      using client = await opened(target, 4, wire.connect(4, { protocolName, clientId: unique('c') }))
      const answer = await client.untilClosed()
      assert.ok(
        answer.length === 0 || (answer[0] === 0x20 && answer[3] !== 0),
        `${protocolName}: ${answer.toString('hex')}`,
      )
    }
  })

  test('an unsupported protocol level is answered with "unsupported version" and the connection closed [MQTT-3.1.2-2] [MQTT3-3.1.2-2] [MQTT3-3.2.2-5]', async () => {
    for (const protocolLevel of [0, 1, 2, 6, 7, 127]) {
      using client = await opened(target, 4, wire.connect(4, { protocolLevel, clientId: unique('c') }))
      const answer = (await client.untilClosed()).toString('hex')
      assert.ok(answer === '20020001' || answer.startsWith('200300840'), `level ${protocolLevel}: ${answer}`)
    }
  })

  test('a name and a level that belong to different versions are not accepted [MQTT-3.1.2-1] [MQTT3-3.1.2-1]', async () => {
    for (const [protocolName, protocolLevel] of [
      ['MQTT', 3],
      ['MQIsdp', 4],
      ['MQIsdp', 5],
    ] as const) {
      using client = await opened(target, 4, wire.connect(4, { protocolName, protocolLevel, clientId: unique('c') }))
      const answer = await client.untilClosed()
      assert.ok(answer.length === 0 || (answer[0] === 0x20 && answer[3] !== 0), answer.toString('hex'))
    }
  })

  test('version 4: a password needs a user name [MQTT3-3.1.2-22]', async () => {
    using client = await opened(target, 4, wire.connect(4, { clientId: unique('c'), password: 'p' }))
    await client.expectConnectError()
  })

  test('version 5: a password without user name is well-formed [MQTT-3.1.2-16]', async () => {
    using client = await opened(target, 5, wire.connect(5, { clientId: unique('c'), password: 'p' }))
    const { reason } = await client.expectPacket('CONNACK')
    assert.ok([0, 0x86, 0x87].includes(reason), `reason ${reason}`)
  })

  test('version 5: an empty client identifier is replaced by a unique one, told in CONNACK [MQTT-3.1.3-6] [MQTT-3.1.3-7] [MQTT-3.2.2-16]', async () => {
    const properties: Property[] = [['sessionExpiryInterval', 60]]
    using first = await connect(target, 5, { properties })
    using second = await connect(target, 5, { cleanStart: false, properties })
    const ids = [first, second].map(({ connack }) => connack && wire.propertyOf(connack, 'assignedClientIdentifier'))
    assert.ok(ids.every((id) => typeof id === 'string' && id.length > 0))
    assert.notEqual(ids[0], ids[1])
    assert.equal(second.connack?.sessionPresent, false)
    await first.disconnect()
    using again = await connect(target, 5, { clientId: String(ids[0]), cleanStart: false })
    assert.equal(again.connack?.sessionPresent, true)
    assert.equal(again.connack && wire.propertyOf(again.connack, 'assignedClientIdentifier'), undefined)
  })

  test('version 4: empty client identifiers get unique ones with clean session 1 [MQTT3-3.1.3-6]', async () => {
    using first = await connect(target, 4)
    using second = await connect(target, 4)
    await first.ping()
    await second.ping()
  })

  test('an empty client identifier that must not be empty gets return code 2 and is closed [MQTT3-3.1.3-8] [MQTT3-3.1.3-9] [MQTT3-3.2.2-4] [MQTT3-3.2.2-5]', async () => {
    for (const [version, cleanStart] of [
      [4, false],
      [3, true],
      [3, false],
    ] as const) {
      using client = await opened(target, version, wire.connect(version, { cleanStart }))
      await client.expectConnectRefused(2)
    }
  })

  test('a client identifier above the limit of the broker is rejected and closed [MQTT-3.1.3-8] [MQTT-3.2.2-6] [MQTT-3.2.2-7] [MQTT3-3.1.3-9]', {
    skip: outside,
  }, async () => {
    using four = await opened(shortIds, 4, wire.connect(4, { clientId: 'x'.repeat(41) }))
    await four.expectConnectRefused(2)
    using five = await opened(shortIds, 5, wire.connect(5, { clientId: 'x'.repeat(41) }))
    await five.expectConnectRefused(0x85)
    using good = await connect(shortIds, 5, { clientId: 'x'.repeat(40) })
    await good.ping()
  })

  test('a client that may not log in is refused with the reason and closed [MQTT-3.1.4-2] [MQTT-3.2.2-6] [MQTT-3.2.2-7] [MQTT-3.2.2-8] [MQTT-4.13.2-1] [MQTT3-3.2.2-4] [MQTT3-3.2.2-5]', {
    skip: outside,
  }, async () => {
    for (const login of [{}, { username: 'nobody', password: 'wrong' }]) {
      using five = await opened(strict, 5, wire.connect(5, { clientId: unique('c'), ...login }))
      await five.expectConnectRefused(0x86, 0x87)
      using four = await opened(strict, 4, wire.connect(4, { clientId: unique('c'), ...login }))
      await four.expectConnectRefused(4, 5)
    }
  })

  test('user name and password are read from their fields [MQTT-3.1.2-17] [MQTT-3.1.2-19] [MQTT-3.1.3-1] [MQTT-3.1.4-2] [MQTT3-3.1.2-19] [MQTT3-3.1.2-21] [MQTT3-3.1.3-1]', {
    skip: outside,
  }, async () => {
    const will = { topic: 'w', payload: 'secret' }
    for (const version of [3, 4, 5] as const) {
      const good = { clientId: unique('c'), username: 'romeo', password: 'secret', will }
      using client = await connect(users, version, good)
      await client.disconnect()
      for (const login of [
        { username: 'romeo', password: 'secre' },
        { username: 'romeo', password: '' },
        { username: 'romeo' },
        { username: 'secret', password: 'romeo' },
        { username: 'Romeo', password: 'secret' },
        { username: '', password: 'secret' },
        {},
      ]) {
        using refused = await opened(users, version, wire.connect(version, { clientId: unique('c'), will, ...login }))
        // 4 is "bad user name or password", in 3.1.1 by its name at least; a login without a name may be 5.
        await refused.expectConnectRefused(...(version === 5 ? [0x86, 0x87] : [4, 5]))
      }
    }
  })

  test('version 5: properties that CONNECT must not have, or not twice, are refused [MQTT-3.1.4-1] [MQTT-4.13.1-1] [MQTT-2.2.2-1]', async () => {
    const lists: Record<string, readonly Property[]> = {
      'session expiry twice': [
        ['sessionExpiryInterval', 1],
        ['sessionExpiryInterval', 1],
      ],
      'receive maximum 0': [['receiveMaximum', 0]],
      'receive maximum twice': [
        ['receiveMaximum', 5],
        ['receiveMaximum', 5],
      ],
      'maximum packet size 0': [['maximumPacketSize', 0]],
      'topic alias maximum twice': [
        ['topicAliasMaximum', 1],
        ['topicAliasMaximum', 1],
      ],
      'request response information 2': [['requestResponseInformation', 2]],
      'request problem information 2': [['requestProblemInformation', 2]],
      'authentication data alone': [['authenticationData', 'x']],
      'a property of PUBLISH': [['topicAlias', 1]],
      'a property of CONNACK': [['serverKeepAlive', 1]],
      'will delay among the properties of CONNECT': [['willDelayInterval', 1]],
      'an unknown property': [wire.bytes(0x7f, 0x00)],
      'property 0': [wire.bytes(0x00)],
      'a property identifier in two bytes': [wire.bytes(0x91, 0x00, 0, 0, 0, 1)],
      'half a property': [wire.bytes(0x11, 0, 0)],
    }
    for (const [name, properties] of Object.entries(lists)) {
      using client = await opened(target, 5, wire.connect(5, { clientId: unique('c'), properties }))
      await client.expectConnectError(...malformed).catch((error: Error) => {
        throw new Error(name, { cause: error })
      })
    }
  })

  test('version 5: properties that a will must not have are refused [MQTT-3.1.4-1]', async () => {
    const lists: readonly (readonly Property[])[] = [
      [['sessionExpiryInterval', 1]],
      [['payloadFormatIndicator', 2]],
      [['topicAlias', 1]],
      [
        ['willDelayInterval', 1],
        ['willDelayInterval', 1],
      ],
      [['responseTopic', 'a/#']],
    ]
    for (const properties of lists) {
      using client = await opened(
        target,
        5,
        wire.connect(5, { clientId: unique('c'), will: { topic: 'w', properties } }),
      )
      await client.expectConnectError(...malformed, 0x90)
    }
  })

  test('a will topic with wildcards or without characters is refused [MQTT-4.7.0-1] [MQTT-4.7.3-1] [MQTT3-4.7.1-1] [MQTT3-4.7.3-1]', async () => {
    for (const version of [4, 5] as const) {
      for (const topic of ['a/#', '+', '']) {
        using client = await opened(target, version, wire.connect(version, { clientId: unique('c'), will: { topic } }))
        const answer = await client.untilClosed()
        assert.ok(answer.length === 0 || (answer[0] === 0x20 && answer[3] !== 0), `${topic}: ${answer.toString('hex')}`)
      }
    }
  })

  test('version 5: CONNECT without property length is refused [MQTT-2.2.2-1]', async () => {
    const packet = wire.packet('CONNECT', 0, wire.text('MQTT'), wire.bytes(5, 2), wire.uint16(0))
    using client = await opened(target, 5, packet)
    await client.expectConnectError(...malformed)
  })

  test('version 5: a property length beyond the packet, or in too many bytes, is refused [MQTT-1.5.5-1]', async () => {
    for (const length of [wire.bytes(0x7f), wire.bytes(0x80, 0x00), wire.bytes(0xff, 0xff, 0xff, 0xff, 0x01)]) {
      const packet = wire.packet(
        'CONNECT',
        0,
        wire.text('MQTT'),
        wire.bytes(5, 2),
        wire.uint16(0),
        length,
        wire.text(unique('c')),
      )
      using client = await opened(target, 5, packet)
      await client.expectConnectError(...malformed)
    }
  })

  test('version 5: without request there is no response information [MQTT-3.1.2-28]', async () => {
    for (const properties of [[], [['requestResponseInformation', 0]]] as const) {
      using client = await connect(target, 5, { clientId: unique('c'), properties })
      assert.equal(client.connack && wire.propertyOf(client.connack, 'responseInformation'), undefined)
    }
  })

  test('version 5: CONNACK carries no text that does not fit the maximum packet size of the client [MQTT-3.2.2-19] [MQTT-3.2.2-20]', async () => {
    const properties: Property[] = [['maximumPacketSize', 64]]
    using refused = await opened(
      target,
      5,
      wire.connect(5, { clientId: unique('c'), properties: [...properties, ['authenticationMethod', 'none']] }),
    )
    const connack = await refused.next()
    assert.ok(connack === undefined || connack.length <= 64)
    using accepted = await connect(target, 5, { clientId: unique('c'), properties })
    assert.ok((accepted.connack?.length ?? 0) <= 64)
  })

  test('CONNECT may arrive one byte at a time [MQTT-4.2-1] [MQTT3-7.1.1-1]', async () => {
    for (const version of [3, 4, 5] as const) {
      using client = await open(target, version)
      for (const byte of wire.connect(version, { clientId: unique('c') })) {
        client.send(wire.bytes(byte))
        await new Promise((resolve) => setImmediate(resolve))
      }
      await client.expectPacket('CONNACK', { reason: 0 })
    }
  })

  test('only packets of the standards are needed to interoperate [MQTT3-7.0.0-2]', async () => {
    for (const version of [3, 4, 5] as const) {
      const topic = unique('t')
      using client = await connect(target, version, { clientId: unique('c') })
      await client.subscribe(topic, 2)
      client.send(wire.publish(version, topic, 'x', { qos: 0 }))
      await client.receive({ topic, payload: 'x' })
      await client.disconnect()
    }
  })
})
