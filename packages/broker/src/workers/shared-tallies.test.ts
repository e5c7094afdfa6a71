import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { randomFrom } from '../../../../testing/testkit/src/random.ts'
import { SharedTallies } from './shared-tallies.ts'

suite('SharedTallies', () => {
  test('counts the same name at all threads, and other names apart', () => {
    const buffer = SharedTallies.share()
    const [a, b] = [new SharedTallies(buffer), new SharedTallies(buffer)]
    assert.deepEqual([a.add('x', 1), b.add('x', 1), a.add('y', 1)], [0, 1, 0])
    assert.deepEqual([a.count('x'), b.count('x'), b.count('y'), b.count('z')], [2, 2, 1, 0])
    assert.deepEqual([b.add('x', -1), a.add('x', -1)], [2, 1])
    assert.deepEqual([a.count('x'), a.count('y')], [0, 1])
  })

  test('goes never below zero', () => {
    const tallies = new SharedTallies(SharedTallies.share())
    tallies.add('x', -1)
    assert.equal(tallies.count('x'), 0)
    assert.equal(tallies.add('x', 1), 0)
  })

  test('is exact for ten thousand names that come and go', () => {
    const buffer = SharedTallies.share()
    const threads = [new SharedTallies(buffer), new SharedTallies(buffer)] as const
    const { below } = randomFrom(7)
    const counts = new Map<string, number>()
    for (let i = 0; i < 30_000; i++) {
      const name = `10.0.${below(100)}.${below(100)}`
      const count = counts.get(name) ?? 0
      const by = count > 0 && below(2) === 0 ? -1 : 1
      assert.equal(threads[below(2)]?.add(name, by), count)
      counts.set(name, count + by)
    }
    for (const [name, count] of counts) assert.equal(threads[0].count(name), count)
  })

  test('counts by itself what finds no room', () => {
    const buffer = SharedTallies.share()
    const tallies = new SharedTallies(buffer)
    // Every word has another name's count.
    new BigInt64Array(buffer, 0, 8192 * 32).fill(1n)
    assert.deepEqual([tallies.add('x', 1), tallies.add('x', 1), tallies.count('x')], [0, 1, 2])
    assert.deepEqual([tallies.add('x', -1), tallies.add('x', -1), tallies.count('x')], [2, 1, 0])
  })
})
