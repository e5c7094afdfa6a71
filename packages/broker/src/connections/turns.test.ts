import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { connect, type Target } from '../../../../testing/testkit/src/raw-client.ts'
import * as wire from '../../../../testing/testkit/src/wire.ts'
import { type Broker, createBroker } from '../index.ts'

let broker: Broker
let target: Target

before(async () => {
  broker = await createBroker({ access: { allowAnonymous: true }, sys: { intervalSeconds: 0 } })
  target = { host: '127.0.0.1', port: (await broker.listen({ kind: 'tcp', port: 0 })).port }
})
after(() => broker.close({ graceMs: 0 }))

/** Filters that nearly match: the tree is searched down to the last of 127 levels for each. */
const filters = Array.from(
  { length: 1_000 },
  (_, i) => `${Array.from({ length: 126 }, (_level, level) => ((i >> (level % 10)) & 1 ? '+' : 'a')).join('/')}/${i}`,
)
const deepTopic = 'a/'.repeat(126)
const messages = 100

for (const kept of [false, true]) {
  test(`messages that are dear to route do not hold up others (${kept ? 'kept' : 'transient'} subscriber)`, async () => {
    using subscriber = await connect(target, 4, { clientId: `deep${kept}`, cleanStart: !kept })
    for (let at = 0; at < filters.length; at += 100) {
      const some = filters.slice(at, at + 100).map((filter) => [filter, 0] as const)
      subscriber.send(wire.subscribe(4, 1 + at, some))
      await subscriber.expectPacket('SUBACK')
    }
    using other = await connect(target, 4, { clientId: `other${kept}` })
    using publisher = await connect(target, 4, { clientId: `publisher${kept}` })
    const before = broker.counters.publishReceived
    publisher.send(
      ...Array.from({ length: messages }, (_, i) =>
        wire.publish(4, `${deepTopic}x${i}`, `${i}`, { qos: 1, id: i + 1 }),
      ),
    )
    // The broker has begun when the first answer is there; then it must serve the other one before it is through.
    await publisher.expectPacket('PUBACK', { id: 1 })
    await other.ping()
    const through = broker.counters.publishReceived - before
    assert.ok(through < messages, `${through} of ${messages} messages were routed before another client was served`)
    // And nothing is lost or reordered by stopping in between.
    for (let id = 2; id <= messages; id++) await publisher.expectPacket('PUBACK', { id })
    assert.equal(broker.counters.publishReceived - before, messages)
  })
}
