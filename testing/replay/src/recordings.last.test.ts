/**
 * Replays what the other test files recorded. `npm test` runs it last and names the folder; a whole run must have recordings
 * of the norms and of the foreign clients.
 */
import assert from 'node:assert/strict'
import { globSync } from 'node:fs'
import { basename, join } from 'node:path'
import { describe, test } from 'node:test'
import { checkRecording, readRecording } from './replay.ts'

const folder = process.env['CONCORDMQ_TEST_RECORD_DIR']
const wholeRun = process.env['CONCORDMQ_TEST_WHOLE_RUN'] === '1'

describe('recordings of this run', { skip: folder === undefined && 'nothing was recorded: run by npm test' }, () => {
  const files = folder === undefined ? [] : globSync('*.commands', { cwd: folder }).sort()
  for (const file of files) {
    test(`${basename(file, '.commands')} replays to the broker's hash, fresh and from a snapshot`, () => {
      checkRecording(readRecording(join(folder ?? '', file)))
    })
  }

  test('the norms and the foreign clients were recorded', { skip: !wholeRun && 'not a run of all tests' }, () => {
    for (const workspace of ['conformance', 'interop']) {
      const commands = files
        .filter((file) => file.startsWith(`${workspace}-`))
        .map((file) => readRecording(join(folder ?? '', file)).end.commands)
      assert.ok(Math.max(0, ...commands) > 100, `${workspace}: ${commands.join(', ') || 'no recording'}`)
    }
  })
})
