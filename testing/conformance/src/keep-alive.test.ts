/** Keep alive, in real seconds. Sections 3.1.2.10 and 3.12 of both standards. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { connect } from '../../testkit/src/raw-client.ts'
import * as wire from '../../testkit/src/wire.ts'
import { elapse, outside, unique, useBroker } from './target.ts'

const target = useBroker()
const hurried = useBroker('tcp', { access: { allowAnonymous: true }, limits: { keepAliveMax: 1 } })

describe('keep alive', { concurrency: 16 }, () => {
  for (const version of [3, 4, 5] as const) {
    test(`version ${version}: a silent client is closed after one and a half keep alive, and its will published [MQTT-3.1.2-22] [MQTT-3.2.2-22] [MQTT3-3.1.2-24]`, async () => {
      const topic = unique('will')
      using watcher = await connect(target, version, { clientId: unique('w') })
      await watcher.subscribe(topic)
      const will = { topic, payload: 'silent' }
      using client = await connect(target, version, { clientId: unique('k'), keepAlive: 1, will })
      const since = performance.now()
      await client.expectRefusal(0x8d)
      const passed = performance.now() - since
      assert.ok(passed > 1_400 && passed < 4_000, `after ${passed} ms`)
      await watcher.receive({ payload: 'silent' })
    })

    test(`version ${version}: PINGREQ is answered and keeps the connection open [MQTT-3.12.4-1] [MQTT-3.1.2-22] [MQTT3-3.12.4-1] [MQTT3-3.1.2-24]`, async () => {
      using client = await connect(target, version, { clientId: unique('k'), keepAlive: 1 })
      for (let times = 0; times < 4; times++) {
        await elapse(700)
        await client.ping()
      }
    })

    test(`version ${version}: any packet keeps the connection open [MQTT-3.1.2-22] [MQTT3-3.1.2-24]`, async () => {
      using client = await connect(target, version, { clientId: unique('k'), keepAlive: 1 })
      for (let times = 0; times < 4; times++) {
        await elapse(700)
        client.send(wire.publish(version, unique('t'), ''))
      }
      await client.ping()
    })

    test(`version ${version}: messages to the client do not count [MQTT-3.1.2-22] [MQTT3-3.1.2-24]`, async () => {
      const topic = unique('t')
      using client = await connect(target, version, { clientId: unique('k'), keepAlive: 1 })
      await client.subscribe(topic)
      using publisher = await connect(target, version, { clientId: unique('p') })
      for (let times = 0; times < 2; times++) {
        await elapse(600)
        await publisher.publish(topic, 'x')
        await client.receive({ payload: 'x' })
      }
      await client.expectRefusal(0x8d)
    })

    test(`version ${version}: keep alive 0 does not close [MQTT-3.1.2-22] [MQTT3-3.1.2-24]`, async () => {
      using client = await connect(target, version, { clientId: unique('k'), keepAlive: 0 })
      await elapse(2_500)
      await client.ping()
    })
  }

  test('version 5: a server keep alive is told in CONNACK and used [MQTT-3.1.2-22]', { skip: outside }, async () => {
    using client = await connect(hurried, 5, { clientId: unique('k'), keepAlive: 60 })
    assert.equal(client.connack && wire.propertyOf(client.connack, 'serverKeepAlive'), 1)
    const since = performance.now()
    await client.expectRefusal(0x8d)
    assert.ok(performance.now() - since > 1_400)
  })

  test('version 5: without server keep alive the keep alive of the client holds [MQTT-3.2.2-22]', async () => {
    using client = await connect(target, 5, { clientId: unique('k'), keepAlive: 2 })
    assert.equal(client.connack && wire.propertyOf(client.connack, 'serverKeepAlive'), undefined)
    await elapse(2_200)
    await client.ping()
  })
})
