import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { comparePlaces, sortByPlace } from './body.ts'
import type { PlacedMessage } from './message.ts'

const message = { topic: 't', payload: new Uint8Array(0), qos: 0, retain: false, publisher: '' } as const

test('sortByPlace() sorts many as few, however far apart they are and whatever one command caused', () => {
  const placed = (positionMax: number): fc.Arbitrary<PlacedMessage[]> =>
    fc.array(
      fc.record({
        position: fc.nat(positionMax),
        index: fc.nat(5),
        message: fc.constant(message),
        timeUs: fc.constant(0),
      }),
      { minLength: 200, maxLength: 700, size: 'max' },
    )
  const many = fc.constantFrom(50, 100_000, Number.MAX_SAFE_INTEGER).chain(placed)
  fc.assert(
    fc.property(many, (list) => {
      const expected = [...list].sort(comparePlaces).map(({ position, index }) => [position, index])
      assert.deepEqual(
        sortByPlace(list).map(({ position, index }) => [position, index]),
        expected,
      )
    }),
    { numRuns: 60 },
  )
})
