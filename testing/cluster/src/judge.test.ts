import assert from 'node:assert/strict'
import { test } from 'node:test'
import { judge, orderHash } from './judge.ts'

const sent = { name: 'p', sent: [1, 2, 0], acknowledged: new Set([0, 1]) }
const seen = (name: string, ...numbers: number[]) => ({
  name,
  messages: numbers.map((number) => `order/p p:${number}`),
})

test('judge() passes one order with everything in it', () => {
  assert.deepEqual(judge([sent], [seen('a', 0, 1, 2), seen('b', 0, 1, 2)], { undisturbed: true }), [])
})

test('judge() allows loss of what was not acknowledged and QoS 1 twice only where nodes were disturbed', () => {
  const lists = [seen('a', 0, 1, 0), seen('b', 0, 1, 0)]
  assert.deepEqual(judge([sent], lists, { undisturbed: false }), [])
  assert.equal(judge([sent], lists, { undisturbed: true }).length, 2)
})

test('judge() finds another order, and says where it begins', () => {
  const [violation = ''] = judge([sent], [seen('a', 0, 1, 2), seen('b', 0, 2, 1)], { undisturbed: true })
  assert.match(violation, /differs at 1/)
})

test('judge() finds a missing end', () => {
  const [violation = ''] = judge([sent], [seen('a', 0, 1, 2), seen('b', 0, 1)], { undisturbed: false })
  assert.match(violation, /differs at 2/)
})

test('judge() finds what was acknowledged and lost, QoS 2 that came twice, and a publisher out of order', () => {
  for (const [numbers, expected] of [
    [[1, 2], /p:0 was lost/],
    [[0, 1, 1], /p:1 came 2 times at QoS 2/],
    [[1, 0], /p:0 came after 1/],
  ] as const) {
    assert.match(judge([sent], [seen('a', ...numbers)], { undisturbed: false }).join(), expected)
  }
})

test('judge() lets a QoS 2 message that is sent again come behind others, but not behind a later one of its kind', () => {
  const mixed = { name: 'p', sent: [2, 1, 2], acknowledged: new Set([0, 1, 2]) }
  assert.deepEqual(judge([mixed], [seen('a', 1, 0, 2)], { undisturbed: false }), [])
  for (const [numbers, undisturbed] of [
    [[1, 0, 2], true],
    [[1, 2, 0], false],
    [[0, 2, 1], false],
  ] as const) {
    assert.match(judge([mixed], [seen('a', ...numbers)], { undisturbed }).join(), /came after/)
  }
})

test('orderHash() differs where two messages change places', () => {
  assert.notEqual(orderHash(['a', 'b']), orderHash(['b', 'a']))
})
