/**
 * Faults that suites of other projects found in this broker, each as the smallest exchange of raw packets that shows it.
 * How those suites are run: `docs/guide/interoperability.md`.
 */
import { describe, test } from 'node:test'
import { connect, open } from '../../testkit/src/raw-client.ts'
import * as wire from '../../testkit/src/wire.ts'
import { kept, unique, useBroker } from './target.ts'

const target = useBroker()

describe('regressions', { concurrency: 12 }, () => {
  for (const version of [3, 4, 5] as const) {
    test(`version ${version}: PUBCOMP without PUBREC settles nothing: the connection closes and the message is sent again [MQTT-4.3.3-5] [MQTT-4.4.0-1] [MQTT3-4.3.3-1] [MQTT3-4.4.0-1]`, async () => {
      const topic = unique('t')
      const options = kept(version, unique('s'))
      const first = await connect(target, version, options)
      await first.subscribe(topic, 2)
      using publisher = await connect(target, version, { clientId: unique('p') })
      await publisher.publish(topic, 'x', { qos: 2 })
      const { id } = await first.expectPacket('PUBLISH', { payload: 'x', qos: 2, dup: false })
      first.send(wire.acknowledge('PUBCOMP', id))
      await first.expectRefusal(0x82)
      using second = await connect(target, version, options)
      await second.expectPacket('PUBLISH', { payload: 'x', qos: 2, dup: true, id })
      second.send(wire.acknowledge('PUBREC', id))
      await second.expectPacket('PUBREL', { id })
      second.send(wire.acknowledge('PUBCOMP', id))
      await second.ping()
    })

    test(`version ${version}: PUBCOMP without PUBREC closes a transient session's connection as well [MQTT-4.3.3-5] [MQTT3-4.3.3-1]`, async () => {
      const topic = unique('t')
      using subscriber = await connect(target, version, { clientId: unique('s') })
      await subscriber.subscribe(topic, 2)
      using publisher = await connect(target, version, { clientId: unique('p') })
      await publisher.publish(topic, 'x', { qos: 2 })
      const { id } = await subscriber.expectPacket('PUBLISH', { payload: 'x', qos: 2 })
      subscriber.send(wire.acknowledge('PUBCOMP', id))
      await subscriber.expectRefusal(0x82)
    })
  }

  test('version 5: an empty response topic is refused, in PUBLISH and in a will [MQTT-4.7.3-1]', async () => {
    const properties: readonly wire.Property[] = [['responseTopic', '']]
    const topic = unique('t')
    using subscriber = await connect(target, 5, { clientId: unique('s') })
    await subscriber.subscribe(topic, 1)
    using publisher = await connect(target, 5, { clientId: unique('p') })
    publisher.send(wire.publish(5, topic, 'x', { qos: 1, id: 1, properties }))
    await publisher.expectRefusal(0x81, 0x82)
    await subscriber.expectNothing()
    using other = await open(target, 5)
    other.send(wire.connect(5, { clientId: unique('w'), will: { topic, payload: 'x', properties } }))
    await other.expectConnectError(0x81, 0x82)
  })
})
