import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { fileBytesMax, readText, readTextIfPresent } from './read-text.ts'

let directory = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'concordmq-read-'))
})
afterEach(() => rmSync(directory, { recursive: true }))

test('readText() takes UTF-8 up to the maximum and leaves out a byte order mark', () => {
  const path = join(directory, 'a.toml')
  writeFileSync(path, '\ufeffgrüß = 1\n', { mode: 0o640 })
  assert.deepEqual(readText(path), { text: 'grüß = 1\n', mode: 0o640 })
  truncateSync(path, fileBytesMax)
  assert.equal(readText(path).text.length, fileBytesMax - 5)
  assert.equal(readTextIfPresent(join(directory, 'none')), undefined)
})

test('readText() refuses what is too large, not text or no file, by its path', () => {
  const path = join(directory, 'a.toml')
  writeFileSync(path, Uint8Array.of(0xff, 0xfe))
  assert.throws(() => readText(path), /a\.toml: it is not UTF-8 text/)
  truncateSync(path, fileBytesMax + 1)
  assert.throws(() => readText(path), /a\.toml: it has more than 16777216 bytes/)
  assert.throws(() => readText(directory), /it is a directory/)
  assert.throws(() => readText(join(directory, 'none'), 'Make it'), /none: it does not exist/)
})

test('readText() ends on a device that has no end', { skip: process.platform === 'win32' }, () => {
  assert.throws(() => readText('/dev/zero'), /\/dev\/zero: it has more than/)
})
