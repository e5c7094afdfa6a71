import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AddressRuleOptions } from '../config/options.ts'
import { AddressRules } from './address-rules.ts'

test('the narrowest range decides, in whatever order they stand [row U16]', () => {
  const rules = new AddressRules({
    deny: ['10.0.0.0/8', '2001:db8::/32', '192.0.2.7'],
    allow: ['10.1.0.0/16', '10.1.2.3', '2001:db8:1::/48', '::1'],
  })
  for (const [address, verdict] of [
    ['10.2.0.1', 'deny'],
    ['10.1.9.9', 'allow'],
    ['::ffff:10.2.0.1', 'deny'],
    ['192.0.2.7', 'deny'],
    ['192.0.2.8', undefined],
    ['2001:db8:2::1', 'deny'],
    ['2001:db8:1::1', 'allow'],
    ['::1', 'allow'],
    ['::2', undefined],
    ['', undefined],
    ['/run/concordmq.sock', undefined],
    ['stream', undefined],
  ] as const) {
    assert.equal(rules.verdict(address), verdict, address)
  }
  assert.equal(new AddressRules({ deny: ['0.0.0.0/0'], allow: ['127.0.0.1'] }).verdict('127.0.0.2'), 'deny')
})

test('contradictions, texts that are no address and unknown keys are refused, all at once', () => {
  const bad = { allow: ['127.0.0.1', 'localhost', 5], deny: ['::ffff:127.0.0.1', '10.0.0.1/8'], alow: [] }
  assert.throws(
    () => new AddressRules(bad as unknown as AddressRuleOptions),
    (error: Error & { code?: string }) => {
      assert.equal(error.code, 'CMQ_ADDRESS_RULES')
      for (const part of [
        /both allowed and denied/,
        /"localhost" is neither/,
        /texts only/,
        /write 10\.0\.0\.0\/8/,
        /did you mean "allow"/,
      ]) {
        assert.match(error.message, part)
      }
      return true
    },
  )
})

test('a hundred thousand entries are looked up in one step per length of prefix', () => {
  const deny = Array.from({ length: 100_000 }, (_none, i) => `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`)
  const rules = new AddressRules({ deny })
  const start = performance.now()
  for (let i = 0; i < 10_000; i++) assert.equal(rules.verdict(`11.0.0.${i & 255}`), undefined)
  // Walking the list would take minutes.
  assert.ok(performance.now() - start < 2_000)
})
