import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { hold } from '../../../../testing/catalogue/src/hold.ts'
import { filterMatches, filterProblem, isWildcard, parseShare } from './topic-filter.ts'

test('filterProblem() takes every filter that the standard allows', () => {
  const filters = [
    '#',
    '+',
    '/',
    'a/#',
    '+/+',
    '/+',
    'a/+/b',
    '+/#',
    'a b',
    '$SYS/#',
    '$share/g/a',
    '$share/g/#',
    '$share/g//',
  ]
  for (const filter of [...filters, '$sharex', '$shared/a', 'a/$share', 'x'.repeat(65_535)]) {
    assert.equal(filterProblem(filter), undefined, filter.slice(0, 20))
  }
})

test('filterProblem() names the statement that a filter breaks, in both versions', () => {
  const cases: readonly (readonly [filter: string, five: string, three: string])[] = [
    ['', 'MQTT-4.7.3-1', 'MQTT3-4.7.3-1'],
    ['a\0', 'MQTT-4.7.3-2', 'MQTT3-4.7.3-2'],
    ['\ud800', 'MQTT-1.5.4-1', 'MQTT3-1.5.3-1'],
    ['x'.repeat(65_536), 'MQTT-4.7.3-3', 'MQTT3-4.7.3-3'],
    ['#/a', 'MQTT-4.7.1-1', 'MQTT3-4.7.1-2'],
    ['a#', 'MQTT-4.7.1-1', 'MQTT3-4.7.1-2'],
    ['a/#b', 'MQTT-4.7.1-1', 'MQTT3-4.7.1-2'],
    ['##', 'MQTT-4.7.1-1', 'MQTT3-4.7.1-2'],
    ['a+', 'MQTT-4.7.1-2', 'MQTT3-4.7.1-3'],
    ['+a', 'MQTT-4.7.1-2', 'MQTT3-4.7.1-3'],
    ['a/++/b', 'MQTT-4.7.1-2', 'MQTT3-4.7.1-3'],
  ]
  for (const [filter, five, three] of cases) {
    assert.deepEqual([filterProblem(filter)?.statement, filterProblem(filter)?.reasonCode], [five, 0x8f])
    assert.equal(filterProblem(filter, 4)?.statement, three)
    assert.equal(filterProblem(filter, 3)?.statement, three)
  }
})

test('filterProblem() holds shared subscriptions to their syntax, in 5.0 only [MQTT-4.8.2-1] [MQTT-4.8.2-2]', () => {
  const cases: readonly (readonly [filter: string, statement: string])[] = [
    ['$share', 'MQTT-4.8.2-1'],
    ['$share/', 'MQTT-4.8.2-1'],
    ['$share//a', 'MQTT-4.8.2-1'],
    ['$share/+/a', 'MQTT-4.8.2-2'],
    ['$share/#', 'MQTT-4.8.2-2'],
    ['$share/g', 'MQTT-4.8.2-2'],
    ['$share/g/', 'MQTT-4.8.2-2'],
  ]
  for (const [filter, statement] of cases) {
    assert.equal(filterProblem(filter)?.statement, statement, filter)
    assert.equal(filterProblem(filter, 4), undefined, filter)
    assert.equal(parseShare(filter), undefined, filter)
  }
})

test('parseShare() takes a shared subscription apart', () => {
  assert.deepEqual(parseShare('$share/group/a/+/#'), { shareName: 'group', filter: 'a/+/#' })
  assert.deepEqual(parseShare('$share/group//a'), { shareName: 'group', filter: '/a' })
  assert.equal(parseShare('share/group/a'), undefined)
})

test('filterMatches() follows the examples of section 4.7.1 [MQTT-4.7.1-1] [MQTT-4.7.1-2]', () => {
  const yes = [
    ['sport/tennis/player1/#', 'sport/tennis/player1'],
    ['sport/tennis/player1/#', 'sport/tennis/player1/score/wimbledon'],
    ['sport/#', 'sport'],
    ['#', 'sport'],
    ['sport/tennis/+', 'sport/tennis/player1'],
    ['sport/+', 'sport/'],
    ['+/+', '/finance'],
    ['/+', '/finance'],
    ['+', 'finance'],
    ['+/#', 'finance'],
    ['a/+/c', 'a//c'],
    ['/', '/'],
    ['#', '/'],
    ['+/tennis/#', 'sport/tennis'],
  ] as const
  const no = [
    ['sport/tennis/+', 'sport/tennis/player1/ranking'],
    ['sport/+', 'sport'],
    ['+', '/finance'],
    ['a/#', 'ab'],
    ['a/#', 'A'],
    ['a', 'a/'],
    ['a/', 'a'],
    ['/a', 'a'],
    ['a/b', 'a'],
    ['a/b/#', 'a'],
    ['+/b', 'a/c'],
    ['a/+/#', 'a'],
  ] as const
  for (const [filter, topic] of yes) assert.equal(filterMatches(filter, topic), true, `${filter} ${topic}`)
  for (const [filter, topic] of no) assert.equal(filterMatches(filter, topic), false, `${filter} ${topic}`)
})

test('filterMatches() keeps $ names from wildcards at the start [MQTT-4.7.2-1]', () => {
  assert.equal(filterMatches('#', '$SYS/monitor'), false)
  assert.equal(filterMatches('+/monitor', '$SYS/monitor'), false)
  assert.equal(filterMatches('$SYS/#', '$SYS/monitor'), true)
  assert.equal(filterMatches('$SYS/+', '$SYS/monitor'), true)
  assert.equal(filterMatches('a/+', 'a/$x'), true)
})

test('filterMatches() agrees with matching level by level', () => {
  const level = fc.constantFrom('', 'a', 'b', '$s', 'ab')
  const topic = fc.array(level, { minLength: 1, maxLength: 4 }).map((levels) => levels.join('/') || 'a')
  const filter = fc
    .tuple(fc.array(fc.oneof(level, fc.constant('+')), { maxLength: 4 }), fc.boolean())
    .map(([levels, all]) => (all ? [...levels, '#'] : levels).join('/') || '+')
  hold(
    fc.property(filter, topic, (f, t) => assert.equal(filterMatches(f, t), levelByLevel(f, t))),
    5000,
  )
})

test('isWildcard() sees wildcards', () => {
  assert.equal(isWildcard('a/+'), true)
  assert.equal(isWildcard('#'), true)
  assert.equal(isWildcard('a/b'), false)
})

function levelByLevel(filter: string, topic: string): boolean {
  if (topic.startsWith('$') && /^[+#]/.test(filter)) return false
  const want = filter.split('/')
  const have = topic.split('/')
  for (let i = 0; i < want.length; i++) {
    if (want[i] === '#') return true
    if (i >= have.length) return false
    if (want[i] !== '+' && want[i] !== have[i]) return false
  }
  return want.length === have.length
}
