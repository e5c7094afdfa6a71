import assert from 'node:assert/strict'
import { mkdtempSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { makeDirectory } from './make-directory.ts'

test('makeDirectory() makes all that is missing, and finds nothing to do the second time', async () => {
  const path = join(mkdtempSync(join(tmpdir(), 'concordmq-make-')), 'a', 'b', 'c')
  await Promise.all([makeDirectory(path, 0o700), makeDirectory(path, 0o700)])
  await makeDirectory(path, 0o700)
  assert.ok(statSync(path).isDirectory())
})

test('makeDirectory() refuses what lies below a file', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'concordmq-make-'))
  writeFileSync(join(folder, 'file'), '')
  await assert.rejects(makeDirectory(join(folder, 'file')), { code: 'EEXIST' })
  await assert.rejects(makeDirectory(join(folder, 'file', 'a', 'b')), { code: 'ENOTDIR' })
})

test('makeDirectory() refuses what lies below /proc, where nothing can be made', {
  skip: process.platform !== 'linux',
  timeout: 10_000,
}, async () => {
  await assert.rejects(makeDirectory('/proc/concordmq/data'), { code: 'ENOENT' })
})
