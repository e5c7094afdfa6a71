/** What a broker promises with one thread it promises with several: across workers, where a client is chosen by the system. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { connect, deadlineMs, type Target } from '../../../testing/testkit/src/raw-client.ts'
import * as wire from '../../../testing/testkit/src/wire.ts'
import { makePasswordRecord } from './access/password-record.ts'
import type { Broker } from './api.ts'
import { createBroker } from './broker.ts'
import { kept, received } from './cluster-brokers.testkit.ts'
import type { BrokerOptions } from './config/options.ts'
import { openWorkers, until, WORKERS, type Workers, workerOf } from './worker-brokers.testkit.ts'

/** Megabytes through sockets of a busy machine. */
const BIG_DEADLINE_MS = 6 * deadlineMs
const brokers: Broker[] = []
after(async () => {
  for (const broker of brokers) await broker.close({ graceMs: 0 })
})

async function start(options: BrokerOptions = {}): Promise<Workers> {
  const workers = await openWorkers(options)
  brokers.push(workers.broker)
  return workers
}

test('connections spread over all workers, and the program sees and disconnects those of all', async () => {
  const { broker, at } = await start()
  for (let worker = 0; worker < WORKERS; worker++) {
    const client = await at(worker, 5, { clientId: `at${worker}` })
    await client.subscribe(`to/${worker}`, 1)
    assert.equal(broker.client(`at${worker}`)?.version, 5)
    assert.ok([...broker.clients()].some(({ clientId }) => clientId === `at${worker}`))
    await broker.inspection.refresh()
    assert.equal(broker.inspection.client(`at${worker}`)?.subscriptions, 1)
    assert.deepEqual(
      [...broker.inspection.subscriptions(`at${worker}`)].map(({ filter }) => filter),
      [`to/${worker}`],
    )
    assert.equal(broker.sendTo(`at${worker}`, { topic: 'direct', payload: 'here' }), true)
    await client.expectPacket('PUBLISH', { topic: 'direct', payload: 'here' })
    assert.deepEqual(
      await broker.inject({ type: 'publish', topic: `to/${worker}`, payload: 'own' }, { clientId: `at${worker}` }),
      [0],
    )
    await client.expectPacket('PUBLISH', { topic: `to/${worker}`, payload: 'own' })
    assert.equal(broker.disconnectClient(`at${worker}`), true)
    await client.expectRefusal(0x98)
    await until(() => broker.client(`at${worker}`) === undefined)
    assert.equal(broker.disconnectClient(`at${worker}`), false)
  }
})

test('subscribers of all workers see what publishers of all workers send in one order, at every QoS', async () => {
  const { at } = await start()
  const messages = 400
  const workers = [0, 1, 2]
  const subscribers = await Promise.all(workers.map((worker) => at(worker, 4)))
  for (const subscriber of subscribers) await subscriber.subscribe('#', 0)
  const publishers = await Promise.all(workers.map((worker) => at(worker, worker === 1 ? 5 : 4)))
  for (const [p, publisher] of publishers.entries()) {
    const packets: Uint8Array[] = []
    for (let i = 0; i < messages; i++) {
      packets.push(wire.publish(p === 1 ? 5 : 4, `t/${p}`, `${p}:${i}`, p === 0 ? {} : { qos: p as 1 | 2, id: i + 1 }))
    }
    publisher.send(Buffer.concat(packets))
  }
  const seen = await Promise.all(subscribers.map((subscriber) => received(subscriber, 3 * messages)))
  const [first] = seen as [string[]]
  for (const one of seen) assert.deepEqual(one, first)
  for (const p of workers) {
    const own = first.filter((payload) => payload.startsWith(`${p}:`))
    assert.deepEqual(
      own,
      Array.from({ length: messages }, (_, i) => `${p}:${i}`),
    )
  }
  for (const client of [...subscribers, ...publishers]) client[Symbol.dispose]()
})

test('a session is taken over, with its queue, by a connection of another worker', async () => {
  const { broker, at } = await start()
  using older = await at(0, 5, kept('mobile'))
  await older.subscribe('q', 1)
  using publisher = await at(1, 4)
  await publisher.publish('q', 'one', { qos: 1 })
  await older.expectPacket('PUBLISH', { payload: 'one' })
  let newer = older
  for (let tries = 0; workerOf(broker, 'mobile') === 0; tries++) {
    assert.ok(tries < 100)
    const before = newer
    newer = await connect((await start2(broker)).target, 5, kept('mobile'))
    await before.expectRefusal(0x8e)
    await newer.expectPacket('PUBLISH', { payload: 'one', dup: true })
    await until(() => (broker.client('mobile')?.connection ?? 0) > 0)
  }
  await publisher.publish('q', 'two', { qos: 1 })
  await newer.expectPacket('PUBLISH', { payload: 'two' })
  newer[Symbol.dispose]()

  async function start2(running: Broker): Promise<{ readonly target: Target }> {
    const { port } = await running.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 })
    return { target: { host: '127.0.0.1', port } }
  }
})

test('what was acknowledged at one worker is there for who subscribes at another: retained messages', async () => {
  const { at } = await start()
  using publisher = await at(0, 4)
  using subscriber = await at(1, 4)
  for (let i = 0; i < 50; i++) {
    await publisher.publish(`kept/${i}`, `${i}`, { qos: 1, retain: true })
    await subscriber.subscribe(`kept/${i}`, 0)
    await subscriber.expectPacket('PUBLISH', { payload: `${i}`, retain: true })
  }
})

test('messages larger than a part of the ring arrive whole at all workers', async () => {
  const { at } = await start()
  const size = 5 * 1024 * 1024
  const subscribers = await Promise.all([0, 1, 2].map((worker) => at(worker, 4)))
  for (const subscriber of subscribers) await subscriber.subscribe('big', 1)
  using publisher = await at(1, 4)
  publisher.send(wire.publish(4, 'big', 'x'.repeat(size), { qos: 1, id: 1 }))
  await publisher.expectPacket('PUBACK', { id: 1 }, BIG_DEADLINE_MS)
  for (const subscriber of subscribers) {
    const { payload } = await subscriber.expectPacket('PUBLISH', { topic: 'big' }, BIG_DEADLINE_MS)
    assert.equal(payload.length, size)
    subscriber[Symbol.dispose]()
  }
})

test('the will of a client is published for subscribers of all workers, also when the broker closes', async () => {
  const { broker, at } = await start()
  const subscribers = await Promise.all([0, 1, 2].map((worker) => at(worker, 4)))
  for (const subscriber of subscribers) await subscriber.subscribe('will', 1)
  const dying = await at(2, 4, { will: { topic: 'will', payload: 'gone', qos: 1 } })
  dying[Symbol.dispose]()
  for (const subscriber of subscribers) await subscriber.expectPacket('PUBLISH', { payload: 'gone' })
  await broker.close()
  for (const subscriber of subscribers) await subscriber.expectClosed()
})

test('members of a shared group at several workers get each message once', async () => {
  const { at } = await start()
  const members = await Promise.all([0, 1, 2].map((worker) => at(worker, 5)))
  for (const member of members) await member.subscribe('$share/g/jobs', 1)
  using publisher = await at(0, 5)
  for (let i = 0; i < 9; i++) await publisher.publish('jobs', `${i}`, { qos: 1 })
  const got = await Promise.all(members.map((member) => received(member, 3)))
  assert.deepEqual(got.flat().sort(), ['0', '1', '2', '3', '4', '5', '6', '7', '8'])
  for (const member of members) member[Symbol.dispose]()
})

test('$SYS says the same to clients of all workers, and counts those of all', async () => {
  const { at } = await start({ sys: { intervalSeconds: 1 } })
  const clients = await Promise.all([0, 1, 2].map((worker) => at(worker, 4)))
  for (const client of clients) {
    await client.subscribe('$SYS/broker/clients/connected', 0)
    for (;;) {
      const packet = await client.expectPacket('PUBLISH', { topic: '$SYS/broker/clients/connected' })
      if (Number(Buffer.from(packet.payload ?? []).toString()) === clients.length) break
    }
  }
  for (const client of clients) client[Symbol.dispose]()
})

test('limits.connectionsMax counts the connections of all workers', async () => {
  const { target } = await start({ limits: { connectionsMax: 4 } })
  const clients = await Promise.all([1, 2, 3, 4].map(() => connect(target, 4)))
  await assert.rejects(connect(target, 4))
  for (const client of clients) client[Symbol.dispose]()
})

test('connections of one address are counted at all workers, and make room when they end', async () => {
  const { target } = await start({ limits: { connectionsPerAddressMax: 4 } })
  const open = await Promise.all([1, 2, 3, 4].map(() => connect(target, 5)))
  for (let i = 0; i < 12; i++) await assert.rejects(connect(target, 5))
  for (const client of open.splice(0, 2)) await client.disconnect()
  for (let i = 0; i < 2; i++) open.push(await eventually(() => connect(target, 5)))
  await assert.rejects(connect(target, 5))
  for (const client of open) client[Symbol.dispose]()
})

test('connections of one user are counted at all workers; who takes over its own session is no further one', async () => {
  const { target } = await start({
    access: { allowAnonymous: true, users: new Map([['sensor', await makePasswordRecord('secret')]]) },
    limits: { connectionsPerUserMax: 3 },
  })
  const login = { username: 'sensor', password: 'secret' }
  const open = await Promise.all([0, 1, 2].map((i) => connect(target, 5, { ...login, clientId: `u${i}` })))
  for (let i = 0; i < 9; i++) await assert.rejects(connect(target, 5, { ...login, clientId: `more${i}` }))
  for (let i = 0; i < 9; i++) {
    const [before] = open
    open[0] = await connect(target, 5, { ...login, clientId: 'u0' })
    await before?.expectRefusal(0x8e)
  }
  await open.pop()?.disconnect()
  open.push(await eventually(() => connect(target, 5, { ...login, clientId: 'room' })))
  await assert.rejects(connect(target, 5, { ...login, clientId: 'again' }))
  for (const client of open) client[Symbol.dispose]()
})

/** Tries until it is so: another thread counts an end a moment later than a client hears of it. */
async function eventually<T>(attempt: () => Promise<T>): Promise<T> {
  const end = performance.now() + deadlineMs
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      if (performance.now() > end) throw error
    }
  }
}

test('a ban is in force at all workers, and is lifted at all', async () => {
  const { broker, at, target } = await start()
  for (let worker = 0; worker < WORKERS; worker++) (await at(worker, 4))[Symbol.dispose]()
  broker.ban({ kind: 'clientId', value: 'bad' })
  // It reaches the others a moment later.
  await broker.inspection.refresh()
  for (let i = 0; i < 12; i++) await assert.rejects(connect(target, 5, { clientId: 'bad' }))
  assert.equal(broker.liftBan({ kind: 'clientId', value: 'bad' }), true)
  await broker.inspection.refresh()
  for (let i = 0; i < 12; i++) (await connect(target, 5, { clientId: 'bad' }))[Symbol.dispose]()
})

test('what runs code of the program at every message is refused with several workers', async () => {
  const refused: readonly (readonly [BrokerOptions, string])[] = [
    [{ hooks: [{}] }, 'hooks'],
    [{ authenticator: () => true }, 'authenticator'],
    [{ topicStore: 'builtIn', sequencer: 'builtIn' }, 'topicStore, sequencer'],
    [{ commandLog() {} }, 'commandLog'],
  ]
  for (const [options, what] of refused) {
    await assert.rejects(createBroker({ ...options, workers: 2 }), {
      code: 'CMQ_WORKERS',
      message: `Cannot serve ${what} with 2 workers; use one worker`,
    })
  }
  await assert.rejects(createBroker({ workers: 0 }), /workers must be "auto" or a whole number from 1 to 31, not 0/u)
  const { broker } = await start()
  assert.throws(() => broker.addHooks({}), { code: 'CMQ_WORKERS' })
})

test('an address that another program shares is taken all the same', async () => {
  const other = createServer().listen({ host: '127.0.0.1', port: 0, reusePort: true })
  await once(other, 'listening')
  const { port } = other.address() as { readonly port: number }
  const { broker } = await start()
  await assert.rejects(broker.listen({ kind: 'tcp', host: '127.0.0.1', port }), { code: 'CMQ_ADDRESS_IN_USE' })
  other.close()
})

test('a worker that fails ends the process, and says which and why', async () => {
  const fault = fileURLToPath(new URL('./worker-fault.testkit.ts', import.meta.url))
  const child = spawn(process.execPath, ['--import', fault, fault], { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.on('data', (chunk: Buffer) => {
    said += chunk.toString()
  })
  const [code] = (await once(child, 'close')) as [number]
  assert.notEqual(code, 0)
  assert.match(said, /worker 1 failed: the test wants it/u)
})
