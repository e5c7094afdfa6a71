import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { connect, open, type RawClient, type Target } from '../../../../testing/testkit/src/raw-client.ts'
import * as wire from '../../../../testing/testkit/src/wire.ts'
import type { Broker } from '../api.ts'
import { createBroker } from '../broker.ts'
import type { BrokerOptions } from '../config/options.ts'
import { ConcordError } from '../errors.ts'
import { allowAll } from '../hooks/allow-all.ts'
import type { HookMessage, Hooks } from '../hooks/hooks.ts'

const brokers: Broker[] = []
after(async () => {
  for (const broker of brokers) await broker.close({ graceMs: 0 })
})

async function start(
  hooks: readonly Hooks[],
  options: BrokerOptions = {},
): Promise<{ readonly broker: Broker; readonly target: Target }> {
  const broker = await createBroker({
    access: { allowAnonymous: true },
    sys: { intervalSeconds: 0 },
    hooks,
    ...options,
  })
  brokers.push(broker)
  const { port } = await broker.listen('tcp://127.0.0.1:0')
  return { broker, target: { host: '127.0.0.1', port } }
}

const textOf = (message: HookMessage): string => Buffer.from(message.payload).toString()
const kept: readonly wire.Property[] = [['sessionExpiryInterval', 100]]

/** Waits for what a test has no packet to wait for. */
async function until(holds: () => boolean): Promise<void> {
  const deadline = AbortSignal.timeout(5_000)
  while (!holds()) {
    deadline.throwIfAborted()
    await new Promise(setImmediate)
  }
}

/** A promise that the test settles. */
function gate<T>(): PromiseWithResolvers<T> {
  return Promise.withResolvers<T>()
}

describe('decisions about who connects', () => {
  test('without hooks and users nobody is let in, with a name 0x86 or 4 (row C8)', async () => {
    const { target } = await start([], { access: {} })
    for (const [version, code] of [
      [5, 0x86],
      [4, 4],
      [3, 4],
    ] as const) {
      const client = await open(target, version)
      client.send(wire.connect(version, { username: 'a', password: 'b', clientId: 'c' }))
      await client.expectConnectRefused(code)
    }
  })

  test('allowAll lets everybody in, publish and subscribe (row C9)', async () => {
    const { target } = await start([allowAll], { access: {} })
    const named = await connect(target, 5, { username: 'anyone', password: 'anything' })
    const anonymous = await connect(target, 4)
    await anonymous.subscribe('#', 2)
    await named.publish('x', 'hello', { qos: 2 })
    await anonymous.receive({ payload: 'hello', qos: 2 })
  })

  test('authenticate: the first answer other than ignore decides, now or later', async () => {
    const asked: string[] = []
    const { target } = await start(
      [
        {
          authenticate(_client, { username }) {
            asked.push(`one ${username}`)
            return username === 'one' ? true : 'ignore'
          },
        },
        {
          async authenticate(_client, { username, password }) {
            await Promise.resolve()
            asked.push(`two ${username}`)
            if (username === 'two') return Buffer.from(password ?? []).toString() === 'secret'
            return username === 'banned' ? { deny: 0x8a } : 'ignore'
          },
        },
      ],
      { access: {} },
    )
    await connect(target, 5, { username: 'one' })
    await connect(target, 5, { username: 'two', password: 'secret' })
    const refusals: [string, number][] = [
      ['two', 0x86],
      ['banned', 0x8a],
      ['three', 0x86],
    ]
    for (const [username, code] of refusals) {
      const client = await open(target, 5)
      client.send(wire.connect(5, { username, password: 'wrong' }))
      await client.expectConnectRefused(code)
    }
    assert.deepEqual(asked, [
      'one one',
      'one two',
      'two two',
      'one two',
      'two two',
      'one banned',
      'two banned',
      'one three',
      'two three',
    ])
  })

  test('admitConnection closes without a byte; authorizeConnect refuses, transformConnect renames', async () => {
    let admitted = true
    const { broker, target } = await start([
      {
        admitConnection: () => admitted,
        authorizeConnect: (client) => (client.clientId === 'bad' ? { deny: 0x9c } : true),
        async transformConnect(_client, packet) {
          return { ...packet, clientId: `tenant/${packet.clientId}` }
        },
      },
    ])
    const bad = await open(target, 5)
    bad.send(wire.connect(5, { clientId: 'bad' }))
    await bad.expectConnectRefused(0x9c)
    await connect(target, 5, { clientId: 'good' })
    assert.deepEqual(
      [...broker.clients()].map(({ clientId }) => clientId),
      ['tenant/good'],
    )
    admitted = false
    const refused = await open(target, 5)
    assert.equal((await refused.untilClosed()).length, 0)
  })

  test('a connection that is gone before its decision leaves nothing behind', async () => {
    const { promise, resolve } = gate<boolean>()
    const { broker, target } = await start([{ authenticate: () => promise }])
    const client = await open(target, 5)
    client.send(wire.connect(5, { clientId: 'gone' }))
    await client.drop()
    resolve(true)
    await connect(target, 5, { clientId: 'here' })
    assert.deepEqual(
      [...broker.inspection.sessions()].map(({ clientId }) => clientId),
      ['here'],
    )
  })
})

describe('authorizePublish', () => {
  for (const later of [false, true]) {
    const answer = (allowed: boolean): boolean | Promise<boolean> => (later ? Promise.resolve(allowed) : allowed)

    test(`${later ? 'later' : 'at once'}: refuses at every QoS with 0x87, before anything is stored or sent`, async () => {
      const { broker, target } = await start([
        { authorizePublish: (_client, message) => answer(!message.topic.startsWith('no/')) },
      ])
      const watcher = await connect(target, 5)
      await watcher.subscribe('#', 2)
      for (const properties of [[], kept]) {
        const client = await connect(target, 5, { properties })
        client.send(
          wire.publish(5, 'no/0', 'x'),
          wire.publish(5, 'no/1', 'x', { qos: 1, id: 1, retain: true }),
          wire.publish(5, 'no/2', 'x', { qos: 2, id: 2 }),
        )
        await client.expectPacket('PUBACK', { id: 1, reason: 0x87 })
        await client.expectPacket('PUBREC', { id: 2, reason: 0x87 })
        for (const qos of [0, 1, 2] as const) {
          await client.publish('yes', `${qos}`, { qos })
          await watcher.receive({ topic: 'yes', payload: `${qos}` })
        }
      }
      await watcher.expectNothing()
      assert.equal([...broker.retained()].length, 0)
    })
  }

  test('holds a will to it, at CONNECT', async () => {
    const { target } = await start([{ authorizePublish: async (_client, message) => message.topic !== 'no' }])
    const client = await open(target, 5)
    client.send(wire.connect(5, { will: { topic: 'no', payload: 'x' } }))
    await client.expectConnectRefused(0x87)
    await connect(target, 5, { will: { topic: 'yes', payload: 'x' } })
  })

  test('all must agree: the first refusal decides, and all ignoring it leaves it allowed', async () => {
    const { target } = await start([
      { authorizePublish: () => 'ignore' },
      { authorizePublish: (_client, { topic }) => (topic === 'a' ? { deny: 0x97 } : 'ignore') },
      { authorizePublish: () => true },
    ])
    const client = await connect(target, 5)
    client.send(wire.publish(5, 'a', 'x', { qos: 1, id: 1 }), wire.publish(5, 'b', 'x', { qos: 1, id: 2 }))
    await client.expectPacket('PUBACK', { id: 1, reason: 0x97 })
    await client.expectPacket('PUBACK', { id: 2, reason: 0x10 })
  })

  test('that waits holds back only its own connection, which stays in order', async () => {
    const gates = new Map<string, PromiseWithResolvers<boolean>>()
    const { target } = await start([
      {
        authorizePublish(client, message) {
          if (client.clientId !== 'slow') return true
          const waiting = gate<boolean>()
          gates.set(textOf(message), waiting)
          return waiting.promise
        },
      },
    ])
    const watcher = await connect(target, 5)
    await watcher.subscribe('#')
    const slow = await connect(target, 5, { clientId: 'slow' })
    const quick = await connect(target, 5, { clientId: 'quick' })
    // One read brings a run of three, another topic, and packets of other kinds.
    slow.send(
      wire.publish(5, 's', '1', { qos: 1, id: 1 }),
      wire.publish(5, 's', '2', { qos: 1, id: 2 }),
      wire.publish(5, 's', '3', { qos: 1, id: 3 }),
      wire.publish(5, 'other', '4', { qos: 2, id: 4 }),
      wire.subscribe(5, 9, [['own', 0]]),
      wire.pingreq,
    )
    await quick.publish('q', 'quick', { qos: 1 })
    await watcher.receive({ payload: 'quick' })
    await watcher.expectNothing()
    assert.deepEqual([...gates.keys()], ['1'])
    for (const [payload, allowed] of [
      ['1', true],
      ['2', false],
      ['3', true],
      ['4', true],
    ] as const) {
      await until(() => gates.has(payload))
      gates.get(payload)?.resolve(allowed)
      if (allowed) await watcher.receive({ payload })
    }
    await slow.expectPacket('PUBACK', { id: 1, reason: 0 })
    await slow.expectPacket('PUBACK', { id: 2, reason: 0x87 })
    await slow.expectPacket('PUBACK', { id: 3, reason: 0 })
    await slow.expectPacket('PUBREC', { id: 4, reason: 0 })
    await slow.expectPacket('SUBACK', { id: 9 })
    await slow.expectPacket('PINGRESP')
  })

  test('that waits stops its socket being read, however much the client sends', async () => {
    const { promise, resolve } = gate<boolean>()
    const { broker, target } = await start([{ authorizePublish: () => promise }])
    const client = await connect(target, 4)
    const payload = Buffer.alloc(10_000)
    for (let i = 0; i < 2_000; i++) client.send(wire.publish(4, 't', payload))
    const other = await connect(target, 4)
    for (let i = 0; i < 20; i++) await other.ping()
    const { bytesReceived } = broker.counters
    assert.ok(bytesReceived < 1_000_000, `${bytesReceived} bytes were read`)
    resolve(true)
    await client.ping()
    assert.equal(broker.counters.publishReceived, 2_000)
  })

  test('that waits when the client goes: QoS 0 and 1 still count, QoS 2 does not', async () => {
    const { promise, resolve } = gate<boolean>()
    const { target } = await start([{ authorizePublish: () => promise }])
    const watcher = await connect(target, 5)
    await watcher.subscribe('#')
    for (const qos of [1, 2] as const) {
      const client = await connect(target, 5)
      client.send(wire.publish(5, 'late', `${qos}`, { qos, id: 1 }))
      await watcher.ping()
      await client.drop()
    }
    await watcher.ping()
    resolve(true)
    await watcher.receive({ payload: '1' })
    await watcher.expectNothing()
  })

  test('keeps large payloads, properties and topic aliases whole on the way', async () => {
    for (const later of [false, true]) {
      const { target } = await start([{ authorizePublish: () => (later ? Promise.resolve(true) : true) }])
      const watcher = await connect(target, 5)
      await watcher.subscribe('#', 1)
      const client = await connect(target, 5)
      const large = Buffer.alloc(200_000, 'x')
      client.send(
        wire.publish(5, 'big', large, { qos: 1, id: 1 }),
        wire.publish(5, 'aliased', 'a', {
          qos: 1,
          id: 2,
          properties: [
            ['topicAlias', 1],
            ['contentType', 'text/plain'],
          ],
        }),
        wire.publish(5, '', 'b', { qos: 1, id: 3, properties: [['topicAlias', 1]] }),
      )
      assert.equal((await watcher.receive({ topic: 'big' })).payload.length, large.length)
      const aliased = await watcher.receive({ topic: 'aliased', payload: 'a' })
      assert.equal(wire.propertyOf(aliased, 'contentType'), 'text/plain')
      await watcher.receive({ topic: 'aliased', payload: 'b' })
    }
  })
})

describe('transformPublish', () => {
  for (const later of [false, true]) {
    test(`${later ? 'later' : 'at once'}: what one changes the next one sees, and everybody gets`, async () => {
      const { broker, target } = await start([
        { transformPublish: (_client, message) => ({ ...message, payload: Buffer.from(`${textOf(message)}!`) }) },
        {
          transformPublish(_client, message) {
            const changed = { ...message, topic: `x/${message.topic}`, payload: Buffer.from(`${textOf(message)}?`) }
            return later ? Promise.resolve(changed) : changed
          },
        },
      ])
      const transient = await connect(target, 4)
      await transient.subscribe('#')
      const keeper = await connect(target, 5, { properties: kept })
      await keeper.subscribe('#', 2)
      const shared = await connect(target, 5)
      await shared.subscribe('$share/g/#', 1)
      const client = await connect(target, 5)
      for (const qos of [0, 1, 2] as const) {
        await client.publish('t', `${qos}`, { qos, retain: true })
        for (const subscriber of [transient, keeper, shared]) {
          await subscriber.receive({ topic: 'x/t', payload: `${qos}!?` })
        }
      }
      assert.deepEqual(
        [...broker.retained()].map(({ topic, payload }) => [topic, Buffer.from(payload).toString()]),
        [['x/t', '2!?']],
      )
      await broker.publish({ topic: 'own', payload: 'o' })
      await transient.receive({ topic: 'x/own', payload: 'o!?' })
    })
  }

  test('a message before and one after a changed topic find their own subscribers', async () => {
    const { target } = await start([
      { transformPublish: (_client, message) => (textOf(message) === 'move' ? { ...message, topic: 'b' } : message) },
    ])
    const [a, b] = [await connect(target, 4), await connect(target, 4)]
    await a.subscribe('a')
    await b.subscribe('b')
    const client = await connect(target, 4)
    client.send(...['stay 1', 'move', 'stay 2'].map((payload) => wire.publish(4, 'a', payload)))
    client.send(...['stay 3', 'move', 'stay 4'].map((payload) => wire.publish(4, 'a', payload)))
    for (const n of [1, 2, 3, 4]) await a.receive({ payload: `stay ${n}` })
    for (const _ of [1, 2]) await b.receive({ payload: 'move' })
  })

  test("'drop' acknowledges and gives to nobody, at every QoS and for both kinds of sessions", async () => {
    const { broker, target } = await start([{ transformPublish: () => 'drop' }])
    const watcher = await connect(target, 5)
    await watcher.subscribe('#')
    for (const properties of [[], kept]) {
      const client = await connect(target, 5, { properties: [...properties, ['receiveMaximum', 5]] })
      for (let i = 0; i < 3; i++) for (const qos of [0, 1, 2] as const) await client.publish('t', 'x', { qos })
    }
    await watcher.expectNothing()
    await broker.publish({ topic: 't', payload: 'x' })
    assert.equal(broker.counters.publishDropped, 18)
  })

  test('a refusal carries its code', async () => {
    const { broker, target } = await start([{ transformPublish: () => ({ deny: 0x99 }) }])
    const client = await connect(target, 5)
    client.send(wire.publish(5, 't', 'x', { qos: 1, id: 1 }))
    await client.expectPacket('PUBACK', { id: 1, reason: 0x99 })
    await assert.rejects(broker.publish({ topic: 't', payload: 'x' }), { code: 'CMQ_REFUSED' })
  })

  test("the program's own messages keep the order of the calls while a hook takes time", async () => {
    let delay = 3
    const { broker, target } = await start([
      {
        async transformPublish(_client, message) {
          for (let i = delay--; i > 0; i--) await new Promise(setImmediate)
          return message
        },
      },
    ])
    const watcher = await connect(target, 5)
    await watcher.subscribe('#')
    await Promise.all(['a', 'b', 'c'].map((payload) => broker.publish({ topic: 't', payload })))
    for (const payload of ['a', 'b', 'c']) await watcher.receive({ payload })
  })

  test('transformWill changes or drops a will', async () => {
    const { target } = await start([
      {
        transformWill: async (_client, will) =>
          textOf(will) === 'none' ? 'drop' : { ...will, payload: Buffer.from('changed') },
      },
    ])
    const watcher = await connect(target, 5)
    await watcher.subscribe('#', 1)
    for (const payload of ['none', 'some']) {
      const mortal = await connect(target, 5, {
        will: {
          topic: 'will',
          payload,
          qos: 1,
          properties: [
            ['willDelayInterval', 0],
            ['contentType', 'a/b'],
          ],
        },
      })
      await mortal.drop()
    }
    const will = await watcher.receive({ topic: 'will', payload: 'changed' })
    assert.equal(wire.propertyOf(will, 'contentType'), 'a/b')
    await watcher.expectNothing()
  })
})

describe('subscriptions', () => {
  for (const later of [false, true]) {
    test(`${later ? 'later' : 'at once'}: are changed, then authorized one by one`, async () => {
      const { broker, target } = await start([
        {
          transformSubscribe(_client, subscriptions) {
            const changed = subscriptions.map((one) => ({ ...one, filter: `tenant/${one.filter}` }))
            return later ? Promise.resolve(changed) : changed
          },
          authorizeSubscribe(_client, { filter }) {
            const allowed = filter !== 'tenant/no'
            return later ? Promise.resolve(allowed) : allowed
          },
          transformUnsubscribe: (_client, filters) => filters.map((filter) => `tenant/${filter}`),
        },
      ])
      for (const version of [4, 5] as const) {
        const client = await connect(target, version)
        client.send(
          wire.subscribe(version, 1, [
            ['a', 1],
            ['no', 0],
            ['b', 2],
          ]),
        )
        await client.expectPacket('SUBACK', { id: 1, reasons: [1, version === 5 ? 0x87 : 0x80, 2] })
        await broker.publish({ topic: 'tenant/a', payload: 'x' })
        await broker.publish({ topic: 'tenant/no', payload: 'x' })
        await client.receive({ topic: 'tenant/a' })
        await client.unsubscribe('a')
        await broker.publish({ topic: 'tenant/a', payload: 'x' })
        await client.expectNothing()
      }
    })
  }

  test('what was read behind a SUBSCRIBE that waits comes after it', async () => {
    const { promise, resolve } = gate<boolean>()
    const { target } = await start([{ authorizeSubscribe: () => promise }])
    const client = await connect(target, 5)
    client.send(wire.subscribe(5, 1, [['t', 0]]), wire.publish(5, 't', 'mine'))
    const other = await connect(target, 5)
    await other.ping()
    resolve(true)
    await client.expectPacket('SUBACK', { id: 1 })
    await client.receive({ payload: 'mine' })
  })
})

describe('what goes out', () => {
  /** A subscriber of each kind, all of which get what is published on `t`. */
  async function everyKind(target: Target): Promise<Map<string, RawClient>> {
    const kinds = new Map<string, RawClient>()
    kinds.set('transient', await connect(target, 5, { clientId: 'transient' }))
    kinds.set('old', await connect(target, 4, { clientId: 'old' }))
    kinds.set('aliases', await connect(target, 5, { clientId: 'aliases', properties: [['topicAliasMaximum', 5]] }))
    kinds.set('kept', await connect(target, 5, { clientId: 'kept', properties: kept }))
    for (const client of kinds.values()) await client.subscribe('t', 2)
    kinds.set('shared', await connect(target, 5, { clientId: 'shared' }))
    await kinds.get('shared')?.subscribe('$share/g/t', 2)
    return kinds
  }

  test('authorizeDelivery keeps copies from whom it refuses, at every QoS, retained ones too', async () => {
    const refused = new Set<string>()
    const { broker, target } = await start([{ authorizeDelivery: (client) => !refused.has(client.clientId) }])
    const kinds = await everyKind(target)
    const publisher = await connect(target, 5)
    for (const [name] of kinds) {
      refused.clear()
      refused.add(name)
      for (const qos of [0, 1, 2] as const) {
        await publisher.publish('t', `without ${name} ${qos}`, { qos, retain: qos === 1 })
        for (const [other, client] of kinds) {
          if (other !== name) await client.receive({ payload: `without ${name} ${qos}`, qos })
        }
      }
    }
    refused.clear()
    // Nothing is owed to anybody, and numbers go on.
    await publisher.publish('t', 'to all', { qos: 2 })
    for (const client of kinds.values()) await client.receive({ payload: 'to all' })
    refused.add('late').add('late kept')
    for (const [clientId, properties] of [
      ['late', []],
      ['late kept', kept],
    ] as const) {
      const late = await connect(target, 5, { clientId, properties })
      await late.subscribe('t', 1)
      await late.expectNothing()
      refused.delete(clientId)
      await late.subscribe('t', 1)
      await late.receive({ retain: true })
    }
    assert.equal(broker.counters.publishDropped, 17)
  })

  test('a refused copy of an offline queue is given up, and the rest arrives', async () => {
    const { target } = await start([{ authorizeDelivery: (_client, message) => textOf(message) !== 'secret' }])
    const options = { clientId: 'k', properties: kept, cleanStart: false }
    const before = await connect(target, 5, options)
    await before.subscribe('t', 2)
    await before.disconnect()
    const publisher = await connect(target, 5)
    for (const payload of ['a', 'secret', 'b'])
      for (const qos of [1, 2] as const) await publisher.publish('t', payload, { qos })
    const after = await connect(target, 5, options)
    for (const payload of ['a', 'b']) for (const qos of [1, 2] as const) await after.receive({ payload, qos })
    await after.disconnect()
    const again = await connect(target, 5, options)
    await again.expectNothing()
  })

  test('transformOutgoing gives each recipient a copy of its own', async () => {
    const { target } = await start([
      {
        transformOutgoing: (client, message) =>
          textOf(message) === 'drop'
            ? 'drop'
            : {
                ...message,
                topic: `${client.clientId}/t`,
                payload: Buffer.from(`${client.clientId} ${textOf(message)}`),
              },
      },
    ])
    const kinds = await everyKind(target)
    const publisher = await connect(target, 5)
    for (const qos of [0, 1, 2] as const) {
      publisher.send(wire.publish(5, 't', 'drop'))
      await publisher.publish('t', `${qos}`, { qos })
      for (const [name, client] of kinds) await client.receive({ topic: `${name}/t`, payload: `${name} ${qos}`, qos })
    }
    for (const client of kinds.values()) await client.expectNothing()
  })

  test('a run of messages is screened one by one, also while the client reads slowly', async () => {
    const { target } = await start([
      { transformOutgoing: (_client, message) => (Number(textOf(message)) % 3 === 0 ? 'drop' : message) },
    ])
    const client = await connect(target, 5, { properties: [['receiveMaximum', 2]] })
    await client.subscribe('t', 1)
    const publisher = await connect(target, 5)
    publisher.send(...Array.from({ length: 30 }, (_, i) => wire.publish(5, 't', `${i}`, { qos: 1, id: i + 1 })))
    for (let i = 0; i < 30; i++) if (i % 3 !== 0) await client.receive({ payload: `${i}` })
    await client.expectNothing()
  })

  test('selectSubscribers picks who gets a message', async () => {
    const seen: string[][] = []
    const { target } = await start([
      {
        selectSubscribers(_message, clientIds) {
          seen.push([...clientIds].sort())
          return clientIds.filter((id) => id !== 'old' && id !== 'kept' && id !== 'shared')
        },
      },
    ])
    const kinds = await everyKind(target)
    const publisher = await connect(target, 5)
    for (const retain of [false, true]) {
      await publisher.publish('t', 'x', { qos: 1, retain })
      for (const [name, client] of kinds) {
        if (name === 'transient' || name === 'aliases') await client.receive({ payload: 'x' })
        else await client.expectNothing()
      }
    }
    assert.ok(
      seen.some((ids) => ids.join() === 'aliases,old,transient'),
      JSON.stringify(seen),
    )
  })
})

describe('a hook that misbehaves', () => {
  const lines: string[] = []
  const logger = {
    error: (fields: { event: string }) => lines.push(`error ${fields.event}`),
    warn: (fields: { event: string }) => lines.push(`warn ${fields.event}`),
    info: (fields: { event: string }) => fields.event.startsWith('hooks.') && lines.push(`info ${fields.event}`),
    debug() {},
    debugEnabled: false,
  }

  const bad: [string, () => unknown][] = [
    [
      'throws',
      () => {
        throw new Error('broken')
      },
    ],
    ['rejects', () => Promise.reject(new Error('broken'))],
    ['never settles', () => new Promise(() => {})],
    ['returns undefined', () => undefined],
    ['returns a number', () => 1],
    ['returns a code that is no refusal', () => ({ deny: 0 })],
    [
      'returns a hostile object',
      () =>
        new Proxy(
          {},
          {
            get() {
              throw new Error('trap')
            },
            has() {
              throw new Error('trap')
            },
          },
        ),
    ],
  ]
  for (const [how, call] of bad) {
    test(`that ${how}: decisions and transformations refuse, observations are ignored`, async () => {
      lines.length = 0
      let works = false
      const either = (good: unknown) => (): never => (works ? good : call()) as never
      const { broker, target } = await start(
        [
          {
            authorizePublish: either(true),
            authorizeSubscribe: either(true),
            authorizeDelivery: either(true),
            published: call,
            clientConnected: call,
            delivered: call,
          },
        ],
        { embedding: { hookTimeoutMs: 20 }, logger },
      )
      const client = await connect(target, 5)
      for (let i = 1; i <= 3; i++) {
        client.send(wire.publish(5, 't', 'x', { qos: 1, id: i }))
        await client.expectPacket('PUBACK', { id: i, reason: 0x87 })
      }
      client.send(wire.subscribe(5, 9, [['t', 0]]))
      await client.expectPacket('SUBACK', { reasons: [0x87] })
      works = true
      await client.subscribe('t')
      works = false
      const publish = broker.publish({ topic: 't', payload: 'x' })
      await publish
      await client.expectNothing()
      works = true
      const publisher = await connect(target, 5)
      await publisher.publish('t', 'well', { qos: 1 })
      await client.receive({ payload: 'well' })
      await client.disconnect()
      assert.ok(broker.counters.hookFailures >= 5)
      const failing = lines.filter((line) => line === 'error hooks.failing').length
      assert.ok(failing >= 3 && failing <= 6, `said ${failing} times that a point fails`)
      assert.equal(lines.filter((line) => line === 'info hooks.recovered').length, 3)
    })
  }

  const nonsense: [string, unknown][] = [
    ['a topic with a wildcard', { topic: 'a/#', payload: Buffer.alloc(0), retain: false }],
    ['a payload of text', { topic: 'a', payload: 'text', retain: false }],
    [
      'properties that cannot be sent',
      { topic: 'a', payload: Buffer.alloc(0), retain: false, properties: { contentType: 'a\0b' } },
    ],
    ['nothing', undefined],
    ['a string', 'a'],
    ['a topic that is too long', { topic: 'a'.repeat(70_000), payload: Buffer.alloc(0), retain: false }],
  ]
  for (const [what, answer] of nonsense) {
    test(`a transformation that returns ${what} refuses the message, or this copy`, async () => {
      const { broker, target } = await start([])
      const client = await connect(target, 5)
      const remove = broker.addHooks({ transformPublish: () => answer as never })
      client.send(wire.publish(5, 't', 'x', { qos: 1, id: 1 }))
      await client.expectPacket('PUBACK', { id: 1, reason: 0x83 })
      remove()
      broker.addHooks({ transformOutgoing: () => answer as never })
      await client.subscribe('t', 1)
      await client.publish('t', 'x', { qos: 1 })
      await client.expectNothing()
    })
  }

  test('a slow synchronous hook is counted and named once', async () => {
    lines.length = 0
    const { broker, target } = await start(
      [
        {
          name: 'sleeper',
          published() {
            const end = performance.now() + 60
            while (performance.now() < end);
          },
        },
      ],
      { logger },
    )
    const client = await connect(target, 5)
    for (let i = 0; i < 3; i++) await client.publish('t', 'x', { qos: 1 })
    assert.equal(broker.counters.hooksSlow, 3)
    assert.deepEqual(lines.filter((line) => line === 'warn hooks.slow').length, 1)
  })

  test('what cannot be hooks is refused by name', async () => {
    const wrong: [unknown, RegExp][] = [
      [undefined, /not an object/],
      [{ authorisePublish: () => true }, /"authorisePublish" is no hook point/],
      [{ authenticate: true }, /authenticate is not a function/],
      [{ name: 5 }, /name is not text/],
    ]
    const { broker } = await start([])
    for (const [hooks, message] of wrong) {
      assert.throws(
        () => broker.addHooks(hooks as Hooks),
        (error) => error instanceof ConcordError && error.code === 'CMQ_HOOKS' && message.test(error.message),
      )
    }
    broker.addHooks(allowAll)
    assert.throws(() => broker.addHooks(allowAll), { code: 'CMQ_HOOKS' })
    for (let i = 1; i < 100; i++) broker.addHooks({})
    assert.throws(() => broker.addHooks({}), { code: 'CMQ_HOOKS' })
    await assert.rejects(createBroker({ hooks: [{ nope: 1 } as Hooks] }), { code: 'CMQ_HOOKS' })
  })
})

describe('a hook that calls the broker', () => {
  test('may disconnect the client whose packet it sees, and nothing is left behind', async () => {
    const { broker, target } = await start([])
    for (const point of [
      'packetReceived',
      'admitPacket',
      'authorizeSubscribe',
      'authorizePublish',
      'authorizeDelivery',
    ] as const) {
      const client = await connect(target, 5, { clientId: 'c' })
      await client.subscribe('mine')
      const remove = broker.addHooks({
        [point]: () => {
          broker.disconnectClient('c')
          return true
        },
      })
      client.send(wire.subscribe(5, 1, [['t', 0]]), wire.publish(5, 'mine', 'x'))
      await client.untilClosed()
      remove()
      assert.equal(broker.client('c'), undefined)
      assert.deepEqual([...broker.inspection.sessions()], [], point)
      assert.deepEqual([...broker.inspection.subscriptions()], [], point)
    }
  })

  test('may publish, inject and subscribe from any point', async () => {
    const { broker, target } = await start([])
    const seen: string[] = []
    broker.subscribe('echo/#', ({ topic }) => seen.push(topic))
    const echo =
      (point: string) =>
      (_client: unknown, about: unknown): never => {
        const isOwn = (about as { topic?: string } | undefined)?.topic?.startsWith('echo/') === true
        if (!isOwn) void broker.publish({ topic: `echo/${point}`, payload: '' })
        return true as never
      }
    const points = [
      'authorizePublish',
      'authorizeSubscribe',
      'delivered',
      'packetSent',
      'published',
      'retainedStored',
    ] as const
    const client = await connect(target, 5, { clientId: 'c' })
    for (const point of points) {
      const remove = broker.addHooks({ [point]: echo(point) })
      await client.subscribe('t', 1)
      await client.publish('other', 'x', { qos: 1, retain: true })
      await broker.publish({ topic: 't', payload: 'x', qos: 1, retain: true })
      remove()
      await client.receive({ topic: 't' })
      await client.unsubscribe('t')
      await broker.publish({ topic: 't', payload: '', retain: true })
    }
    for (const point of points) assert.ok(seen.includes(`echo/${point}`), point)
  })

  test('may not publish in a circle without end', async () => {
    const { broker, target } = await start([])
    let refused = ''
    broker.addHooks({
      published: () => {
        broker.publish({ topic: 'again', payload: '' }).catch((error: Error) => (refused = error.message))
      },
    })
    const client = await connect(target, 5)
    await client.publish('t', 'x', { qos: 1 })
    await client.ping()
    assert.match(refused, /in a circle/u)
  })

  test('what is injected for a client that goes while a hook decides is refused', async () => {
    const { promise, resolve } = gate<boolean>()
    const { broker, target } = await start([{ authorizeSubscribe: () => promise, authorizePublish: () => promise }])
    const client = await connect(target, 5, { clientId: 'c' })
    const as = { clientId: 'c' }
    const subscription = broker.inject({ type: 'subscribe', subscriptions: [{ filter: 't' }] }, as)
    const message = broker.inject({ type: 'publish', topic: 't', payload: '' }, as)
    await client.drop()
    await until(() => broker.client('c') === undefined)
    resolve(true)
    await assert.rejects(subscription, { code: 'CMQ_NOT_CONNECTED' })
    await assert.rejects(message, { code: 'CMQ_NOT_CONNECTED' })
    assert.deepEqual([...broker.inspection.subscriptions()], [])
  })
})

describe('hooks at run time', () => {
  test('are added and removed while messages flow, and an alias survives it', async () => {
    const { broker, target } = await start([])
    const client = await connect(target, 5, { properties: [['topicAliasMaximum', 5]] })
    await client.subscribe('t')
    await broker.publish({ topic: 't', payload: 'x' })
    await client.receive({ topic: 't' })
    const publisher = await connect(target, 5)
    await publisher.publish('t', 'one')
    await client.receive({ payload: 'one', topic: 't' })
    const remove = broker.addHooks({ authorizeDelivery: (_client, message) => textOf(message) !== 'no' })
    await publisher.publish('t', 'no')
    await publisher.publish('t', 'two')
    await client.receive({ payload: 'two', topic: 't' })
    remove()
    remove()
    await publisher.publish('t', 'no')
    await client.receive({ payload: 'no' })
  })
})
