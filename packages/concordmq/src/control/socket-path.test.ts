import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { controlPlace, controlPlaces, fits } from './socket-path.ts'

const folder = mkdtempSync(join(tmpdir(), 'concordmq-place-'))
after(() => rmSync(folder, { recursive: true }))

test('the socket lies in the configuration directory', () => {
  assert.deepEqual(controlPlace(folder), { path: join(folder, 'control.sock'), moved: undefined })
})

test('without a directory, or with one of a long path, it lies in a private folder, and ctl looks there too', () => {
  const long = join(folder, 'x'.repeat(100))
  mkdirSync(long)
  for (const [directory, why] of [
    [join(folder, 'none'), /does not exist/],
    [long, /longer than 103 bytes/],
  ] as const) {
    const { path, moved } = controlPlace(directory)
    assert.match(moved ?? '', why)
    assert.match(path, /concordmq-\w+\/[0-9a-f]{16}\.sock$/)
    assert.ok(fits(path))
    assert.equal(controlPlaces(directory).at(-1), path)
  }
  assert.notEqual(controlPlace(long).path, controlPlace(join(folder, 'none')).path)
})

test('a directory that cannot be written does not keep a node from being spoken to', {
  skip: process.getuid?.() === 0 ? 'root may write everywhere' : false,
}, () => {
  const readOnly = join(folder, 'read-only')
  mkdirSync(readOnly)
  chmodSync(readOnly, 0o500)
  assert.match(controlPlace(readOnly).moved ?? '', /cannot be written/)
})

test('on Windows it is a named pipe', () => {
  assert.match(controlPlace(folder, { platform: 'win32' }).path, /^\\\\\.\\pipe\\concordmq-[0-9a-f]{16}$/)
  assert.deepEqual(controlPlaces(folder, { platform: 'win32' }), [controlPlace(folder, { platform: 'win32' }).path])
})

test('nodes of a cluster that share a directory have sockets of their own, and each is found by its number', () => {
  assert.equal(controlPlace(folder, { node: 3 }).path, join(folder, 'control-3.sock'))
  assert.equal(controlPlaces(folder, { node: 3 })[0], join(folder, 'control-3.sock'))
  assert.deepEqual(
    controlPlaces(folder).slice(0, 3),
    ['control.sock', 'control-0.sock', 'control-1.sock'].map((name) => join(folder, name)),
  )
})
