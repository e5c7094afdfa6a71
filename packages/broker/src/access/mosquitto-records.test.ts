import assert from 'node:assert/strict'
import { createHash, pbkdf2Sync } from 'node:crypto'
import { test } from 'node:test'
import { silentLogger } from '../telemetry/logger.ts'
import { Access } from './access.ts'
import { Dummies } from './dummies.ts'
import { makePasswordRecord, type PasswordRecord, parsePasswordRecord } from './password-record.ts'

/** Written by `mosquitto_passwd -b -H sha512-pbkdf2` and `-H sha512` (2.0.11) for the password "wherefore". */
const written = {
  pbkdf2:
    '$7$101$S+Gjy8p7qJKsCgPD$k5Sktc2vwj0/uUBgHujx86IQHGF8h63Ho/MS0UJ5Nt0EBmD0QXutNS5k/dNsl17GmC465/GwaUfMFkqrOfzVmw==',
  sha512:
    '$6$9qwr4SyXGpSnoF2X$MGzfkT0qJ/7XGJiTcs2yC3w9dsJ41/uoDq7BuiyolqaM1rpk5pVUJ3x51XYqnjPT+BgUimuB9KJuO5ooYTwFqw==',
}

function pbkdf2Record(password: string, iterations = 101, salt = Buffer.from('twelve bytes')): string {
  const hash = pbkdf2Sync(password, salt, iterations, 64, 'sha512')
  return `$7$${iterations}$${salt.toString('base64')}$${hash.toString('base64')}`
}

function sha512Record(password: string, salt = Buffer.from('twelve bytes')): string {
  const hash = createHash('sha512').update(password).update(salt).digest('base64')
  return `$6$${salt.toString('base64')}$${hash}`
}

const info = { listener: 'tcp', remoteAddress: '127.0.0.1', encrypted: false }
const login = (access: Access, username: string, password: string) =>
  access.authenticate({ clientId: 'c', username, password: Buffer.from(password), info })

test("Mosquitto's records are checked like our own, and only the right password fits", async () => {
  const users = new Map([
    ['pbkdf2', pbkdf2Record('one')],
    ['many', pbkdf2Record('two', 20_000)],
    ['sha512', sha512Record('three')],
    ['argon2', await makePasswordRecord('four')],
    ['written pbkdf2', written.pbkdf2],
    ['written sha512', written.sha512],
  ])
  const access = new Access({ users }, silentLogger)
  for (const [name, password] of [
    ['pbkdf2', 'one'],
    ['many', 'two'],
    ['sha512', 'three'],
    ['argon2', 'four'],
    ['written pbkdf2', 'wherefore'],
    ['written sha512', 'wherefore'],
  ] as const) {
    assert.equal((await login(access, name, password)).ok, true, name)
    assert.equal((await login(access, name, 'five')).ok, false, name)
    assert.equal((await login(access, name, '')).ok, false, name)
    assert.equal((await login(access, 'nobody', password)).ok, false)
  }
})

test('records that are damaged or ask for too much are refused in words, without showing any of it', () => {
  const good = pbkdf2Record('x')
  const [, , , salt = '', hash = ''] = good.split('$')
  for (const [text, problem] of [
    [`$7$0$${salt}$${hash}`, /form \$7\$/],
    [`$7$5000001$${salt}$${hash}`, /iterations are above 5000000/],
    [`$7$99999999999$${salt}$${hash}`, /form \$7\$/],
    [`$7$101$$${hash}`, /salt/],
    [`$7$101$${Buffer.alloc(65).toString('base64')}$${hash}`, /salt/],
    [`$7$101$${salt}$${hash.slice(0, -4)}`, /hash is not base64 of 64 bytes/],
    [`$7$101$${salt}$${hash.replace('=', '')}`, /hash/],
    [`$7$101$${salt}`, /form \$7\$/],
    [`$6$${salt}`, /form \$6\$/],
    [`$6$${salt}$${hash}$`, /form \$6\$/],
    ['$5$a$b', /form \$argon2id/],
  ] as const) {
    const parsed = parsePasswordRecord(text)
    assert.equal(typeof parsed, 'string', text)
    assert.match(parsed as string, problem)
    assert.ok(!(parsed as string).includes(hash.slice(0, 20)))
  }
})

test('unknown names cost what some known name costs, each always the same', () => {
  const records = [parsePasswordRecord(pbkdf2Record('a')), parsePasswordRecord(sha512Record('b'))] as PasswordRecord[]
  const dummies = new Dummies(records)
  const kinds = new Set<string>()
  for (let i = 0; i < 64; i++) {
    const dummy = dummies.of(`user-${i}`)
    assert.equal(dummies.of(`user-${i}`), dummy)
    kinds.add(dummy.kind)
    assert.ok(!records.some(({ hash }) => Buffer.compare(hash, dummy.hash) === 0))
  }
  assert.deepEqual([...kinds].sort(), ['pbkdf2-sha512', 'sha512'])
  assert.equal(new Dummies([]).of('x').kind, 'argon2id')
})
