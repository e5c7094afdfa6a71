import assert from 'node:assert/strict'
import { test } from 'node:test'
import { testEpoch } from '../../testing/drawn-graph.ts'
import { fakeCryptography } from '../../testing/fake-cryptography.ts'
import { makeEpoch } from './epoch-record.ts'
import { decodeReconfiguration, encodeReconfiguration, reconfigurationProblem } from './reconfiguration.ts'

const epoch = testEpoch(4)
const signatures = [0, 2].map((operator) => ({ operator, signature: new Uint8Array(64).fill(operator) }))
const next = { number: 2, nodes: testEpoch(5).nodes, constants: testEpoch(5).constants }

test('decodeReconfiguration() reads what encodeReconfiguration() wrote', () => {
  const decoded = decodeReconfiguration(encodeReconfiguration({ ...next, signatures }))
  assert.deepEqual(decoded, { ...next, signatures })
})

test('decodeReconfiguration() reads the certificates of a newcomer, up to five', () => {
  const chain = [Uint8Array.of(1, 2, 3), new Uint8Array(8192)]
  const admitted = { ...next, signatures: [], admission: { chain, signature: new Uint8Array(64).fill(7) } }
  const bytes = encodeReconfiguration(admitted)
  assert.deepEqual(decodeReconfiguration(bytes), admitted)
  const least = encodeReconfiguration({ ...next, signatures: [] }).length
  for (let length = least + 1; length < bytes.length; length++) {
    assert.equal(decodeReconfiguration(bytes.subarray(0, length)), undefined)
  }
  for (const tooMuch of [[], Array<Uint8Array>(6).fill(Uint8Array.of(1)), [new Uint8Array(8193)]]) {
    const admission = { chain: tooMuch, signature: new Uint8Array(64) }
    assert.equal(decodeReconfiguration(encodeReconfiguration({ ...admitted, admission })), undefined)
  }
})

test('one changed byte of a reconfiguration is refused, or is another one with exactly these bytes', () => {
  const bytes = encodeReconfiguration({ ...next, signatures })
  for (let at = 0; at < bytes.length; at++) {
    for (const flip of [1, 0x80]) {
      const changed = bytes.slice()
      changed[at] = (changed[at] as number) ^ flip
      const decoded = decodeReconfiguration(changed)
      if (decoded !== undefined) assert.deepEqual(encodeReconfiguration(decoded), changed)
    }
  }
})

test('decodeReconfiguration() refuses bytes that are cut or longer, and signatures out of order', () => {
  const bytes = encodeReconfiguration({ ...next, signatures })
  for (let length = 0; length < bytes.length; length++) {
    assert.equal(decodeReconfiguration(bytes.subarray(0, length)), undefined)
  }
  assert.equal(decodeReconfiguration(Uint8Array.of(...bytes, 0)), undefined)
  const swapped = decodeReconfiguration(encodeReconfiguration({ ...next, signatures: [...signatures].reverse() }))
  assert.ok(swapped !== undefined)
  const operators = { threshold: 2, keys: [1, 2, 3].map((fill) => new Uint8Array(65).fill(fill)) }
  assert.equal(reconfigurationProblem({ ...epoch, operators }, { ...next, signatures }), undefined)
  assert.match(reconfigurationProblem({ ...epoch, operators }, swapped) ?? '', /not in order/u)
})

test('makeEpoch() gives every size its quorum, and refuses records that no node could run', () => {
  const sizes = [1, 2, 3, 4, 5, 7, 10, 31].map((n) => testEpoch(n))
  assert.deepEqual(
    sizes.map(({ n, f, q, w }) => [n, f, q, w]),
    [
      [1, 0, 1, 1],
      [2, 0, 2, 1],
      [3, 0, 3, 1],
      [4, 1, 3, 2],
      [5, 1, 4, 2],
      [7, 2, 5, 3],
      [10, 3, 7, 4],
      [31, 10, 21, 11],
    ],
  )
  const twins = { ...epoch, nodes: [epoch.nodes[0], epoch.nodes[0]] as typeof epoch.nodes }
  assert.throws(() => makeEpoch(twins, fakeCryptography), { message: 'Two nodes of the address book have one key' })
  assert.throws(() => makeEpoch({ ...epoch, nodes: [] }, fakeCryptography), RangeError)
  const constants = { ...epoch.constants, voidRounds: epoch.constants.keepRounds }
  assert.throws(() => makeEpoch({ ...epoch, constants }, fakeCryptography), /voidRounds/u)
})

test('the hash of an epoch changes with everything that nodes must agree on', () => {
  const changes = [
    epoch,
    { ...epoch, number: 2 },
    { ...epoch, networkId: Uint8Array.of(9) },
    { ...epoch, nodes: epoch.nodes.slice(1) },
    { ...epoch, constants: { ...epoch.constants, patienceSteps: 17 } },
    { ...epoch, operators: { threshold: 1, keys: [new Uint8Array(65).fill(4)] } },
    { ...epoch, operators: { threshold: 0, keys: [], roots: [new Uint8Array(32).fill(4)] } },
    { ...epoch, previousHash: new Uint8Array(32).fill(1) },
  ]
  const hashes = changes.map((record) => Buffer.from(makeEpoch(record, fakeCryptography).hash).toString('hex'))
  assert.equal(new Set(hashes).size, changes.length)
})
