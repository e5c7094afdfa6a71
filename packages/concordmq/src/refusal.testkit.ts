/** For tests of what the program refuses. */
import assert from 'node:assert/strict'
import { CommandError } from './command-error.ts'

/** The error with which `act` ends; fails if it does not, or if the program would exit with another code. */
export function refusal(act: () => unknown, exitCode = 78): CommandError {
  try {
    act()
  } catch (error) {
    assert.ok(error instanceof CommandError, String(error))
    assert.equal(error.exitCode, exitCode)
    return error
  }
  assert.fail('nothing was refused')
}
