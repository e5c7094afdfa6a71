/**
 * The attacks that are loads, each small and for half a second: nobody else loses a message or the connection, the broker
 * finds no fault in itself, and what it holds stays within bounds. How long others wait is bounded widely: what a single
 * message or subscription of an attacker costs, no turn of the event loop is divided.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { measure } from './measure.ts'

const waitMsMax = 500

for (const name of [
  'promised-packets',
  'tiny-packets',
  'property-bombs',
  'deep-topics',
  'wildcard-storm',
  'retained-scan',
  'shared-churn',
  'session-flood',
  'takeover-storm',
  'websocket-games',
]) {
  test(`the attack ${name} costs others neither messages nor connections`, { timeout: 60_000 }, async () => {
    const measured = await measure({ name, rounds: 1, phaseMs: 500, perSecond: 200, scale: 0.1 })
    assert.equal(measured.lost, 0)
    assert.equal(measured.closed, 0)
    assert.deepEqual(measured.errors, [])
    assert.ok(measured.loadedP99 <= waitMsMax, `p99 ${measured.loadedP99} ms, quiet ${measured.quietP99} ms`)
    assert.ok(measured.residentBytesMax - measured.residentBytesBefore < 200 * 1_048_576)
  })
}
