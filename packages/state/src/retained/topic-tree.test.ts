import assert from 'node:assert/strict'
import { test } from 'node:test'
import { filterMatches } from '@concordmq/protocol'
import fc from 'fast-check'
import { filters, topics } from '../../testing/topics.ts'
import { TopicTree } from './topic-tree.ts'

test('TopicTree finds exactly the topics that the filter matches by section 4.7', () => {
  const step = fc.record({ put: fc.boolean(), topic: topics, value: fc.nat(9) })
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 40 }),
      fc.array(filters, { minLength: 1, maxLength: 6 }),
      (steps, asked) => {
        const tree = new TopicTree<number>()
        const model = new Map<string, number>()
        for (const { put, topic, value } of steps) {
          const before = model.get(topic)
          if (put) {
            assert.equal(tree.set(topic, value), before)
            model.set(topic, value)
          } else {
            assert.equal(tree.delete(topic), before)
            model.delete(topic)
          }
          assert.equal(tree.size, model.size)
          assert.equal(tree.get(topic), model.get(topic))
        }
        for (const filter of asked) {
          const hits: string[] = []
          tree.match(filter, (value, topic) => hits.push(`${topic} ${value}`))
          const expected = [...model].filter(([topic]) => filterMatches(filter, topic)).map(([t, v]) => `${t} ${v}`)
          assert.deepEqual(hits.sort(), expected.sort())
        }
      },
    ),
    { numRuns: 400 },
  )
})

test('TopicTree keeps values apart whose topics begin alike', () => {
  const tree = new TopicTree<string>()
  tree.set('a', 'one')
  tree.set('a/', 'two')
  tree.set('/a', 'three')
  assert.deepEqual([tree.get('a'), tree.get('a/'), tree.get('/a'), tree.get('/')], ['one', 'two', 'three', undefined])
  assert.equal(tree.delete('a'), 'one')
  assert.deepEqual([tree.get('a'), tree.get('a/')], [undefined, 'two'])
})
