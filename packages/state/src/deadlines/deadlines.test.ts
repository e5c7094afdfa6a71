import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { compareText } from '../encoding/text-order.ts'
import { type Deadlined, Deadlines, NEVER } from './deadlines.ts'

test('Deadlines come out by (deadline, bytes of the key, kind), however they were set and moved', () => {
  const keys = ['a', 'b', '\uffff', '\u{10000}']
  const change = fc.record({ item: fc.nat({ max: 7 }), dueUs: fc.constantFrom(1, 2, 3, 4, 5, NEVER) })
  fc.assert(
    fc.property(fc.array(change, { maxLength: 50 }), (changes) => {
      const items: Deadlined[] = Array.from({ length: 8 }, (_, n) => ({
        dueUs: NEVER,
        dueIndex: -1,
        dueKey: keys[n >> 1] as string,
        dueKind: n & 1,
      }))
      const deadlines = new Deadlines<Deadlined>()
      for (const { item, dueUs } of changes) deadlines.set(items[item] as Deadlined, dueUs)
      const expected = items
        .filter(({ dueUs }) => dueUs !== NEVER)
        .sort((a, b) => a.dueUs - b.dueUs || compareText(a.dueKey, b.dueKey) || a.dueKind - b.dueKind)
      assert.equal(deadlines.size, expected.length)
      const seen: Deadlined[] = []
      for (let first = deadlines.first(); first !== undefined; first = deadlines.first()) {
        seen.push({ ...first })
        deadlines.set(first, NEVER)
      }
      const order = (list: Deadlined[]) => list.map(({ dueKey, dueKind }) => `${dueKey} ${dueKind}`)
      assert.deepEqual(order(seen), order(expected))
    }),
    { numRuns: 500 },
  )
})
