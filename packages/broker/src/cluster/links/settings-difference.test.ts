import assert from 'node:assert/strict'
import { test } from 'node:test'
import { settingsDifference } from './settings-difference.ts'

const text = (settings: Record<string, unknown>): string => JSON.stringify(Object.entries(settings))

test('settingsDifference() names what differs, with both values', () => {
  assert.equal(settingsDifference(text({ a: 1, b: 'x' }), text({ a: 2, b: 'x' })), 'a is 1, here 2')
  assert.equal(settingsDifference(text({ a: 1 }), text({ b: ['c'] })), 'a is 1, here not set; b is not set, here ["c"]')
  const [many, few] = [{ a: 1, b: 1, c: 1, d: 1, e: 1, f: 1 }, {}].map(text) as [string, string]
  assert.match(settingsDifference(many, few) ?? '', /^a is 1, here not set; .*; d is 1, here not set; and 2 more$/)
})

test('settingsDifference() says nothing of equal settings, and of what is no text of settings', () => {
  assert.equal(settingsDifference(text({ a: 1 }), text({ a: 1 })), undefined)
  for (const junk of ['', '{', '7', '[7]', '[[7, 8]]', '{"a":1}']) {
    assert.equal(settingsDifference(junk, text({ a: 1 })), undefined)
  }
})

test('settingsDifference() lets nothing into a line of the log that does not belong there', () => {
  const said = settingsDifference(text({ ['a\nb']: 'x'.repeat(1000) }), text({})) ?? ''
  assert.match(said, /^a\?b is "x{39}\.\.\., here not set$/)
})
