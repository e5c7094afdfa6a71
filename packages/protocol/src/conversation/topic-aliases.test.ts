import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isRefusal } from '../refusal.ts'
import { InboundAliases, OutboundAliases } from './topic-aliases.ts'

test('InboundAliases.resolve() remembers a topic name and gives it back for an empty one', () => {
  const aliases = new InboundAliases(2)
  assert.equal(aliases.resolve(2, 'a'), 'a')
  assert.equal(aliases.resolve(2, ''), 'a')
  assert.equal(aliases.resolve(2, 'b'), 'b')
  assert.equal(aliases.resolve(2, ''), 'b')
})

for (const [alias, statement] of [
  [0, 'MQTT-3.3.2-8'],
  [3, 'MQTT-3.3.2-9'],
] as const) {
  test(`InboundAliases.resolve() refuses alias ${alias} of at most 2 [${statement}]`, () => {
    const refusal = new InboundAliases(2).resolve(alias, 'a')
    assert.ok(isRefusal(refusal))
    assert.equal(refusal.reasonCode, 0x94)
    assert.equal(refusal.statement, statement)
  })
}

test('InboundAliases.resolve() refuses an alias that was never given a topic name', () => {
  const refusal = new InboundAliases(2).resolve(1, '')
  assert.ok(isRefusal(refusal))
  assert.equal(refusal.reasonCode, 0x82)
})

test('OutboundAliases.assign() sends the name once, then the alias alone', () => {
  const aliases = new OutboundAliases(2)
  assert.equal(aliases.assign('a'), -1)
  assert.equal(aliases.assign('a'), 1)
  assert.equal(aliases.assign('b'), -2)
  assert.equal(aliases.assign('b'), 2)
})

test('OutboundAliases.assign() takes the alias used longest ago when all are taken', () => {
  const aliases = new OutboundAliases(2)
  aliases.assign('a')
  aliases.assign('b')
  aliases.assign('a')
  assert.equal(aliases.assign('c'), -2)
  assert.equal(aliases.assign('a'), 1)
  assert.equal(aliases.assign('b'), -2)
})

test('OutboundAliases.assign() gives none when the server allows none [MQTT-3.2.2-18]', () => {
  assert.equal(new OutboundAliases(0).assign('a'), 0)
})

test('OutboundAliases and InboundAliases agree on every topic, whatever is forgotten in between', () => {
  const step = fc.record({ topic: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'), lost: fc.boolean() })
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 4 }), fc.array(step, { maxLength: 200 }), (maximum, steps) => {
      const outbound = new OutboundAliases(maximum)
      const inbound = new InboundAliases(maximum)
      for (const { topic, lost } of steps) {
        const alias = outbound.assign(topic)
        if (alias < 0 && lost) outbound.forget(topic)
        else assert.equal(inbound.resolve(Math.abs(alias), alias > 0 ? '' : topic), topic)
      }
    }),
  )
})
