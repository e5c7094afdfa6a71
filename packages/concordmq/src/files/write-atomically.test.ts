import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { CommandError } from '../command-error.ts'
import { writeAtomically } from './write-atomically.ts'

let directory = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'concordmq-write-'))
})
afterEach(() => rmSync(directory, { recursive: true }))

test('writeAtomically() makes directories and sets the mode, also over a file of another mode', () => {
  const path = join(directory, 'a', 'b', 'key.pem')
  writeAtomically([{ path, text: 'one', mode: 0o644 }])
  writeAtomically([{ path, text: 'two', mode: 0o600 }])
  assert.equal(readFileSync(path, 'utf8'), 'two')
  assert.equal(statSync(path).mode & 0o777, 0o600)
  assert.deepEqual(readdirSync(join(directory, 'a', 'b')), ['key.pem'])
})

test('writeAtomically() changes nothing when one of the files cannot be written', () => {
  const first = join(directory, 'first')
  writeFileSync(first, 'old')
  writeFileSync(join(directory, 'file'), '')
  const files = [
    { path: first, text: 'new', mode: 0o600 },
    { path: join(directory, 'file', 'below'), text: 'new', mode: 0o600 },
  ]
  assert.throws(
    () => writeAtomically(files),
    (error) => error instanceof CommandError && error.exitCode === 74,
  )
  assert.equal(readFileSync(first, 'utf8'), 'old')
  assert.deepEqual(readdirSync(directory).sort(), ['file', 'first'])
})

test('writeAtomically() does not replace a directory', () => {
  mkdirSync(join(directory, 'users.toml'))
  assert.throws(() => writeAtomically([{ path: join(directory, 'users.toml'), text: '', mode: 0o600 }]), CommandError)
  assert.deepEqual(readdirSync(directory), ['users.toml'])
})
