import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Fifo } from './fifo.ts'

test('Fifo gives back in order of arrival, like an array, whatever the mixture of calls', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.integer({ min: 1, max: 3000 }), fc.constant('clear' as const)), { maxLength: 30 }),
      (steps) => {
        const fifo = new Fifo<number>()
        let model: number[] = []
        let next = 0
        for (const step of steps) {
          if (step === 'clear') {
            fifo.clear()
            model = []
            continue
          }
          // Push as many as the step says, take two thirds of them out again.
          for (let i = 0; i < step; i++) {
            fifo.push(next)
            model.push(next++)
          }
          assert.equal(fifo.first, model[0])
          for (let i = 0; i < (step * 2) / 3; i++) assert.equal(fifo.shift(), model.shift())
          assert.equal(fifo.length, model.length)
        }
        while (model.length > 0) assert.equal(fifo.shift(), model.shift())
        assert.equal(fifo.shift(), undefined)
        assert.equal(fifo.length, 0)
      },
    ),
  )
})
