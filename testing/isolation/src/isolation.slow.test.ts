/**
 * The short form: every load at a fraction of its size, for about a second. The bounds are wide, since a machine that runs
 * other tests beside this one adds milliseconds of its own; a broker that lets one client wait for another adds seconds.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { measure } from './measure.ts'

/** A p99 below this is never called bad, however quiet the quiet run was. */
const floorMs = 250
const ratioMax = 4

for (const name of ['stopped-readers', 'half-open', 'login-storm', 'full-queue', 'blocked-hook']) {
  test(`healthy clients are isolated from the load ${name}`, { timeout: 60_000 }, async () => {
    const measured = await measure({ name, rounds: 2, phaseMs: 800, perSecond: 300, scale: 0.25 })
    assert.equal(measured.lost, 0)
    assert.equal(measured.closed, 0)
    assert.deepEqual(measured.errors, [])
    const bound = Math.max(floorMs, ratioMax * measured.quietP99)
    assert.ok(measured.loadedP99 <= bound, `p99 ${measured.loadedP99} ms, quiet ${measured.quietP99} ms`)
    assert.ok(measured.residentBytesMax - measured.residentBytesBefore < 200 * 1_048_576)
  })
}
