import assert from 'node:assert/strict'
import { test } from 'node:test'
import { didYouMean, suggest } from './suggest.ts'

test('suggest() finds the nearest name', () => {
  assert.equal(suggest('mqtt.adr', ['mqtt.addr', 'mqtts.addr']), 'mqtt.addr')
  assert.equal(suggest('allow-anonymus-login', ['allow-anonymous-login', 'x']), 'allow-anonymous-login')
})

test('suggest() says nothing when nothing is near', () => {
  assert.equal(suggest('colour', ['mqtt.addr', 'tls.cert-file']), undefined)
  assert.equal(suggest('ab', ['xy', 'cd']), undefined)
  assert.equal(didYouMean('colour', []), '')
})
