import assert from 'node:assert/strict'
import {
  chownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
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

test('writeAtomically() finds a directory in the place of a file before it replaces another one', () => {
  const first = join(directory, 'key_0.pem')
  writeFileSync(first, 'old')
  mkdirSync(join(directory, 'key_1.pem'))
  const files = ['key_0.pem', 'key_1.pem'].map((name) => ({ path: join(directory, name), text: 'new', mode: 0o600 }))
  assert.throws(() => writeAtomically(files), /key_1\.pem: it is a directory/)
  assert.equal(readFileSync(first, 'utf8'), 'old')
  assert.deepEqual(readdirSync(directory).sort(), ['key_0.pem', 'key_1.pem'])
})

test('writeAtomically() replaces what a link leads to, and not the link', () => {
  const file = join(directory, 'real.toml')
  const link = join(directory, 'users.toml')
  writeFileSync(file, 'old')
  symlinkSync('real.toml', link)
  writeAtomically([{ path: link, text: 'new', mode: 0o600 }])
  assert.ok(lstatSync(link).isSymbolicLink())
  assert.equal(readFileSync(file, 'utf8'), 'new')
})

test('writeAtomically() leaves a file to its owner', { skip: process.getuid?.() !== 0 }, () => {
  const path = join(directory, 'users.toml')
  writeFileSync(path, 'old')
  chownSync(path, 12_345, 12_346)
  writeAtomically([{ path, text: 'new', mode: 0o600 }])
  const { uid, gid } = statSync(path)
  assert.deepEqual([uid, gid], [12_345, 12_346])
})

test('writeAtomically() gives up where the system makes no directories', { skip: process.platform !== 'linux' }, () => {
  assert.throws(() => writeAtomically([{ path: '/proc/concordmq/a', text: '', mode: 0o600 }]), /Cannot write \/proc/)
})
