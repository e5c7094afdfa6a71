/** Wills: when they are published, with what, and when not. Sections 3.1.2, 3.1.3 and 3.14.4 of both standards. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { RawClient } from '../../testkit/src/raw-client.ts'
import { connect } from '../../testkit/src/raw-client.ts'
import type { Version, WillOptions } from '../../testkit/src/wire.ts'
import * as wire from '../../testkit/src/wire.ts'
import { elapse, kept, unique, useBroker } from './target.ts'

const target = useBroker()

async function watching(version: Version, topic: string): Promise<RawClient> {
  const watcher = await connect(target, version, { clientId: unique('w') })
  await watcher.subscribe(topic, 2)
  return watcher
}

function willing(version: Version, will: WillOptions): Promise<RawClient> {
  return connect(target, version, { clientId: unique('c'), will })
}

describe('wills', { concurrency: 12 }, () => {
  for (const version of [3, 4, 5] as const) {
    test(`version ${version}: the will is published when the connection is lost, once, at its QoS [MQTT-3.1.2-7] [MQTT-3.1.2-8] [MQTT-3.1.2-10] [MQTT-3.1.2-12] [MQTT3-3.1.2-8] [MQTT3-3.1.2-10] [MQTT3-3.1.2-14]`, async () => {
      for (const qos of [0, 1, 2]) {
        const topic = unique('will')
        using watcher = await watching(version, topic)
        const clientId = unique('c')
        const client = await connect(
          target,
          version,
          kept(version, clientId, { will: { topic, payload: 'gone', qos } }),
        )
        await client.drop()
        await watcher.receive({ topic, payload: 'gone', qos, retain: false })
        const again = await connect(target, version, kept(version, clientId))
        await again.drop()
        await watcher.expectNothing()
      }
    })

    test(`version ${version}: DISCONNECT discards the will [MQTT-3.1.2-8] [MQTT-3.1.2-10] [MQTT-3.14.4-3] [MQTT3-3.1.2-10] [MQTT3-3.14.4-3]`, async () => {
      const topic = unique('will')
      using watcher = await watching(version, topic)
      const client = await willing(version, { topic, payload: 'gone' })
      await client.disconnect()
      await watcher.expectNothing()
    })

    test(`version ${version}: a connection without will publishes none, not even that of the connection before [MQTT-3.1.2-10] [MQTT3-3.1.2-12]`, async () => {
      const topic = unique('will')
      using watcher = await watching(version, topic)
      const clientId = unique('c')
      const first = await connect(target, version, kept(version, clientId, { will: { topic, payload: 'gone' } }))
      await first.disconnect()
      const second = await connect(target, version, kept(version, clientId))
      await second.drop()
      await watcher.expectNothing()
    })

    test(`version ${version}: will retain decides whether the will is retained [MQTT-3.1.2-14] [MQTT-3.1.2-15] [MQTT3-3.1.2-16] [MQTT3-3.1.2-17]`, async () => {
      for (const retain of [false, true]) {
        const topic = unique('will')
        using watcher = await watching(version, topic)
        const client = await willing(version, { topic, payload: 'gone', qos: 1, retain })
        await client.drop()
        await watcher.receive({ payload: 'gone', retain: false })
        using late = await watching(version, topic)
        if (retain) await late.receive({ payload: 'gone', retain: true })
        else await late.expectNothing()
      }
    })

    test(`version ${version}: the will is published when the broker closes the connection for a protocol error [MQTT-3.1.2-8] [MQTT3-3.1.2-8]`, async () => {
      const topic = unique('will')
      using watcher = await watching(version, topic)
      using client = await willing(version, { topic, payload: 'gone' })
      client.send(wire.connect(version, { clientId: unique('c') }))
      await watcher.receive({ payload: 'gone' })
      await client.untilClosed()
    })

    test(`version ${version}: the will is published when the session is taken over [MQTT-3.1.2-8] [MQTT3-3.1.2-8]`, async () => {
      const topic = unique('will')
      using watcher = await watching(version, topic)
      const clientId = unique('c')
      using first = await connect(target, version, { clientId, will: { topic, payload: 'gone' } })
      using second = await connect(target, version, { clientId })
      await watcher.receive({ payload: 'gone' })
      await second.ping()
      await first.untilClosed()
    })
  }

  test('version 5: DISCONNECT with any reason but 0x00 publishes the will [MQTT-3.1.2-10] [MQTT-3.14.4-3]', async () => {
    for (const reason of [0x04, 0x80, 0x97]) {
      const topic = unique('will')
      using watcher = await watching(5, topic)
      const client = await willing(5, { topic, payload: 'gone' })
      await client.disconnect(reason)
      await watcher.receive({ payload: 'gone' })
    }
  })

  test('version 5: the will is published after its delay, not before [MQTT-3.1.2-8]', async () => {
    const topic = unique('will')
    using watcher = await watching(5, topic)
    const will = { topic, payload: 'gone', properties: [['willDelayInterval', 1]] } as const
    const client = await connect(target, 5, kept(5, unique('c'), { will }))
    const since = performance.now()
    await client.drop()
    await watcher.receive({ payload: 'gone' })
    const passed = performance.now() - since
    assert.ok(passed > 950, `after ${passed} ms`)
  })

  test('version 5: a new connection within the delay suppresses the will [MQTT-3.1.3-9] [MQTT-3.1.2-8]', async () => {
    const topic = unique('will')
    using watcher = await watching(5, topic)
    const clientId = unique('c')
    const will = { topic, payload: 'gone', properties: [['willDelayInterval', 2]] } as const
    const first = await connect(target, 5, kept(5, clientId, { will }))
    await first.drop()
    using second = await connect(target, 5, kept(5, clientId))
    assert.equal(second.connack?.sessionPresent, true)
    await watcher.expectNothing(3_300)
  })

  test('version 5: a takeover of a session that goes on does not publish a delayed will [MQTT-3.1.3-9]', async () => {
    const topic = unique('will')
    using watcher = await watching(5, topic)
    const clientId = unique('c')
    const will = { topic, payload: 'gone', properties: [['willDelayInterval', 2]] } as const
    using first = await connect(target, 5, kept(5, clientId, { will }))
    using second = await connect(target, 5, kept(5, clientId))
    await first.expectRefusal(0x8e)
    await watcher.expectNothing(3_300)
    await second.ping()
  })

  test('version 5: the end of the session publishes the will before its delay [MQTT-3.1.2-8]', async () => {
    const topic = unique('will')
    using watcher = await watching(5, topic)
    const properties = [['willDelayInterval', 3_600]] as const
    const now = await willing(5, { topic, payload: 'at once', properties })
    await now.drop()
    await watcher.receive({ payload: 'at once' })
    const soon = await connect(target, 5, {
      clientId: unique('c'),
      will: { topic, payload: 'in a second', properties },
      properties: [['sessionExpiryInterval', 1]],
    })
    await soon.drop()
    await watcher.receive({ payload: 'in a second' })
  })

  test('version 5: the properties of the will reach subscribers, user properties in their order [MQTT-3.1.3-10] [MQTT-3.1.2-9]', async () => {
    const topic = unique('will')
    using watcher = await watching(5, topic)
    const user = [
      ['userProperty', ['b', '1']],
      ['userProperty', ['a', '2']],
      ['userProperty', ['b', '3']],
    ] as const
    const properties = [
      ...user,
      ['payloadFormatIndicator', 1],
      ['messageExpiryInterval', 100],
      ['contentType', 'text/plain'],
      ['responseTopic', 'answers'],
      ['correlationData', wire.bytes(0, 255, 1)],
    ] as const
    const client = await willing(5, { topic, payload: 'gone', properties })
    await client.drop()
    const message = await watcher.receive({ payload: 'gone' })
    assert.deepEqual(
      wire.propertiesOf(message, 'userProperty'),
      user.map(([, value]) => value),
    )
    assert.equal(wire.propertyOf(message, 'payloadFormatIndicator'), 1)
    assert.ok(Number(wire.propertyOf(message, 'messageExpiryInterval')) > 90)
    assert.equal(wire.propertyOf(message, 'contentType'), 'text/plain')
    assert.equal(wire.propertyOf(message, 'responseTopic'), 'answers')
    assert.deepEqual(wire.propertyOf(message, 'correlationData'), wire.bytes(0, 255, 1))
    assert.equal(wire.propertyOf(message, 'willDelayInterval'), undefined)
  })

  test('version 5: a delayed will of a session that is resumed later is not published again [MQTT-3.1.2-10]', async () => {
    const topic = unique('will')
    using watcher = await watching(5, topic)
    const clientId = unique('c')
    const will = { topic, payload: 'gone', properties: [['willDelayInterval', 1]] } as const
    const first = await connect(target, 5, kept(5, clientId, { will }))
    await first.drop()
    await watcher.receive({ payload: 'gone' })
    const second = await connect(target, 5, kept(5, clientId))
    await second.drop()
    await elapse(1_200)
    await watcher.expectNothing()
  })
})
