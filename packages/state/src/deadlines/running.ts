/** Runs what the passing of time has caused by the time that the state has reached. */
import type { Effects } from '../effects.ts'
import { forgetRetained } from '../retained/retaining.ts'
import { sessionDue } from '../sessions/ending.ts'
import { Session } from '../sessions/session.ts'
import type { State } from '../state.ts'

export function runDeadlines(state: State, effects: Effects): void {
  for (let due = state.deadlines.first(); due !== undefined; due = state.deadlines.first()) {
    if (due.dueUs > state.clock.timeUs) return
    if (due instanceof Session) sessionDue(state, due, due.dueUs, effects)
    else {
      state.counters.expired++
      forgetRetained(state, due)
      effects.retainedExpired?.(due.dueKey)
    }
  }
}
