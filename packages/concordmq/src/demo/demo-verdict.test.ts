import assert from 'node:assert/strict'
import { test } from 'node:test'
import { problemsOf } from './demo-verdict.ts'

const observed = (node: number, ...messages: string[]) => ({ node, messages, hash: messages.join() })
const promised = (qos: 1 | 2, ...acknowledged: number[]) => ({ name: 'p', qos, acknowledged, refused: [] })

test('problemsOf() finds nothing where all lists are equal and complete', () => {
  assert.deepEqual(problemsOf([observed(0, 'p:0', 'p:1'), observed(1, 'p:0', 'p:1')], [promised(2, 0, 1)]), [])
})

test('problemsOf() says where two lists begin to differ', () => {
  const problems = problemsOf([observed(0, 'p:0', 'p:1'), observed(1, 'p:0', 'p:2')], [])
  assert.match(problems.join(), /^Nodes 0 and 1 differ from message 1 on: p:1, p:2$/)
  assert.match(problemsOf([observed(0, 'p:0'), observed(1)], []).join(), /message 0 on/)
})

test('problemsOf() finds what was acknowledged and is missing, and what was refused', () => {
  const publisher = { ...promised(1, 0, 1), refused: ['p:2: quota exceeded'] }
  assert.deepEqual(problemsOf([observed(0, 'p:0')], [publisher]), [
    '1 acknowledged messages were lost: p:1',
    '1 messages were refused: p:2: quota exceeded',
  ])
})

test('problemsOf() allows QoS 1 to come twice, and QoS 2 not', () => {
  const lists = [observed(0, 'p:0', 'p:0')]
  assert.deepEqual(problemsOf(lists, [promised(1, 0)]), [])
  assert.deepEqual(problemsOf(lists, [promised(2, 0)]), ['1 messages of QoS 2 came twice: p:0'])
})
