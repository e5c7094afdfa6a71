import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ControlError } from './control-error.ts'
import { pageOf, pageOrder } from './page.ts'

test('pages follow each other without gap or repetition, and the last says that it is', async () => {
  const numbers = Array.from({ length: 25 }, (_, i) => i)
  const even = (n: number) => n % 2 === 0
  const pages = []
  for (const page of [1, 2, 3, 4]) pages.push(await pageOf(numbers, even, { page, size: 5 }))
  assert.deepEqual(
    pages.map(({ items }) => items),
    [[0, 2, 4, 6, 8], [10, 12, 14, 16, 18], [20, 22, 24], []],
  )
  assert.deepEqual(
    pages.map(({ more }) => more),
    [true, true, false, false],
  )
})

test('a long list lets other work in, and may change meanwhile', async () => {
  const live = new Set(Array.from({ length: 100_000 }, (_, i) => i))
  let turns = 0
  const other = setInterval(() => {
    turns++
    live.delete(99_999)
  }, 0)
  const { items } = await pageOf(live, (n) => n >= 99_990, { page: 1, size: 50 })
  clearInterval(other)
  assert.ok(turns > 0)
  assert.equal(items.at(-1), 99_998)
})

test('an order of pages that is none is refused with the rule', () => {
  const refused = (text: string, pattern: RegExp) =>
    assert.throws(
      () => pageOrder(new URLSearchParams(text)),
      (error) => error instanceof ControlError && error.status === 400 && pattern.test(error.message),
    )
  refused('page=0', /"page" must be an integer from 1 to 1000000, not "0"/)
  refused('size=1001', /from 1 to 1000/)
  refused('size=-1', /"size"/)
  refused('size=1e3', /"size"/)
  assert.deepEqual(pageOrder(new URLSearchParams('')), { page: 1, size: 50 })
})
