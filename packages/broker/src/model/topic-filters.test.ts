import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isAmong, isTopicFilters, topicFilterProblem } from './topic-filters.ts'

test('topicFilterProblem() takes filters of ordinary topics, and says what is wrong with others', () => {
  for (const filter of ['a', 'a/+/b', '#', '+', '/']) assert.equal(topicFilterProblem(filter), undefined, filter)
  for (const filter of ['$SYS/#', '$share/g/a', '$direct/x'])
    assert.match(topicFilterProblem(filter) ?? '', /begins with \$/)
  for (const filter of ['', 'a#', 'a/#/b', 'a+', 'a\0'])
    assert.match(topicFilterProblem(filter) ?? '', /is no topic filter/)
})

test('isTopicFilters() takes lists of them, up to a thousand', () => {
  assert.ok(isTopicFilters([]))
  assert.ok(isTopicFilters(Array.from({ length: 1000 }, (_, i) => `t/${i}`)))
  for (const value of [Array.from({ length: 1001 }, (_, i) => `t/${i}`), 'a', [1], ['$SYS/#'], undefined])
    assert.equal(isTopicFilters(value), false)
})

test('isAmong() finds no topic that begins with $ by a wildcard', () => {
  assert.ok(isAmong(['x', 'a/#'], 'a/b'))
  assert.equal(isAmong(['x', 'a/#'], 'b'), false)
  assert.equal(isAmong(['#', '+/b'], '$direct/b'), false)
})
