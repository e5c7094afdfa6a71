/** SCRAM records in users.toml: made, kept apart by their password, and used. */
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { parseScramRecord } from '@concordmq/broker'
import { at, run } from '../program.testkit.ts'
import { refusal } from '../refusal.testkit.ts'
import { appendUser, deleteUser, formatUser, parseUsersFile, replaceUser } from './users-file.ts'

const path = 'users.toml'
const record = '$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA'
const keys = `${Buffer.alloc(32, 1).toString('base64')}:${Buffer.alloc(32, 2).toString('base64')}`
const scram = `SCRAM-SHA-256$4096:${Buffer.alloc(16, 3).toString('base64')}$${keys}`
const any = () => undefined

test('records stand beside the password record, and go with its password', () => {
  const text = appendUser('# top\n', 'alice', { record, scram: [scram], path })
  assert.deepEqual(parseUsersFile(text, path, any).scram, new Map([['alice', [scram]]]))
  const other = replaceUser(text, 'alice', { record: `${record}x`, path })
  assert.equal(parseUsersFile(other, path, any).scram.size, 0)
  assert.equal(parseUsersFile(other, path, any).users.get('alice'), `${record}x`)
  const again = replaceUser(other, 'alice', { record, scram: [scram], path })
  assert.deepEqual(parseUsersFile(again, path, any).scram.get('alice'), [scram])
  assert.equal(deleteUser(again, 'alice', path).trim(), '# top')
})

test('a bad record is refused without being shown, under its own key only', () => {
  for (const [line, why] of [
    ['scram-sha-256 = "hunter2"', /scram-sha-256: it is not of the form/],
    [`scram-sha-512 = "${scram}"`, /scram-sha-512: it is a record of SCRAM-SHA-256/],
    ['scram-sha-256 = 5', /it is no text/],
    ['scram-sha-1 = "hunter2"', /"scram-sha-1" is no key of a user/],
  ] as const) {
    const { message } = refusal(() => parseUsersFile(`${formatUser('a', record)}${line}\n`, path, any))
    assert.match(message, why)
    assert.doesNotMatch(message, /hunter2/)
  }
})

test('user add --scram makes both records; --replace without it takes them away', async () => {
  assert.equal((await run(['user', 'add', 'alice', '--scram'], { input: 'pencil\n' })).code, 0)
  const file = at('concordmq.d', 'users.toml')
  const lines = readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('scram-'))
  assert.deepEqual(
    lines.map((line) => line.split(' ')[0]),
    ['scram-sha-256', 'scram-sha-512'],
  )
  for (const line of lines) assert.equal(typeof parseScramRecord(/"(.*)"/.exec(line)?.[1] ?? ''), 'object')
  assert.equal((await run(['user', 'add', 'alice', '--replace'], { input: 'other\n' })).code, 0)
  assert.doesNotMatch(readFileSync(file, 'utf8'), /scram/)
  const made = await run(['user', 'generate', 'bob', '--scram'], { input: 'pencil\n' })
  writeFileSync(file, made.stdout, { mode: 0o600 })
  assert.equal((await run(['user', 'list'])).stdout, 'bob\n')
})
