import assert from 'node:assert/strict'
import { test } from 'node:test'
import { filterMatches } from '@concordmq/protocol'
import fc from 'fast-check'
import { filters, topics } from '../../testing/topics.ts'
import { TopicEntry, TopicTree } from './topic-tree.ts'

class Numbered extends TopicEntry {
  readonly value: number

  constructor(topic: string, value: number) {
    super(topic)
    this.value = value
  }
}

test('TopicTree finds exactly the topics that the filter matches by section 4.7', () => {
  const step = fc.record({ put: fc.boolean(), topic: topics, value: fc.nat(9) })
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 40 }),
      fc.array(filters, { minLength: 1, maxLength: 6 }),
      (steps, asked) => {
        const tree = new TopicTree<Numbered>()
        const model = new Map<string, number>()
        for (const { put, topic, value } of steps) {
          const before = model.get(topic)
          if (put) {
            assert.equal(tree.set(new Numbered(topic, value))?.value, before)
            model.set(topic, value)
          } else {
            assert.equal(tree.delete(topic)?.value, before)
            model.delete(topic)
          }
          assert.equal(tree.size, model.size)
          assert.equal(tree.get(topic)?.value, model.get(topic))
        }
        for (const filter of asked) {
          const hits: string[] = []
          tree.match(filter, ({ topic, value }) => hits.push(`${topic} ${value}`))
          const expected = [...model].filter(([topic]) => filterMatches(filter, topic)).map(([t, v]) => `${t} ${v}`)
          assert.deepEqual(hits.sort(), expected.sort())
        }
      },
    ),
    { numRuns: 400 },
  )
})

test('TopicTree keeps values apart whose topics begin alike', () => {
  const tree = new TopicTree<Numbered>()
  for (const [value, topic] of ['a', 'a/', '/a'].entries()) tree.set(new Numbered(topic, value))
  const values = () => ['a', 'a/', '/a', '/'].map((topic) => tree.get(topic)?.value)
  assert.deepEqual(values(), [0, 1, 2, undefined])
  assert.equal(tree.delete('a')?.value, 0)
  assert.deepEqual(values(), [undefined, 1, 2, undefined])
})

test('a topic of very many in one level is found, shown and gone like one of few', () => {
  const tree = new TopicTree<Numbered>()
  for (let n = 0; n < 1_000; n++) tree.set(new Numbered(`a/${n}`, n))
  tree.set(new Numbered('a/7/b', 7_000))
  const found = new Set<number>()
  tree.match('+/7/#', ({ value }) => found.add(value))
  assert.deepEqual(found, new Set([7, 7_000]))
  tree.delete('a/7/b')
  assert.deepEqual([tree.get('a/7')?.value, tree.get('a/7/b'), tree.size], [7, undefined, 1_000])
  for (let n = 0; n < 1_000; n++) assert.equal(tree.delete(`a/${n}`)?.value, n)
  assert.equal(tree.size, 0)
})
