import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Agenda } from './agenda.ts'
import { drawsFrom } from './draws.ts'

test('Agenda lets things happen by time, and by entry where times are equal', () => {
  const draws = drawsFrom(7)
  const agenda = new Agenda()
  const entered: { at: number; number: number }[] = []
  const happened: { at: number; number: number }[] = []
  for (let number = 0; number < 2_000; number++) {
    const entry = { at: draws.below(50), number }
    entered.push(entry)
    agenda.at(entry.at, () => happened.push({ at: agenda.nowUs, number }))
  }
  while (agenda.next());
  assert.deepEqual(
    happened,
    entered.toSorted((a, b) => a.at - b.at || a.number - b.number),
  )
})

test('Agenda takes what is entered for the past as due now, and stops at the time it is told', () => {
  const agenda = new Agenda()
  const happened: number[] = []
  agenda.at(10, () => agenda.at(3, () => happened.push(agenda.nowUs)))
  agenda.at(30, () => happened.push(agenda.nowUs))
  while (agenda.next(20));
  assert.deepEqual(happened, [10])
  assert.equal(agenda.nowUs, 20)
  assert.equal(agenda.size, 1)
})
