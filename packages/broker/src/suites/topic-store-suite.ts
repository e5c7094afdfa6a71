/** What a topic store must do, whoever wrote it. */
import assert from 'node:assert/strict'
import { filterMatches } from '@concordmq/protocol'
import type { TopicStore, TopicSubscription } from '../model/topic-store.ts'
import type { Case } from './cases.ts'

const plain: TopicSubscription = { qos: 1, noLocal: false, retainAsPublished: false, subscriptionId: 0 }

/** `make` gives an empty store each time. */
export function topicStoreSuite(make: () => TopicStore): readonly Case[] {
  const found = (store: TopicStore, topic: string): string[] =>
    [...store.subscribers(topic)].map(({ clientId, filter }) => `${clientId} ${filter}`).sort()
  return [
    {
      name: 'topic store finds exact filters, + and # [MQTT-4.7.1-2] [MQTT-4.7.1-3]',
      run() {
        const store = make()
        for (const filter of ['a/b', 'a/+', 'a/#', '+/b', '#', '+', 'a/b/c', '/a', 'a/'])
          store.subscribe(filter, 'c', plain)
        assert.deepEqual(found(store, 'a/b'), ['c #', 'c +/b', 'c a/#', 'c a/+', 'c a/b'])
        assert.deepEqual(found(store, 'a'), ['c #', 'c +', 'c a/#'])
        assert.deepEqual(found(store, 'a/'), ['c #', 'c a/', 'c a/#', 'c a/+'])
        assert.deepEqual(found(store, '/a'), ['c #', 'c /a'])
      },
    },
    {
      name: 'topic store keeps wildcards at the start away from topics that begin with $ [MQTT-4.7.2-1]',
      run() {
        const store = make()
        for (const filter of ['#', '+/x', '$SYS/#', '$SYS/+']) store.subscribe(filter, 'c', plain)
        assert.deepEqual(found(store, '$SYS/x'), ['c $SYS/#', 'c $SYS/+'])
      },
    },
    {
      name: 'topic store replaces the options of a subscription, and returns them as they were given',
      run() {
        const store = make()
        store.subscribe('t', 'c', plain)
        const options = { qos: 2, noLocal: true, retainAsPublished: true, subscriptionId: 7 } as const
        store.subscribe('t', 'c', options)
        assert.deepEqual(
          [...store.subscribers('t')].map((one) => ({ ...one })),
          [{ clientId: 'c', filter: 't', ...options }],
        )
      },
    },
    {
      name: 'topic store forgets what was unsubscribed, and nothing else',
      run() {
        const store = make()
        for (const clientId of ['a', 'b']) for (const filter of ['t', 't/#']) store.subscribe(filter, clientId, plain)
        store.unsubscribe('t', 'a')
        store.unsubscribe('t', 'nobody')
        store.unsubscribe('never', 'a')
        assert.deepEqual(found(store, 't'), ['a t/#', 'b t', 'b t/#'])
      },
    },
    {
      name: 'topic store returns plain values: what was returned does not change with the store',
      run() {
        const store = make()
        store.subscribe('t', 'a', plain)
        const before = [...store.subscribers('t')].map((one) => ({ ...one }))
        const kept = [...store.subscribers('t')]
        store.subscribe('t', 'a', { ...plain, qos: 0 })
        store.subscribe('t', 'b', plain)
        store.unsubscribe('t', 'a')
        assert.deepEqual(
          kept.map((one) => ({ ...one })),
          before,
        )
      },
    },
    {
      name: 'topic store finds topics with a retained message by filter, once each',
      run() {
        const store = make()
        for (const topic of ['a', 'a/b', 'a/b/c', 'b', '$SYS/x', 'a/b']) store.retain(topic, true)
        store.retain('a/b/c', false)
        store.retain('never', false)
        const topics = (filter: string): string[] => [...store.retained(filter)].sort()
        assert.deepEqual(topics('#'), ['a', 'a/b', 'b'])
        assert.deepEqual(topics('a/#'), ['a', 'a/b'])
        assert.deepEqual(topics('+/b'), ['a/b'])
        assert.deepEqual(topics('$SYS/#'), ['$SYS/x'])
        assert.deepEqual(topics('never'), [])
      },
    },
    {
      name: 'topic store agrees with the matching rules over a few thousand pairs',
      run() {
        const store = make()
        const levels = ['a', 'b', '', '+']
        const filters: string[] = ['#']
        for (const one of levels) for (const two of levels) filters.push(`${one}/${two}`, `${one}/${two}/#`, `x${one}`)
        const own = [...new Set(filters)].filter((filter) => !/x\+/u.test(filter))
        for (const filter of own) store.subscribe(filter, 'c', plain)
        for (const one of ['a', 'b', '', 'c']) {
          for (const two of ['a', 'b', '', 'c', 'a/b']) {
            const topic = `${one}/${two}`
            const wanted = own.filter((filter) => filterMatches(filter, topic)).map((filter) => `c ${filter}`)
            assert.deepEqual(found(store, topic), wanted.sort(), topic)
          }
        }
      },
    },
  ]
}
