import assert from 'node:assert/strict'
import { test } from 'node:test'
import { directionOf } from '../../../packages/protocol/src/packets/direction.ts'
import type { PacketType } from '../../../packages/protocol/src/packets/types.ts'
import { manifests } from '../../conformance/src/coverage.ts'
import { catalogue } from './catalogue.ts'
import { fromHex } from './notation.ts'

test('every name stands once for a version', () => {
  const names = catalogue.map(({ name, version }) => `${version} ${name}`)
  assert.deepEqual(
    names.filter((name, i) => names.indexOf(name) !== i),
    [],
  )
})

test('every statement that a refusal names exists', () => {
  const known = new Set(manifests.flatMap(({ statements }) => statements.map(({ id }) => id)))
  const cited = catalogue.flatMap((entry) => ('refusal' in entry ? [entry.refusal.statement] : []))
  const numbered = cited.filter((statement) => /-\d+$/.test(statement))
  assert.ok(numbered.length > 100)
  assert.deepEqual(
    numbered.filter((statement) => !known.has(statement)),
    [],
  )
})

test('every packet of every version is there, taken and refused, in a direction it has', () => {
  for (const version of [3, 4, 5] as const) {
    for (let type = 1; type <= 15; type++) {
      const direction = directionOf(type as PacketType, version)
      const entries = catalogue.filter((e) => e.version === version && (fromHex(e.bytes)[0] as number) >> 4 === type)
      if (direction !== undefined)
        assert.ok(
          entries.some((e) => 'packet' in e),
          `type ${type} of ${version} taken`,
        )
      assert.ok(
        entries.some((e) => 'refusal' in e),
        `type ${type} of ${version} refused`,
      )
      for (const entry of entries) {
        if ('packet' in entry && direction !== 'both') assert.equal(entry.direction, direction, entry.name)
      }
    }
  }
})
