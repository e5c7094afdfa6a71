import assert from 'node:assert/strict'
import { test } from 'node:test'
import { coverageOf, manifests, mismatched, passes, render, unknownCitations } from './coverage.ts'
import type { Manifest } from './statements/statement.ts'
import { both, client, server } from './statements/statement.ts'

const small: Manifest = {
  version: '5.0',
  prefix: 'MQTT-',
  sections: [{ section: '1.0', highest: 5, gaps: [2] }],
  statements: [
    both('MQTT-1.0-1', 'held'),
    server('MQTT-1.0-3', 'explained', 'Nobody can see it.'),
    client('MQTT-1.0-4', 'of clients'),
    server('MQTT-1.0-5', 'open'),
  ],
}
const title = (text: string, file = 'packages/broker/src/a.test.ts') => ({ file, title: text })
const ids = (statements: readonly { readonly id: string }[]) => statements.map(({ id }) => id)

test('the manifests state every number that the standards have, once', () => {
  assert.deepEqual(manifests.flatMap(mismatched), [])
  assert.deepEqual(
    manifests.map(({ statements }) => statements.length),
    [141, 251],
  )
})

test('a statement is tested, explained or open', () => {
  const coverage = coverageOf(small, [title('does it [MQTT-1.0-1]')])
  assert.deepEqual(ids(coverage.tested), ['MQTT-1.0-1'])
  assert.deepEqual(ids(coverage.reasoned), ['MQTT-1.0-3'])
  assert.deepEqual(ids(coverage.open), ['MQTT-1.0-5'])
  assert.equal(coverage.clientTotal, 1)
  assert.equal(passes([coverage], []), false)
  assert.match(render([coverage], []), /3 statements bind a server; 1 with tests, 1 with a reason, 1 without/)
  assert.match(render([coverage], []), /without {2}MQTT-1\.0-5 {2}open/)
})

test('coverage passes when nothing is open, and says when a reason is no longer needed', () => {
  const coverage = coverageOf(small, [title('[MQTT-1.0-1] [MQTT-1.0-3] [MQTT-1.0-5]')])
  assert.equal(passes([coverage], []), true)
  assert.deepEqual(ids(coverage.needlessReasons), ['MQTT-1.0-3'])
})

test('a test of the client package holds nothing for a server', () => {
  const coverage = coverageOf(small, [title('[MQTT-1.0-1] [MQTT-1.0-4]', 'packages/client/src/a.test.ts')])
  assert.deepEqual(ids(coverage.tested), [])
  assert.equal(coverage.clientTested, 1)
})

test('a citation of a statement that does not exist fails', () => {
  const unknown = unknownCitations([small], [title('[MQTT-1.0-2] [MQTT-1.0-1]')])
  assert.deepEqual(ids(unknown), ['MQTT-1.0-2'])
  assert.equal(passes([], unknown), false)
  assert.match(render([], unknown), /unknown MQTT-1\.0-2 in packages/)
})

test('a number that is forgotten, invented or stated twice is noticed', () => {
  const statements = [both('MQTT-1.0-1', ''), both('MQTT-1.0-1', ''), both('MQTT-1.0-2', ''), both('MQTT-1.0-3', '')]
  assert.deepEqual(mismatched({ ...small, statements }), [
    'MQTT-1.0-4 is listed and not stated',
    'MQTT-1.0-5 is listed and not stated',
    'MQTT-1.0-2 is stated and not listed',
    'MQTT-1.0-1 is stated more than once',
  ])
})
