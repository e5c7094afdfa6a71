import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { duplexPair } from 'node:stream'
import { after, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { connect, RawClient, type Target } from '../../../../testing/testkit/src/raw-client.ts'
import * as wire from '../../../../testing/testkit/src/wire.ts'
import type { Broker, InlineMessage } from '../api.ts'
import { createBroker } from '../broker.ts'
import type { BrokerOptions } from '../config/options.ts'
import type { Hooks } from '../hooks/hooks.ts'

const brokers: Broker[] = []
after(async () => {
  for (const broker of brokers) await broker.close({ graceMs: 0 })
})

async function start(options: BrokerOptions = {}): Promise<{ readonly broker: Broker; readonly target: Target }> {
  const broker = await createBroker({ access: { allowAnonymous: true }, sys: { intervalSeconds: 0 }, ...options })
  brokers.push(broker)
  const { port } = await broker.listen('tcp://127.0.0.1:0')
  return { broker, target: { host: '127.0.0.1', port } }
}

const kept: readonly wire.Property[] = [['sessionExpiryInterval', 100]]

/** A handler that keeps what it gets, and lets the test wait for it. */
function inbox() {
  const got: string[] = []
  let wake = () => {}
  return {
    got,
    handler: (message: InlineMessage) => {
      got.push(`${message.topic} ${Buffer.from(message.payload).toString()}${message.retain ? ' retained' : ''}`)
      wake()
    },
    until: async (count: number): Promise<string[]> => {
      const deadline = AbortSignal.timeout(5_000)
      while (got.length < count) {
        deadline.throwIfAborted()
        await new Promise<void>((resolve) => {
          wake = resolve
          setImmediate(resolve)
        })
      }
      return got
    },
  }
}

describe('publish()', () => {
  test('resolves when the message has its place, at every QoS, retained and with properties (rows S2, C39)', async () => {
    const { broker, target } = await start()
    const client = await connect(target, 5)
    await client.subscribe('#', 2)
    for (const qos of [0, 1, 2] as const) {
      await broker.publish({
        topic: `q/${qos}`,
        payload: new Uint8Array([0, 255]),
        qos,
        retain: qos === 2,
        properties: { contentType: 'a/b', userProperties: [['k', 'v']], messageExpiryInterval: 60 },
      })
      const message = await client.receive({ topic: `q/${qos}`, qos, retain: false })
      assert.deepEqual([...message.payload], [0, 255])
      assert.equal(wire.propertyOf(message, 'contentType'), 'a/b')
      assert.equal(wire.propertyOf(message, 'messageExpiryInterval'), 60)
    }
    const late = await connect(target, 4)
    await late.subscribe('q/#', 1)
    await late.receive({ topic: 'q/2', retain: true, qos: 1 })
  })

  test('100 at once deliver 100 messages in the order of the calls (row S2)', async () => {
    const { broker, target } = await start()
    for (const properties of [[], kept]) {
      const client = await connect(target, 5, { properties })
      await client.subscribe('t', 2)
      await Promise.all(
        Array.from({ length: 100 }, (_, i) =>
          broker.publish({ topic: 't', payload: `${i}`, qos: (i % 3) as 0 | 1 | 2 }),
        ),
      )
      for (let i = 0; i < 100; i++) await client.receive({ payload: `${i}`, qos: i % 3 })
      await client.unsubscribe('t')
    }
  })

  const wrong: [string, unknown, string][] = [
    ['a wildcard in the topic', { topic: 'a/#', payload: '' }, 'CMQ_TOPIC'],
    ['no topic', { payload: '' }, 'CMQ_TOPIC'],
    ['a payload that is a number', { topic: 'a', payload: 5 }, 'CMQ_MESSAGE'],
    ['QoS 3', { topic: 'a', payload: '', qos: 3 }, 'CMQ_MESSAGE'],
    ['a retain that is text', { topic: 'a', payload: '', retain: 'yes' }, 'CMQ_MESSAGE'],
    ['a property that cannot be sent', { topic: 'a', payload: '', properties: { responseTopic: '#' } }, 'CMQ_MESSAGE'],
    ['a property of another type', { topic: 'a', payload: '', properties: { correlationData: 'text' } }, 'CMQ_MESSAGE'],
  ]
  for (const [what, message, code] of wrong) {
    test(`rejects ${what}, and nothing is stored`, async () => {
      const { broker } = await start()
      await assert.rejects(broker.publish({ retain: true, ...(message as object) } as never), { code })
      assert.deepEqual([...broker.retained()], [])
    })
  }
})

describe('subscribe()', () => {
  test('gets what clients and the program publish, retained messages first (row C40)', async () => {
    const { broker, target } = await start()
    await broker.publish({ topic: 'a/1', payload: 'old', retain: true })
    const { handler, until, got } = inbox()
    broker.subscribe('a/#', handler)
    const client = await connect(target, 5)
    for (const qos of [0, 1, 2] as const) await client.publish('a/2', `${qos}`, { qos })
    await broker.publish({ topic: 'a', payload: 'own' })
    await client.publish('b', 'not this')
    assert.deepEqual(await until(5), ['a/1 old retained', 'a/2 0', 'a/2 1', 'a/2 2', 'a own'])
    assert.equal(broker.unsubscribe('a/#'), 1)
    assert.equal(broker.unsubscribe('a/#'), 0)
    await client.publish('a/2', 'late', { qos: 1 })
    await client.ping()
    assert.equal(got.length, 5)
  })

  test('takes several handlers of one filter, told apart by their ids (row C40)', async () => {
    const { broker } = await start()
    const [one, two] = [inbox(), inbox()]
    broker.subscribe('t', one.handler, { id: 1 })
    broker.subscribe('t', two.handler, { id: 2 })
    await broker.publish({ topic: 't', payload: 'both' })
    await one.until(1)
    await two.until(1)
    assert.equal(broker.unsubscribe('t', { id: 1 }), 1)
    await broker.publish({ topic: 't', payload: 'second' })
    assert.deepEqual(await two.until(2), ['t both', 't second'])
    assert.deepEqual(one.got, ['t both'])
    const instead = inbox()
    broker.subscribe('t', instead.handler, { id: 2 })
    await broker.publish({ topic: 't', payload: 'third' })
    assert.deepEqual(await instead.until(1), ['t third'])
    assert.equal(two.got.length, 2)
  })

  test('sees wills, $SYS and what is published before the handler returns; a publisher is told of it', async () => {
    const { broker, target } = await start({ sys: { intervalSeconds: 1 } })
    const [wills, sys] = [inbox(), inbox()]
    broker.subscribe('will', wills.handler)
    broker.subscribe('$SYS/broker/version', sys.handler)
    assert.match((await sys.until(1))[0] as string, /concordmq version .* retained/)
    const mortal = await connect(target, 5, { will: { topic: 'will', payload: 'gone' } })
    mortal.send(wire.publish(5, 'will', 'x', { qos: 1, id: 1 }))
    await mortal.expectPacket('PUBACK', { id: 1, reason: 0 })
    await mortal.drop()
    assert.deepEqual(await wills.until(2), ['will x', 'will gone'])
    let depth = 0
    broker.subscribe('loop', () => {
      if (++depth < 100) return broker.publish({ topic: 'loop', payload: '' })
      return undefined
    })
    await broker.publish({ topic: 'loop', payload: '' })
    const deadline = AbortSignal.timeout(5_000)
    while (depth < 100) {
      deadline.throwIfAborted()
      await new Promise(setImmediate)
    }
  })

  test('a handler that throws, rejects or never settles harms nobody; its queue is bounded', async () => {
    const { broker, target } = await start({ embedding: { inlineQueueMessagesMax: 10 } })
    broker.subscribe('t', () => {
      throw new Error('broken')
    })
    broker.subscribe('t', () => Promise.reject(new Error('broken')), { id: 1 })
    broker.subscribe('t', () => new Promise(() => {}), { id: 2 })
    const well = inbox()
    broker.subscribe('t', well.handler, { id: 3 })
    const client = await connect(target, 5)
    for (let i = 0; i < 50; i++) await client.publish('t', `${i}`, { qos: 1 })
    await well.until(50)
    assert.equal(broker.counters.inlineFailures, 100)
    // One is with the handler that never settles, ten wait.
    assert.equal(broker.counters.inlineDropped, 39)
  })

  test('refuses what is no filter, and shared ones', async () => {
    const { broker } = await start()
    for (const filter of ['', 'a/#/b', '$share/g/t', undefined]) {
      assert.throws(() => broker.subscribe(filter as string, () => {}), { code: 'CMQ_TOPIC' })
    }
    assert.throws(() => broker.subscribe('t', undefined as never), { code: 'CMQ_MESSAGE' })
    assert.throws(() => broker.subscribe('t', () => {}, { id: 0.5 }), { code: 'CMQ_MESSAGE' })
  })
})

describe('inject()', () => {
  const calls: string[] = []
  const recorder: Hooks = {
    authorizePublish(client, message) {
      calls.push(`authorizePublish ${client.clientId} ${message.topic}`)
      return message.topic !== 'no'
    },
    authorizeSubscribe(client, { filter }) {
      calls.push(`authorizeSubscribe ${client.clientId} ${filter}`)
      return filter !== 'no'
    },
    published(client, message) {
      calls.push(`published ${client?.clientId ?? '-'} ${message.topic}`)
    },
    subscribed(client, [subscription]) {
      calls.push(`subscribed ${client.clientId} ${subscription?.filter}`)
    },
    unsubscribed(client, [filter]) {
      calls.push(`unsubscribed ${client.clientId} ${filter}`)
    },
  }

  test('publishes to $SYS in the name of the program, and hooks fire (row C41)', async () => {
    calls.length = 0
    const { broker, target } = await start({ hooks: [recorder] })
    const client = await connect(target, 5)
    await client.subscribe('$SYS/x')
    assert.deepEqual(await broker.inject({ type: 'publish', topic: '$SYS/x', payload: 'hello' }), [0])
    await client.receive({ topic: '$SYS/x', payload: 'hello' })
    assert.ok(calls.includes('published - $SYS/x'))
  })

  for (const [name, properties] of [
    ['transient', []],
    ['kept', kept],
  ] as const) {
    test(`subscribes, publishes and unsubscribes for a connected client, ${name} (row C41)`, async () => {
      calls.length = 0
      const { broker, target } = await start({ hooks: [recorder] })
      const client = await connect(target, 5, { clientId: 'c', properties })
      const as = { clientId: 'c' }
      const subscriptions = [{ filter: 'a', qos: 1 }, { filter: 'no' }] as const
      assert.deepEqual(await broker.inject({ type: 'subscribe', subscriptions }, as), [1, 0x87])
      const other = await connect(target, 5)
      await other.publish('a', 'x', { qos: 2 })
      await client.receive({ topic: 'a', payload: 'x', qos: 1 })
      await other.subscribe('#', 2)
      for (const qos of [0, 1, 2] as const) {
        assert.deepEqual(await broker.inject({ type: 'publish', topic: 'b', payload: `${qos}`, qos }, as), [0])
        await other.receive({ topic: 'b', payload: `${qos}`, qos })
      }
      assert.deepEqual(await broker.inject({ type: 'publish', topic: 'no', payload: '', qos: 1 }, as), [0x87])
      assert.deepEqual(await broker.inject({ type: 'publish', topic: '$SYS/x', payload: '' }, as), [0x87])
      assert.deepEqual(await broker.inject({ type: 'unsubscribe', filters: ['a', 'never'] }, as), [0, 0x11])
      // Nothing of it was acknowledged to the client, and what was refused reached nobody.
      await client.expectNothing()
      await other.expectNothing()
      for (const call of ['authorizeSubscribe c a', 'subscribed c a', 'published c b', 'unsubscribed c a']) {
        assert.ok(calls.includes(call), `${call} is missing in ${calls.join(', ')}`)
      }
    })
  }

  test('refuses clients that are not there, and what is no packet', async () => {
    const { broker, target } = await start()
    await connect(target, 5, { clientId: 'c' })
    const message = { type: 'publish', topic: 't', payload: '' } as const
    await assert.rejects(broker.inject(message, { clientId: 'nobody' }), { code: 'CMQ_NOT_CONNECTED' })
    const as = { clientId: 'c' }
    await assert.rejects(broker.inject({ type: 'nothing' } as never, as), { code: 'CMQ_MESSAGE' })
    await assert.rejects(broker.inject({ type: 'subscribe', subscriptions: [{ filter: '#/a' }] }, as), {
      code: 'CMQ_MESSAGE',
    })
    await assert.rejects(broker.inject({ type: 'subscribe', subscriptions: [] }, as), { code: 'CMQ_MESSAGE' })
    await assert.rejects(broker.inject({ type: 'unsubscribe', filters: [''] }, as), { code: 'CMQ_MESSAGE' })
    await assert.rejects(broker.inject({ type: 'subscribe', subscriptions: [] }), { code: 'CMQ_MESSAGE' })
  })

  test('sendTo() reaches one client alone', async () => {
    const { broker, target } = await start()
    const [a, b] = [
      await connect(target, 5, { clientId: 'a' }),
      await connect(target, 4, { clientId: 'b', cleanStart: false }),
    ]
    for (const qos of [0, 1, 2] as const) {
      assert.equal(broker.sendTo('a', { topic: 'welcome', payload: 'a', qos }), true)
      await a.receive({ topic: 'welcome', qos })
    }
    assert.equal(broker.sendTo('b', { topic: 'welcome', payload: 'b', qos: 1 }), true)
    await b.receive({ topic: 'welcome', qos: 0 })
    assert.equal(broker.sendTo('nobody', { topic: 'welcome', payload: '' }), false)
    await a.expectNothing()
  })
})

describe('a broker from inside', () => {
  test('listens on an address written as text, and refuses a second listener there (row S1)', async () => {
    const { broker, target } = await start()
    await assert.rejects(broker.listen(`tcp://127.0.0.1:${target.port}`), { code: 'CMQ_ADDRESS_IN_USE' })
    const ws = await broker.listen('ws://[::1]:0')
    assert.match(ws.address, /^\[::1\]:\d+$/)
    for (const text of ['tcp://127.0.0.1', 'udp://x:1', '127.0.0.1:1', 'tcp://x:99999', 'tls://x:1', '']) {
      await assert.rejects(broker.listen(text), { code: 'CMQ_OPTIONS' })
    }
  })

  test('serves streams, says which connection is which, and disconnects clients with a reason', async () => {
    const { broker } = await start()
    const [ours, theirs] = duplexPair()
    const connection = broker.handle(ours, { remoteAddress: 'serial line' })
    const client = new RawClient(theirs, 5)
    client.send(wire.connect(5, { clientId: 'c', username: '', keepAlive: 7 }))
    await client.expectPacket('CONNACK')
    const info = broker.client('c')
    assert.deepEqual(
      { ...info, connectedAtMs: 0 },
      {
        connection,
        clientId: 'c',
        username: '',
        version: 5,
        listener: 'stream',
        remoteAddress: 'serial line',
        encrypted: false,
        kept: false,
        connectedAtMs: 0,
        keepAliveSeconds: 7,
      },
    )
    assert.throws(() => broker.disconnectClient('c', { reasonCode: 1 }), { code: 'CMQ_MESSAGE' })
    assert.equal(
      broker.disconnectClient('c', { reasonCode: 0x9d, reason: 'elsewhere', serverReference: 'other' }),
      true,
    )
    const goodbye = await client.expectPacket('DISCONNECT', { reason: 0x9d })
    assert.equal(wire.propertyOf(goodbye, 'reasonString'), 'elsewhere')
    assert.equal(wire.propertyOf(goodbye, 'serverReference'), 'other')
    await client.expectClosed()
    assert.equal(broker.client('c'), undefined)
    assert.equal(broker.disconnectClient('c'), false)
  })

  test('lists retained messages as plain values, to a maximum', async () => {
    const { broker } = await start()
    for (let i = 0; i < 5; i++) await broker.publish({ topic: `t/${i}`, payload: `${i}`, retain: true })
    const topics = (filter?: string, max?: number): string[] =>
      [...broker.retained(filter, max === undefined ? {} : { max })].map(({ topic }) => topic)
    assert.deepEqual(topics(), ['t/0', 't/1', 't/2', 't/3', 't/4'])
    assert.deepEqual(topics('t/3'), ['t/3'])
    assert.deepEqual(topics('#', 2), ['t/0', 't/1'])
  })

  test('close() with drainMs lets clients fetch and acknowledge what is queued', async () => {
    const { broker, target } = await start()
    for (const properties of [[], kept]) {
      const client = await connect(target, 5, { properties: [...properties, ['receiveMaximum', 1]] })
      await client.subscribe('t', 1)
      for (let i = 0; i < 3; i++) await broker.publish({ topic: 't', payload: `${i}`, qos: 1 })
      if (properties.length === 0) {
        for (let i = 0; i < 3; i++) await client.receive({ payload: `${i}` })
        await client.unsubscribe('t')
        continue
      }
      const closing = broker.close({ drainMs: 5_000 })
      for (let i = 0; i < 3; i++) await client.receive({ payload: `${i}` })
      await client.expectPacket('DISCONNECT', { reason: 0x8b })
      await closing
    }
    await assert.rejects(broker.publish({ topic: 't', payload: '' }), { code: 'CMQ_CLOSED' })
    await assert.rejects(broker.inject({ type: 'publish', topic: 't', payload: '' }), { code: 'CMQ_CLOSED' })
    assert.throws(() => broker.subscribe('t', () => {}), { code: 'CMQ_CLOSED' })
  })

  test('close() ends a process by itself, with clients, hooks and handlers in the middle of something', async () => {
    const script = `
      import { createBroker } from ${JSON.stringify(new URL('../broker.ts', import.meta.url).href)}
      import { connect } from 'node:net'
      const broker = await createBroker({
        hooks: [{ authenticate: () => true, authorizePublish: () => new Promise(() => {}) }],
      })
      broker.subscribe('#', () => new Promise(() => {}))
      const { port } = await broker.listen('tcp://127.0.0.1:0')
      await broker.publish({ topic: 'a', payload: 'b' })
      const socket = connect(port, '127.0.0.1')
      socket.write(Buffer.from([0x10, 13, 0, 4, 77, 81, 84, 84, 4, 2, 0, 9, 0, 1, 97, 0x30, 3, 0, 1, 97]))
      socket.on('error', () => {})
      socket.once('data', async () => {
        const began = performance.now()
        await broker.close()
        console.log(performance.now() - began < 1_000 ? 'soon' : 'late')
      })`
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], {
      timeout: 20_000,
    })
    assert.equal(stdout, 'soon\n')
  })

  test('reads no file and no variable of the environment', async () => {
    const script = `
      import fs from 'node:fs'
      import { syncBuiltinESMExports } from 'node:module'
      import { connect } from 'node:net'
      import { createBroker } from ${JSON.stringify(new URL('../broker.ts', import.meta.url).href)}
      const touched = []
      // How many threads this process has, for $SYS; and what net of Node asks by itself.
      const expected = new Set(['fs.readdirSync /proc/self/task', 'environment NODE_CLUSTER_SCHED_POLICY'])
      const watch = (holder, label) => {
        for (const [name, call] of Object.entries(holder)) {
          if (typeof call !== 'function' || /^[A-Z]/.test(name)) continue
          holder[name] = function (...args) {
            touched.push(label + name + ' ' + String(args[0]))
            return call.apply(this, args)
          }
        }
      }
      watch(fs.promises, 'fs.promises.')
      watch(fs, 'fs.')
      syncBuiltinESMExports()
      const known = process.env
      const note = (target, name) => { if (typeof name === 'string') touched.push('environment ' + name) }
      process.env = new Proxy(known, {
        get: (target, name) => (note(target, name), target[name]),
        has: (target, name) => (note(target, name), name in target),
        ownKeys: (target) => (touched.push('environment'), Reflect.ownKeys(target)),
      })
      const broker = await createBroker({ access: { allowAnonymous: true } })
      const { port } = await broker.listen('tcp://127.0.0.1:0')
      await broker.listen('ws://127.0.0.1:0')
      broker.subscribe('a', async ({ payload }) => {
        await broker.close({ graceMs: 0 })
        process.env = known
        console.log(Buffer.from(payload).toString() + ' ' + JSON.stringify(touched.filter((one) => !expected.has(one))))
      })
      const socket = connect(port, '127.0.0.1')
      socket.on('error', () => {})
      socket.write(Buffer.from([0x10, 13, 0, 4, 77, 81, 84, 84, 4, 2, 0, 9, 0, 1, 97, 0x30, 4, 0, 1, 97, 98]))`
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], {
      timeout: 20_000,
    })
    assert.equal(stdout, 'b []\n')
  })
})
