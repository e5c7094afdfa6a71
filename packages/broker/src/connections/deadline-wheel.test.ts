import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import { hold } from '../../../../testing/catalogue/src/hold.ts'
import { DeadlineWheel, type Watched } from './deadline-wheel.ts'

const SLOT_MS = 250

class Item implements Watched {
  wheelSlot = -1
  deadlineMs: number | undefined
  readonly dueAt: number[] = []
  onDue: () => void = () => {
    this.deadlineMs = undefined
  }

  constructor(deadlineMs: number | undefined) {
    this.deadlineMs = deadlineMs
  }

  due(nowMs: number): void {
    this.dueAt.push(nowMs)
    this.onDue()
  }
}

function setUp(
  t: TestContext,
  from = 10_000,
): { readonly wheel: DeadlineWheel; readonly pass: (ms: number) => void; readonly jump: (ms: number) => void } {
  t.mock.timers.enable({ apis: ['setInterval'] })
  let now = from
  return {
    wheel: new DeadlineWheel(() => now),
    pass: (ms) => {
      for (let i = 0; i < ms; i += SLOT_MS) {
        now += SLOT_MS
        t.mock.timers.tick(SLOT_MS)
      }
    },
    // The process stood still: one turn for a long time.
    jump: (ms) => {
      now += ms
      t.mock.timers.tick(SLOT_MS)
    },
  }
}

test('a deadline is noticed when it has passed, at most a slot late, and never early', (t) => {
  const { wheel, pass } = setUp(t)
  const items = [0, 1, 249, 250, 251, 999, 5_000, 60_000].map((ms) => new Item(10_000 + ms))
  for (const item of items) wheel.watch(item)
  pass(61_000)
  for (const [i, item] of items.entries()) {
    const deadline = [0, 1, 249, 250, 251, 999, 5_000, 60_000][i] as number
    const late = (item.dueAt[0] as number) - 10_000 - deadline
    assert.equal(item.dueAt.length, 1)
    assert.ok(late >= 0 && late <= SLOT_MS, `${deadline}: ${late} ms late`)
  }
})

test('a deadline that moved is looked at again when it would have passed', (t) => {
  const { wheel, pass } = setUp(t)
  const item = new Item(11_000)
  wheel.watch(item)
  item.deadlineMs = 15_000
  pass(4_000)
  assert.deepEqual(item.dueAt, [])
  item.onDue = () => {
    item.deadlineMs = item.dueAt.length === 1 ? 20_000 : undefined
  }
  pass(7_000)
  assert.equal(item.dueAt.length, 2)
})

test('beyond a turn of the wheel, and after the process stood still, nothing is early and nothing is lost', (t) => {
  const { wheel, pass, jump } = setUp(t)
  const far = new Item(10_000 + 3_000_000)
  const near = new Item(11_000)
  wheel.watch(far)
  wheel.watch(near)
  jump(2_000_000)
  assert.deepEqual([near.dueAt.length, far.dueAt.length], [1, 0])
  pass(999_750)
  assert.equal(far.dueAt.length, 0)
  pass(500)
  assert.equal(far.dueAt.length, 1)
})

test('what is removed, or has no deadline, is not looked at', (t) => {
  const { wheel, pass } = setUp(t)
  const item = new Item(11_000)
  wheel.watch(item)
  wheel.remove(item)
  wheel.remove(item)
  const never = new Item(undefined)
  wheel.watch(never)
  pass(2_000)
  assert.deepEqual([item.dueAt, never.dueAt, item.wheelSlot, never.wheelSlot], [[], [], -1, -1])
})

test('an item that is due may end, move or bring in others of its slot', (t) => {
  const { wheel, pass } = setUp(t)
  const [first, ended, moved, added] = [11_000, 11_000, 11_000, 11_500].map((ms) => new Item(ms)) as [
    Item,
    Item,
    Item,
    Item,
  ]
  for (const item of [first, ended, moved]) wheel.watch(item)
  first.onDue = () => {
    first.deadlineMs = undefined
    ended.deadlineMs = undefined
    wheel.remove(ended)
    moved.deadlineMs = 13_000
    wheel.watch(moved)
    wheel.watch(added)
  }
  pass(1_750)
  assert.deepEqual(
    [first, ended, moved, added].map(({ dueAt }) => dueAt.length),
    [1, 0, 0, 1],
  )
  pass(2_000)
  assert.equal(moved.dueAt.length, 1)
})

test('a crowd whose deadlines pass together is told in slices, between which others have their turn', async (t) => {
  const { wheel, pass } = setUp(t)
  const crowd = Array.from({ length: 100 }, () => new Item(11_000))
  for (const item of crowd) wheel.watch(item)
  const told = (): number => crowd.filter(({ dueAt }) => dueAt.length > 0).length
  pass(1_000)
  assert.equal(told(), 16)
  // One comes to the slot that is being told, and one leaves it.
  const late = new Item(10_500)
  wheel.watch(late)
  wheel.remove(crowd[99] as Item)
  const seen: number[] = []
  while (told() < 99) {
    await new Promise(setImmediate)
    seen.push(told())
  }
  assert.ok(seen.length >= 5 && seen.every((count, i) => count - (seen[i - 1] ?? 16) <= 16), seen.join(' '))
  pass(500)
  assert.deepEqual([late.dueAt.length, crowd[99]?.dueAt.length], [1, 0])
  assert.ok(crowd.every(({ dueAt }) => dueAt.length <= 1))
})

test('an idle wheel has no timer', (t) => {
  const setInterval = t.mock.method(globalThis, 'setInterval')
  const clearInterval = t.mock.method(globalThis, 'clearInterval')
  const wheel = new DeadlineWheel(() => 0)
  const item = new Item(1_000)
  wheel.watch(item)
  wheel.remove(item)
  wheel.watch(item)
  wheel.remove(item)
  assert.deepEqual([setInterval.mock.callCount(), clearInterval.mock.callCount()], [2, 2])
})

test('every deadline of a random crowd is noticed once it has passed', (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] })
  const step = fc.record({ passMs: fc.integer({ min: 1, max: 3_000 }), who: fc.nat(9), inMs: fc.option(fc.nat(5_000)) })
  hold(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      let now = 0
      const wheel = new DeadlineWheel(() => now)
      const items = Array.from({ length: 10 }, () => new Item(undefined))
      const pass = (ms: number): void => {
        for (let left = ms; left > 0; left -= SLOT_MS) {
          now += Math.min(left, SLOT_MS)
          t.mock.timers.tick(SLOT_MS)
        }
      }
      for (const { passMs, who, inMs } of steps) {
        const item = items[who] as Item
        item.deadlineMs = inMs === null ? undefined : now + inMs
        if (inMs === null) wheel.remove(item)
        else wheel.watch(item)
        pass(passMs)
        for (const { deadlineMs } of items) assert.ok(deadlineMs === undefined || deadlineMs > now - 2 * SLOT_MS)
      }
      wheel.close()
    }),
    100,
  )
})
