import assert from 'node:assert/strict'
import { test } from 'node:test'
import { filterMatches } from '@concordmq/protocol'
import fc from 'fast-check'
import { filters, topics } from '../../testing/topics.ts'
import { FilterTree } from './filter-tree.ts'

function found(tree: FilterTree<number>, topic: string): string[] {
  const hits: string[] = []
  tree.match(topic, (value, key, filter) => hits.push(`${filter} ${key} ${value}`))
  return hits.sort()
}

test('FilterTree finds exactly the filters that match by section 4.7, whatever was put and taken away', () => {
  const step = fc.record({
    put: fc.boolean(),
    filter: filters,
    key: fc.constantFrom('k1', 'k2', 'k3'),
    value: fc.nat(9),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), fc.array(topics, { minLength: 1, maxLength: 6 }), (steps, names) => {
      const tree = new FilterTree<number>()
      const model = new Map<string, { filter: string; key: string; value: number }>()
      const changes: string[] = []
      tree.onChange = (filter) => changes.push(filter)
      for (const { put, filter, key, value } of steps) {
        const id = `${filter} ${key}`
        const before = model.get(id)?.value
        const told = changes.length
        if (put) {
          assert.equal(tree.set(filter, key, value), before)
          model.set(id, { filter, key, value })
          assert.equal(changes.length, told + 1)
        } else {
          assert.equal(tree.delete(filter, key), before)
          model.delete(id)
          assert.equal(changes.length, told + (before === undefined ? 0 : 1))
        }
        assert.equal(tree.size, model.size)
        assert.equal(tree.get(filter, key), model.get(id)?.value)
        assert.equal(
          tree.has(filter),
          [...model.values()].some((entry) => entry.filter === filter),
        )
      }
      for (const name of names) {
        const expected = [...model.values()]
          .filter((entry) => filterMatches(entry.filter, name))
          .map((entry) => `${entry.filter} ${entry.key} ${entry.value}`)
          .sort()
        assert.deepEqual(found(tree, name), expected)
      }
      const all: string[] = []
      tree.forEach((_, key, filter) => {
        all.push(`${filter} ${key}`)
      })
      assert.deepEqual(all.sort(), [...model.keys()].sort())
    }),
    { numRuns: 400 },
  )
})

test('FilterTree keeps wildcards at the first level away from $ topics [MQTT-4.7.2-1]', () => {
  const tree = new FilterTree<number>()
  for (const filter of ['#', '+/a', '$SYS/#', '$SYS/+', '$SYS']) tree.set(filter, 'k', 1)
  assert.deepEqual(found(tree, '$SYS/a'), ['$SYS/# k 1', '$SYS/+ k 1'])
  assert.deepEqual(found(tree, '$SYS'), ['$SYS k 1', '$SYS/# k 1'])
})

test('FilterTree finds nothing where filters were taken away', () => {
  const tree = new FilterTree<number>()
  for (let n = 0; n < 100; n++) tree.set(`base/${n}/+/v`, 'k', n)
  for (let n = 0; n < 100; n++) assert.equal(tree.delete(`base/${n}/+/v`, 'k'), n)
  assert.equal(tree.size, 0)
  assert.deepEqual(found(tree, 'base/1/x/v'), [])
})

test('FilterTree finds the same below a node with many children', () => {
  const wide = fc.tuple(fc.nat(199), fc.constantFrom('', '/a', '/b', '/a/c', '/+', '/#', '/+/c'))
  const all: [number, string][] = []
  for (let n = 0; n < 200; n++) all.push([n, '/a'])
  fc.assert(
    fc.property(fc.array(wide, { maxLength: 400, size: 'max' }), (steps) => {
      const tree = new FilterTree<number>()
      const model = new Set<string>()
      for (const [n, tail] of [...all, ...steps]) {
        const filter = `base/${n}${tail}`
        if (model.delete(filter)) assert.equal(tree.delete(filter, 'k'), 1)
        else {
          assert.equal(tree.set(filter, 'k', 1), undefined)
          model.add(filter)
        }
      }
      for (let n = 0; n < 200; n++) {
        for (const tail of ['', '/a', '/b', '/a/c']) {
          const topic = `base/${n}${tail}`
          const expected = [...model].filter((filter) => filterMatches(filter, topic)).map((filter) => `${filter} k 1`)
          assert.deepEqual(found(tree, topic), expected.sort())
        }
      }
    }),
    { numRuns: 15 },
  )
})
