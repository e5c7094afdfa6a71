import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MessageQueue } from './message-queue.ts'
import type { Message } from './options.ts'

const message = (topic: string): Message => ({ topic, payload: new Uint8Array(0), qos: 0, retain: false, dup: false })

function queueOf(itemsMax: number, filter?: string) {
  const told: string[] = []
  const queue = new MessageQueue({
    itemsMax,
    filter,
    fullChanged: () => void told.push(queue.full ? 'full' : 'room'),
    ended: () => void told.push('ended'),
  })
  return { queue, told }
}

test('MessageQueue hands a message to a loop that waits already', async () => {
  const { queue } = queueOf(1)
  const next = queue.next()
  let taken = 0
  queue.push(message('a'), () => taken++)
  assert.equal((await next).value?.topic, 'a')
  assert.equal(taken, 1)
})

test('MessageQueue is full at its maximum, has room at half, and refuses twice the maximum', async () => {
  const { queue, told } = queueOf(4)
  const pushed = Array.from({ length: 9 }, (_, i) => queue.push(message(String(i)), () => {}))
  assert.deepEqual(pushed, [true, true, true, true, true, true, true, true, false])
  assert.deepEqual(told, ['full'])
  for (let i = 0; i < 5; i++) await queue.next()
  assert.deepEqual(told, ['full'])
  await queue.next()
  assert.deepEqual(told, ['full', 'room'])
})

test('MessageQueue acknowledges what waits when its loop is left', async () => {
  const { queue, told } = queueOf(2)
  let taken = 0
  for (const topic of ['a', 'b']) queue.push(message(topic), () => taken++)
  await queue.return()
  assert.equal(taken, 2)
  assert.deepEqual(told, ['full', 'ended', 'room'])
  assert.equal((await queue.next()).done, true)
})

test('MessageQueue ends after the last message, with the error if there is one', async () => {
  const failure = new Error('lost')
  const { queue } = queueOf(2)
  queue.push(message('a'), () => {})
  queue.close(failure)
  assert.equal((await queue.next()).value?.topic, 'a')
  await assert.rejects(queue.next(), failure)
  const { queue: other } = queueOf(2)
  const waiting = other.next()
  other.close(undefined)
  assert.equal((await waiting).done, true)
})

test('MessageQueue wants the topics of its filter, or all', () => {
  assert.equal(queueOf(1, 'a/+').queue.wants('a/b'), true)
  assert.equal(queueOf(1, 'a/+').queue.wants('b'), false)
  assert.equal(queueOf(1).queue.wants('$SYS/x'), true)
})
