/** The largest cluster there may be. */
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { Cluster } from '../testing/cluster.ts'
import { assertOrdered, assertSilent, forbidForks } from '../testing/expectations.ts'

const N = 31
/** So many may be gone. */
const F = 10

it('31 nodes order what all of them say at once, go on without ten, and have one log when those are back', () => {
  const nodes = new Cluster({ n: N, seed: 31, delayUs: [200, 1500] })
  forbidForks(nodes)
  for (let node = 0; node < N; node++) nodes.submit(node, `from ${node}`)
  assertOrdered(nodes, N)
  assertSilent(nodes)
  const left = Array.from({ length: N - F }, (_, node) => node)
  for (let node = N - F; node < N; node++) nodes.crash(node)
  for (const node of [0, 7, 20]) nodes.submit(node, `without ten ${node}`)
  assertOrdered(nodes, N + 3, left)
  for (let node = N - F; node < N; node++) nodes.restart(node)
  nodes.submit(N - 1, 'back')
  assertOrdered(nodes, N + 4)
  assert.equal(new Set(nodes.texts(0)).size, N + 4)
  assert.deepEqual(
    nodes.nodes.flatMap(({ alarms }) => alarms),
    [],
  )
})
