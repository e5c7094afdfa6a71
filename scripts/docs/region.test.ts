import assert from 'node:assert/strict'
import { test } from 'node:test'
import { withRegion } from './region.ts'

test('withRegion() replaces what is between the marks and nothing else', () => {
  const text = 'a\n<!-- generated: x -->\nold\n<!-- end: x -->\nb\n'
  assert.equal(withRegion(text, 'x', 'new'), 'a\n<!-- generated: x -->\nnew\n<!-- end: x -->\nb\n')
  assert.equal(withRegion(withRegion(text, 'x', 'new'), 'x', 'new'), withRegion(text, 'x', 'new'))
})

test('withRegion() refuses a text without the marks', () => {
  assert.throws(() => withRegion('a', 'x', 'new'), /There is no region "x"/)
  assert.throws(() => withRegion('<!-- end: x --><!-- generated: x -->', 'x', 'new'), /There is no region "x"/)
})
