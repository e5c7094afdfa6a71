import assert from 'node:assert/strict'
import { test } from 'node:test'
import { exceeds, guard } from './guard.ts'

const rounds = 5

test('a message costs no more than its limits: CPU beside the reference program, bytes allocated', async () => {
  const findings = await guard(rounds)
  const over = findings.filter(exceeds)
  assert.deepEqual(over, [], 'node bench/guard.ts shows all; limits are in bench/guard.ts')
})
