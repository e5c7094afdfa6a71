import assert from 'node:assert/strict'
import { test } from 'node:test'
import { topicNameProblem } from './topic-name.ts'

test('topicNameProblem() takes every name that the standard allows', () => {
  for (const name of [
    'a',
    '/',
    'a/b',
    '/a/',
    'a b',
    '$SYS/x',
    'Ü/日本/😀',
    '\ufeff',
    'x'.repeat(65_535),
    '日'.repeat(21_845),
  ]) {
    assert.equal(topicNameProblem(name), undefined, name.slice(0, 20))
  }
})

test('topicNameProblem() says what is wrong [MQTT-4.7.3-1] [MQTT-4.7.0-1] [MQTT-4.7.3-2] [MQTT-4.7.3-3]', () => {
  assert.equal(topicNameProblem(''), 'is empty')
  assert.equal(topicNameProblem('a/+'), 'contains a wildcard')
  assert.equal(topicNameProblem('#'), 'contains a wildcard')
  assert.equal(topicNameProblem('a\0'), 'contains U+0000')
  assert.equal(topicNameProblem('a\ud800'), 'contains a lone surrogate')
  assert.equal(topicNameProblem('x'.repeat(65_536)), 'is longer than 65,535 bytes')
  assert.equal(topicNameProblem('日'.repeat(21_846)), 'is longer than 65,535 bytes')
})
