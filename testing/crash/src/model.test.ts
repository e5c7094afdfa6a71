import assert from 'node:assert/strict'
import { beforeEach, describe, test } from 'node:test'
import { CrashModel } from './model.ts'

let model: CrashModel

/** One subscriber, `s`, surely subscribed to `t`. */
beforeEach(() => {
  model = new CrashModel()
  model.connecting('s')
  model.connected('s', { present: false })
  for (const topic of ['t', 'wills']) {
    model.subscribing('s', topic)
    model.subscribed('s', topic)
  }
})

const send = (number: number, qos = 1): void => model.sent('p', number, { topic: 't', qos })
const publish = (number: number, qos = 1): void => {
  send(number, qos)
  model.acknowledged('p', number)
}
const arrive = (number: number, id: number, { dup = false, qos = 1 } = {}): void =>
  model.arrived('s', { publisher: 'p', number, topic: 't', id, dup, qos })
const reconnect = (): boolean => model.connected('s', { present: true })
const finds = (pattern: RegExp): void => {
  assert.equal(model.finish().length, 1, model.violations.join('\n'))
  assert.match(model.violations[0] as string, pattern)
}

describe('crash model: what is right', () => {
  test('messages that come in order, and again with DUP after a kill, break nothing', () => {
    for (const number of [1, 2, 3]) publish(number)
    arrive(1, 1)
    model.settled('s', 1)
    arrive(2, 2)
    reconnect()
    // The settlement of 1 was not on disk.
    arrive(1, 1, { dup: true })
    arrive(2, 2, { dup: true })
    arrive(3, 3)
    assert.deepEqual(model.finish(), [])
    assert.ok(model.complete)
  })

  test('a QoS 1 message that its publisher had to send again may come twice, in the second order', () => {
    for (const number of [1, 2]) send(number)
    for (const number of [1, 2]) publish(number)
    for (const [number, id] of [
      [1, 1],
      [2, 2],
      [1, 3],
      [2, 4],
    ] as const)
      arrive(number, id)
    assert.deepEqual(model.finish(), [])
  })

  test('what was never acknowledged may be lost', () => {
    send(1)
    assert.deepEqual(model.finish(), [])
  })

  test('a message that nobody was surely subscribed to may come or not', () => {
    model.unsubscribing('s', 't')
    publish(1)
    model.unsubscribed('s', 't')
    assert.deepEqual(model.finish(), [])
  })

  test('a will that came before anybody was surely subscribed may be lost', () => {
    model = new CrashModel()
    model.subscribing('s', 'wills')
    model.willOffered(7)
    model.willArmed(7)
    model.willFate(7, 'must')
    assert.deepEqual(model.finish(), [])
  })

  test('a will of a lost connection that came once breaks nothing', () => {
    model.willOffered(7)
    model.willArmed(7)
    model.willFate(7, 'must')
    assert.ok(!model.complete)
    model.arrived('s', { publisher: 'will', number: 7, topic: 'w', id: 1, dup: false, qos: 2 })
    assert.deepEqual(model.finish(), [])
  })
})

describe('crash model: what is planted is found', () => {
  test('a lost message', () => {
    publish(1)
    publish(2)
    arrive(2, 1)
    finds(/p:1 .*never came/u)
  })

  test('a double of QoS 2', () => {
    publish(1, 2)
    arrive(1, 1, { qos: 2 })
    model.released('s', 1)
    model.settled('s', 1)
    arrive(1, 2, { qos: 2 })
    assert.match(model.finish().join(), /double of a QoS 2/u)
  })

  test('a QoS 1 message that comes more often than it was sent', () => {
    publish(1)
    arrive(1, 1)
    model.settled('s', 1)
    arrive(1, 2)
    finds(/more often than it was sent/u)
  })

  test('two messages in the wrong order', () => {
    publish(1)
    publish(2)
    arrive(2, 1)
    arrive(1, 2)
    finds(/p:1 .*out of order/u)
  })

  test('a resend with another identifier', () => {
    publish(1)
    arrive(1, 1)
    reconnect()
    arrive(1, 2, { dup: true })
    assert.match(model.finish().join(), /the first time it had 1/u)
  })

  test('a resend without DUP', () => {
    publish(1)
    arrive(1, 1)
    reconnect()
    arrive(1, 1)
    finds(/without DUP/u)
  })

  test('a resend on the same connection', () => {
    publish(1)
    arrive(1, 1)
    arrive(1, 1, { dup: true })
    finds(/twice on one connection/u)
  })

  test('resends in another order than the first', () => {
    publish(1)
    publish(2)
    arrive(1, 1)
    arrive(2, 2)
    reconnect()
    arrive(2, 2, { dup: true })
    arrive(1, 1, { dup: true })
    finds(/again out of order/u)
  })

  test('an identifier that stands for something new while its message is unsettled', () => {
    publish(1, 2)
    publish(2, 2)
    arrive(1, 1, { qos: 2 })
    reconnect()
    arrive(2, 1, { qos: 2 })
    finds(/p:2 .*while p:1 has that identifier/u)
  })

  test('a PUBLISH after its PUBREL', () => {
    publish(1, 2)
    arrive(1, 1, { qos: 2 })
    model.released('s', 1)
    reconnect()
    arrive(1, 1, { dup: true, qos: 2 })
    finds(/after PUBREL/u)
  })

  test('a PUBREL for nothing', () => {
    model.released('s', 9)
    finds(/PUBREL 9 for what never came/u)
  })

  test('a message that was never sent, or came on another topic', () => {
    arrive(1, 1)
    finds(/never sent/u)
  })

  test('a message that was refused and came', () => {
    model = new CrashModel({ mayRefuse: true })
    model.subscribing('s', 't')
    send(1)
    model.refused('p', 1)
    arrive(1, 1)
    finds(/although it was refused/u)
  })

  test('no message that came although it was refused when it was sent again: the first one may have been taken', () => {
    model = new CrashModel({ mayRefuse: true })
    model.subscribing('s', 't')
    send(1)
    send(1)
    model.refused('p', 1)
    arrive(1, 1)
    assert.deepEqual(model.violations, [])
  })

  test('a refusal where the disk is well', () => {
    send(1)
    model.refused('p', 1)
    finds(/p: 1 was refused/u)
  })

  test('a message after UNSUBACK', () => {
    model.unsubscribing('s', 't')
    model.unsubscribed('s', 't')
    publish(1)
    arrive(1, 1)
    finds(/without a subscription/u)
  })

  test('a subscription that was acknowledged and is gone', () => {
    model.unsubscribing('s', 't')
    model.unsubscribed('s', 't')
    model.subscribing('s', 't')
    model.subscribed('s', 't')
    publish(1)
    finds(/never came/u)
  })

  test('a session that is gone', () => {
    model.connected('s', { present: false })
    finds(/session is gone/u)
  })

  test('a will that never came, came twice, or must not come', () => {
    for (const number of [1, 2, 3]) {
      model.willOffered(number)
      model.willArmed(number)
    }
    const will = (number: number, id: number): void =>
      model.arrived('s', { publisher: 'will', number, topic: 'w', id, dup: false, qos: 2 })
    model.willFate(1, 'must')
    model.willFate(2, 'must')
    model.willFate(3, 'not')
    will(2, 1)
    model.settled('s', 1)
    will(2, 2)
    will(3, 3)
    assert.deepEqual(
      model.finish().map((text) => /came twice|must not come|never came/u.exec(text)?.[0]),
      ['came twice', 'must not come', 'never came'],
    )
  })

  test('a retained message that was replaced, or is missing', () => {
    model.retainedSent('r', 1, { clear: false })
    model.retainedSent('r', 2, { clear: false })
    model.retainedAcknowledged('r', 2)
    model.retainedSent('r', 3, { clear: false })
    model.retainedSeen('r', 2, 2)
    model.retainedSeen('r', 3, 2)
    assert.deepEqual(model.violations, [])
    model.retainedSeen('r', 1, 2)
    model.retainedSeen('r', undefined, 2)
    assert.equal(model.violations.length, 2)
  })
})
