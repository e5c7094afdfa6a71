import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { filterMatches } from '@concordmq/protocol'
import { connect, open, type Target } from '../../../../testing/testkit/src/raw-client.ts'
import * as wire from '../../../../testing/testkit/src/wire.ts'
import type { Broker } from '../api.ts'
import { createBroker } from '../broker.ts'
import type { BrokerOptions } from '../config/options.ts'
import type { SequencerFactory, SequencerParts } from '../model/sequencer.ts'
import type { TopicStore, TopicSubscriber } from '../model/topic-store.ts'
import { LocalSequencer } from '../ordering/local-sequencer.ts'
import { builtInTopicStore } from '../routing/built-in-topic-store.ts'
import { authenticatorSuite, sequencerSuite, topicStoreSuite } from '../testing.ts'

const brokers: Broker[] = []
after(async () => {
  for (const broker of brokers) await broker.close({ graceMs: 0 })
})

async function start(options: BrokerOptions): Promise<{ readonly broker: Broker; readonly target: Target }> {
  const broker = await createBroker({ access: { allowAnonymous: true }, sys: { intervalSeconds: 0 }, ...options })
  brokers.push(broker)
  const { port } = await broker.listen('tcp://127.0.0.1:0')
  return { broker, target: { host: '127.0.0.1', port } }
}

// ---------------------------------------------------------------- parts as somebody else would write them

/** A list that counts who asks it what (row S4's "counting", row S5's logging provider). */
function countingStore(counts: Record<string, number> = {}): TopicStore {
  const subscribers: TopicSubscriber[] = []
  const topics = new Set<string>()
  const count = (what: string): void => {
    counts[what] = (counts[what] ?? 0) + 1
  }
  const drop = (filter: string, clientId: string): void => {
    const at = subscribers.findIndex((one) => one.filter === filter && one.clientId === clientId)
    if (at >= 0) subscribers.splice(at, 1)
  }
  return {
    subscribe(filter, clientId, subscription) {
      count('subscribe')
      drop(filter, clientId)
      subscribers.push({ ...subscription, filter, clientId })
    },
    unsubscribe(filter, clientId) {
      count('unsubscribe')
      drop(filter, clientId)
    },
    subscribers: (topic) => {
      count('subscribers')
      return subscribers.filter(({ filter }) => filterMatches(filter, topic))
    },
    retain(topic, isRetained) {
      count('retain')
      if (isRetained) topics.add(topic)
      else topics.delete(topic)
    },
    retained: (filter) => {
      count('retained')
      return [...topics].filter((topic) => filterMatches(filter, topic))
    },
    close: () => count('close'),
  }
}

/** Answers a moment later, as one behind a network would. */
const slowSequencer: SequencerFactory = (parts) => {
  const inner = localSequencer(parts)
  return {
    submit: (command, kept, applied) =>
      inner.submit(command, kept && ((outcome) => setImmediate(kept, outcome)), applied),
    get trouble() {
      return inner.trouble
    },
    take: (count) => inner.take(count),
    nowUs: () => inner.nowUs(),
    close: () => inner.close(),
  }
}

const localSequencer: SequencerFactory = ({ machine, effects, journal, position }: SequencerParts) =>
  new LocalSequencer(machine, effects, journal, { position })

describe('the built-in topic store', () => {
  for (const { name, run } of topicStoreSuite(builtInTopicStore)) test(name, run)
})
describe('a topic store of thirty lines', () => {
  for (const { name, run } of topicStoreSuite(() => countingStore())) test(name, run)
})
describe('the built-in sequencer', () => {
  for (const { name, run } of sequencerSuite(localSequencer)) test(name, run)
})
describe('a sequencer that answers later', () => {
  for (const { name, run } of sequencerSuite(slowSequencer)) test(name, run)
})
describe('an authenticator of a few lines', () => {
  const users = new Map([['ada', 'secret']])
  const good = { username: 'ada', password: 'secret' }
  for (const { name, run } of authenticatorSuite(() => ({
    good,
    authenticator: async (_client, { username, password }) =>
      username !== undefined && password !== undefined && users.get(username) === Buffer.from(password).toString(),
  }))) {
    test(name, run)
  }
})
describe('suites notice what is wrong', () => {
  const failing = async (cases: readonly { readonly run: () => void | Promise<void> }[]): Promise<number> => {
    const results = await Promise.allSettled(cases.map(async ({ run }) => run()))
    return results.filter(({ status }) => status === 'rejected').length
  }
  test('in a topic store that matches too much, an authenticator that says yes, a sequencer that drops answers', async () => {
    const store = (): TopicStore => {
      const counting = countingStore()
      return { ...counting, subscribers: () => counting.subscribers('$SYS/x'), retained: () => ['a', 'b'] }
    }
    assert.ok((await failing(topicStoreSuite(store))) >= 4)
    const good = { username: 'ada', password: 'secret' }
    assert.ok((await failing(authenticatorSuite(() => ({ good, authenticator: 'no' as never })))) >= 3)
    assert.ok((await failing(authenticatorSuite(() => ({ good, authenticator: () => true })))) >= 3)
    const backwards: SequencerFactory = (parts) => {
      const inner = localSequencer(parts)
      let now = 2e15
      return {
        submit: (command, kept, applied) => inner.submit(command, kept, applied),
        take() {},
        nowUs: () => now--,
        trouble: false,
        close: () => inner.close(),
      }
    }
    assert.ok((await failing(sequencerSuite(backwards))) >= 2)
  })
})

describe('authenticator', () => {
  test('mockFailure and denyAll refuse with 0x86 and 4, allowAll lets in (row S6)', async () => {
    for (const authenticator of ['mockFailure', 'denyAll']) {
      const { target } = await start({ authenticator })
      for (const [version, code] of [
        [5, 0x86],
        [4, 4],
      ] as const) {
        const client = await open(target, version)
        client.send(wire.connect(version, { username: 'a', password: 'b' }))
        await client.expectConnectRefused(code)
      }
    }
    for (const authenticator of ['mockSuccess', 'allowAll']) {
      const { target } = await start({ authenticator, access: {} })
      await connect(target, 4, { username: 'a', password: 'b' })
    }
  })

  test('may be a function, an object or a registered name, and take time; hooks are asked before it', async () => {
    class Directory {
      readonly names = new Set(['ada'])
      async authenticate(_client: unknown, { username }: { readonly username: string | undefined }): Promise<boolean> {
        await new Promise(setImmediate)
        return this.names.has(username ?? '')
      }
    }
    const directory = new Directory()
    for (const options of [
      { authenticator: directory },
      { authenticator: 'directory', providers: { authenticators: { directory } } },
      { authenticator: (client: unknown, credentials: never) => directory.authenticate(client, credentials) },
    ] as BrokerOptions[]) {
      const hooks = [
        {
          authenticate: (client: { username: string }) =>
            (client.username === 'banned' ? { deny: 0x8a } : 'ignore') as never,
        },
      ]
      const { target } = await start({ ...options, hooks })
      await connect(target, 5, { username: 'ada' })
      for (const [username, code] of [
        ['eve', 0x86],
        ['banned', 0x8a],
      ] as const) {
        const client = await open(target, 5)
        client.send(wire.connect(5, { username }))
        await client.expectConnectRefused(code)
      }
    }
  })

  test('that throws refuses and is counted', async () => {
    const { broker, target } = await start({
      authenticator: () => {
        throw new Error('the directory is down')
      },
    })
    const client = await open(target, 5)
    client.send(wire.connect(5, { username: 'a' }))
    await client.expectConnectRefused(0x86)
    assert.equal(broker.counters.hookFailures, 1)
  })
})

describe('unknown names and wrong things', () => {
  const wrong: [BrokerOptions, RegExp][] = [
    [{ authenticator: 'ldap' }, /authenticator "ldap"/],
    [{ authenticator: 'toString' }, /authenticator "toString"/],
    [{ authenticator: 5 as never }, /authenticator/],
    [{ topicStore: 'counting' }, /topic store "counting"/],
    [{ topicStore: {} as never }, /topic store/],
    [{ sequencer: 'raft', providers: { sequencers: { paxos: localSequencer } } }, /sequencer "raft".*paxos/],
  ]
  for (const [options, message] of wrong) {
    test(`stop the start: ${String(message)} (row S4)`, async () => {
      await assert.rejects(createBroker(options), (error) => {
        assert.ok(error instanceof Error && 'code' in error)
        assert.equal(error.code, 'CMQ_PROVIDER')
        assert.match(error.message, message)
        return true
      })
    })
  }
})

describe('a topic store of the program (row S5)', () => {
  test('sees subscriptions and retained topics come and go, and decides who gets what', async () => {
    const counts: Record<string, number> = {}
    const { broker, target } = await start({
      topicStore: 'counting',
      providers: { topicStores: { counting: () => countingStore(counts) } },
    })
    const client = await connect(target, 5, { clientId: 'c' })
    await client.subscribe('a/+', 1)
    await client.subscribe('a/#')
    await broker.publish({ topic: 'a/b', payload: 'x', qos: 1, retain: true })
    await client.receive({ topic: 'a/b', qos: 1 })
    await client.expectNothing()
    await client.unsubscribe('a/+')
    await broker.publish({ topic: 'a/b', payload: 'y', qos: 1 })
    await client.receive({ payload: 'y', qos: 0 })
    const late = await connect(target, 5)
    await late.subscribe('#')
    await late.receive({ topic: 'a/b', payload: 'x', retain: true })
    await broker.publish({ topic: 'a/b', payload: '', retain: true })
    for (const each of [client, late]) await each.receive({ payload: '' })
    await client.disconnect()
    await late.disconnect()
    const again = await connect(target, 5)
    await again.subscribe('#')
    await again.expectNothing()
    await broker.close({ graceMs: 0 })
    const { subscribe, unsubscribe, retain, close } = counts
    assert.deepEqual({ subscribe, unsubscribe, retain, close }, { subscribe: 4, unsubscribe: 4, retain: 2, close: 1 })
  })

  test('knows after a restart what a data directory brought back', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'concord-topics-'))
    try {
      const options = { topicStore: () => countingStore(), storage: { directory } }
      const { broker } = await start(options)
      await broker.publish({ topic: 'a/b', payload: 'x', qos: 1, retain: true })
      await broker.close()
      const { broker: again, target } = await start(options)
      const client = await connect(target, 5)
      await client.subscribe('a/+')
      await client.receive({ topic: 'a/b', payload: 'x', retain: true })
      await again.close()
    } finally {
      rmSync(directory, { recursive: true })
    }
  })

  test('that throws or returns nonsense costs nobody a message: the built-in one answers', async () => {
    const broken: (() => TopicStore)[] = [
      () =>
        new Proxy({} as TopicStore, {
          get: () => () => {
            throw new Error('down')
          },
        }),
      () => ({ ...countingStore(), subscribers: () => [{ clientId: 5 }] as never, retained: () => [7] as never }),
      () => ({ ...countingStore(), subscribers: () => undefined as never, retained: () => ['other'] }),
    ]
    for (const topicStore of broken) {
      const { broker, target } = await start({ topicStore })
      const client = await connect(target, 5)
      await broker.publish({ topic: 't', payload: 'old', retain: true })
      await client.subscribe('t')
      await client.receive({ payload: 'old', retain: true })
      await broker.publish({ topic: 't', payload: 'new' })
      await client.receive({ payload: 'new' })
      assert.ok(broker.counters.topicStoreFailures >= 2)
    }
  })
})

describe('a sequencer of the program', () => {
  test('that answers later carries a broker: sessions, every QoS, wills and retained messages', async () => {
    const { target } = await start({ sequencer: slowSequencer })
    const client = await connect(target, 5, { properties: [['sessionExpiryInterval', 100]], clientId: 'k' })
    await client.subscribe('#', 2)
    const mortal = await connect(target, 5, { will: { topic: 'will', payload: 'gone', qos: 1 } })
    for (const qos of [0, 1, 2] as const) {
      await mortal.publish('t', `${qos}`, { qos, retain: true })
      await client.receive({ payload: `${qos}`, qos })
    }
    await mortal.drop()
    await client.receive({ topic: 'will' })
  })
})
