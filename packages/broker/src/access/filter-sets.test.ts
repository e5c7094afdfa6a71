import assert from 'node:assert/strict'
import { test } from 'node:test'
import { filterMatches } from '@concordmq/protocol'
import fc from 'fast-check'
import { covers, levelsOfFilter, overlaps } from './filter-sets.ts'

const names = ['', 'a', 'b', '$x']
/** Every topic over four level names up to three levels: enough to tell any two filters of at most two levels apart. */
const topics = names.flatMap((one) => [
  one,
  ...names.flatMap((two) => [`${one}/${two}`, ...names.map((three) => `${one}/${two}/${three}`)]),
])
const level = fc.constantFrom('', 'a', '$x', '+')
const filter = fc
  .tuple(fc.array(level, { maxLength: 2 }), fc.boolean())
  .filter(([levels, rest]) => rest || levels.length > 0)
  .map(([levels, rest]) => [...levels, ...(rest ? ['#'] : [])].join('/'))
  .filter((text) => text !== '' && text !== '/#') // the parent level of `/#` would be the empty topic, which does not exist

test('overlaps() and covers() say what comparing all topics says', () => {
  fc.assert(
    fc.property(filter, filter, (one, other) => {
      const both = topics.filter((topic) => topic !== '' && filterMatches(one, topic) && filterMatches(other, topic))
      const inner = topics.filter((topic) => topic !== '' && filterMatches(other, topic))
      const [a, b] = [levelsOfFilter(one), levelsOfFilter(other)]
      assert.equal(overlaps(a, b), both.length > 0, `overlaps ${one} ${other}`)
      assert.equal(covers(a, b), both.length === inner.length, `covers ${one} ${other}`)
    }),
    { numRuns: 20_000 },
  )
})

test('a/+ does not cover a/#, which holds a and a/b/c', () => {
  assert.equal(covers(levelsOfFilter('a/+'), levelsOfFilter('a/#')), false)
  assert.equal(covers(levelsOfFilter('a/#'), levelsOfFilter('a/+')), true)
  assert.equal(covers(levelsOfFilter('#'), levelsOfFilter('$SYS/#')), false)
})
