import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { withLock } from './with-lock.ts'

let directory = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'concordmq-lock-'))
})
afterEach(() => rmSync(directory, { recursive: true }))

test('withLock() waits until the other has let go, and leaves nothing behind', async () => {
  const path = join(directory, 'users.toml')
  const lock = join(directory, '.users.toml.lock')
  writeFileSync(lock, '')
  let done = false
  const waiting = withLock(path, () => {
    done = true
    assert.ok(existsSync(lock))
    return 7
  })
  assert.equal(done, false)
  rmSync(lock)
  assert.equal(await waiting, 7)
  assert.deepEqual(readdirSync(directory), [])
})

test('withLock() lets go when the change fails', async () => {
  const path = join(directory, 'users.toml')
  await assert.rejects(
    withLock(path, () => {
      throw new Error('no')
    }),
    /no/,
  )
  assert.deepEqual(readdirSync(directory), [])
})

test('withLock() takes the place of a lock that a killed process left behind', async () => {
  const lock = join(directory, '.users.toml.lock')
  writeFileSync(lock, '')
  const longAgo = new Date(Date.now() - 60_000)
  utimesSync(lock, longAgo, longAgo)
  assert.equal(await withLock(join(directory, 'users.toml'), () => 1), 1)
})

test('withLock() makes the directory that is not there yet, and is alone in it', async () => {
  const path = join(directory, 'new', 'users.toml')
  let inside = 0
  const change = () => {
    assert.deepEqual(readdirSync(join(directory, 'new')), ['.users.toml.lock'])
    return ++inside
  }
  assert.deepEqual(await Promise.all([withLock(path, change), withLock(path, change)]), [1, 2])
})
