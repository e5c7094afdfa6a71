import assert from 'node:assert/strict'
import { performance } from 'node:perf_hooks'
import { describe, it } from 'node:test'
import { ConcordError } from '../errors.ts'
import { silentLogger } from '../telemetry/logger.ts'
import { Access, type AccessVerdict } from './access.ts'
import { argon2OfNode, givesKnownAnswer, loadArgon2 } from './argon2.ts'
import { PasswordChecks } from './password-checks.ts'
import { makePasswordRecord, type PasswordRecord, parsePasswordRecord } from './password-record.ts'

/** The record of row F15, made with the reference tool: password `mypassword`. */
const seedRecord = '$argon2id$v=19$m=19456,t=2,p=1$Y29uY29yZG1xc2FsdDE2Yg$aS5S0lDwB8lJin8sFeLfvMgDsr9zBrPVVAMAqlmb4mI'
const users = new Map([['myagent', seedRecord]])

const info = { listener: 'tcp', remoteAddress: '127.0.0.1', remotePort: 1, encrypted: false }
const login = (username: string, password?: string) => ({
  clientId: 'c1',
  username,
  info,
  ...(password === undefined ? {} : { password: Buffer.from(password) }),
})
const reasonCode = (verdict: AccessVerdict) => (verdict.ok ? 0 : verdict.reasonCode)

/** A record whose check costs next to nothing. */
async function cheapRecord(password: string): Promise<string> {
  const input = { memory: 8, passes: 1, lanes: 1, salt: Buffer.from('saltsalt'), hashBytes: 16 }
  const b64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64').replaceAll('=', '')
  return `$argon2id$v=19$m=8,t=1,p=1$${b64(input.salt)}$${b64(await argon2OfNode(Buffer.from(password), input))}`
}

describe('Access', () => {
  it("lets the seed's user in with the right password and no other (row F15)", async () => {
    const access = new Access({ users }, silentLogger)
    assert.deepEqual(await access.authenticate(login('myagent', 'mypassword')), { ok: true, principal: 'myagent' })
    for (const wrong of ['mypassword ', 'MYPASSWORD', '']) {
      assert.equal(reasonCode(await access.authenticate(login('myagent', wrong))), 0x86)
    }
    assert.equal(reasonCode(await access.authenticate(login('myagent'))), 0x86)
    assert.equal(reasonCode(await access.authenticate(login('MyAgent', 'mypassword'))), 0x86)
  })

  it('gives the same answer for an unknown user as for a wrong password', async () => {
    const access = new Access({ users }, silentLogger)
    assert.deepEqual(
      await access.authenticate(login('nobody', 'mypassword')),
      await access.authenticate(login('myagent', 'wrong')),
    )
  })

  it('takes as long for an unknown user as for a wrong password', async () => {
    const access = new Access({ users }, silentLogger)
    await access.authenticate(login('myagent', 'warm up'))
    const fastest = async (name: string): Promise<number> => {
      const times: number[] = []
      for (let i = 0; i < 3; i++) {
        const start = performance.now()
        await access.authenticate(login(name, 'wrong'))
        times.push(performance.now() - start)
      }
      return Math.min(...times)
    }
    const [known, unknown] = [await fastest('myagent'), await fastest('nobody')]
    // A skipped check would take a hundredth; the bound leaves room for a loaded machine.
    assert.ok(unknown > known / 4, `unknown ${unknown} ms, known ${known} ms`)
  })

  it('refuses anonymous clients unless they are allowed, at once', () => {
    const closed = new Access({ users }, silentLogger).authenticate({ clientId: 'c1', info })
    assert.deepEqual(closed, { ok: false, reasonCode: 0x87, why: 'anonymous clients are not allowed' })
    const open = new Access({ allowAnonymous: true }, silentLogger)
    assert.deepEqual(open.authenticate({ clientId: 'c1', info }), { ok: true, principal: '' })
    assert.deepEqual(open.authenticate(login('', '')), { ok: true, principal: '' })
  })

  it('refuses a wrong login although anonymous clients are allowed (row F24)', async () => {
    const access = new Access({ allowAnonymous: true, users }, silentLogger)
    assert.equal(reasonCode(await access.authenticate(login('myagent', 'wrong'))), 0x86)
    assert.equal(reasonCode(await access.authenticate(login('nobody', 'x'))), 0x86)
    assert.equal(reasonCode(await access.authenticate(login('nobody'))), 0x86)
    const passwordOnly = access.authenticate({ clientId: 'c1', password: Buffer.from('token'), info })
    assert.equal(reasonCode(await passwordOnly), 0x86)
    assert.equal(reasonCode(await access.authenticate(login('myagent', 'mypassword'))), 0)
  })

  it('refuses as busy what is above the queue, logs one line, and goes on afterwards', async () => {
    const warnings: string[] = []
    const logger = { ...silentLogger, warn: (_fields: unknown, message: string) => void warnings.push(message) }
    const access = new Access({ users, passwordChecksMax: 1, passwordQueueMax: 2 }, logger)
    const answers = Array.from({ length: 6 }, async () => access.authenticate(login('myagent', 'mypassword')))
    const codes = (await Promise.all(answers)).map(reasonCode)
    assert.deepEqual(codes, [0, 0, 0, 0x89, 0x89, 0x89])
    assert.equal(warnings.length, 1)
    assert.equal(reasonCode(await access.authenticate(login('myagent', 'mypassword'))), 0)
  })

  it('takes over new users on reload, also against checks under way', async () => {
    const access = new Access({ users: new Map([...users, ['second', seedRecord]]) }, silentLogger)
    const removed = access.authenticate(login('myagent', 'mypassword'))
    const kept = access.authenticate(login('second', 'mypassword'))
    access.reload({ users: new Map([['second', seedRecord]]) })
    assert.equal(reasonCode(await removed), 0x86)
    assert.equal(reasonCode(await kept), 0)
  })

  it('refuses unusable records together, by user, and keeps the old ones', async () => {
    const access = new Access({ users }, silentLogger)
    const broken = new Map([
      ['alice', 'plain text'],
      ['bob', seedRecord],
      ['carol', seedRecord.replace('m=19456', 'm=999999999')],
    ])
    assert.throws(
      () => access.reload({ users: broken, allowAnonymous: true }),
      (error: Error) => {
        assert.ok(error instanceof ConcordError)
        assert.equal(error.code, 'CMQ_PASSWORD_RECORD')
        assert.match(error.message, /"alice" \(it is not of the form .*\), "carol" \(m is above 262144 KiB\)/)
        assert.doesNotMatch(error.message, /"bob"|aS5S0|plain text/)
        return true
      },
    )
    assert.throws(() => access.reload({ alowAnonymous: true } as object), { code: 'CMQ_OPTIONS' })
    assert.equal(reasonCode(await access.authenticate({ clientId: 'c1', info })), 0x87)
    assert.equal(reasonCode(await access.authenticate(login('myagent', 'mypassword'))), 0)
  })
})

describe('PasswordChecks', () => {
  it('runs at most checksMax at once, in the order of arrival', async () => {
    const record = parsePasswordRecord(await cheapRecord('pw')) as PasswordRecord
    for (const checksMax of [1, 2]) {
      const checks = new PasswordChecks({ checksMax, queueMax: 10 })
      const order: number[] = []
      const answers = [0, 1, 2, 3, 4].map((i) => {
        const answer = checks.check(record, Buffer.from('pw'))
        assert.ok(answer !== 'busy')
        return answer.then((fits) => {
          assert.ok(fits)
          assert.ok(checks.running <= checksMax)
          order.push(i)
        })
      })
      assert.equal(checks.running, checksMax)
      assert.equal(checks.waiting, 5 - checksMax)
      await Promise.all(answers)
      // Two at once may finish in either order.
      if (checksMax === 1) assert.deepEqual(order, [0, 1, 2, 3, 4])
      assert.equal(checks.waiting, 0)
    }
  })

  it('does not make a check whose asker has gone, and goes on with the next', async () => {
    const record = parsePasswordRecord(await cheapRecord('pw')) as PasswordRecord
    const checks = new PasswordChecks({ checksMax: 1, queueMax: 10 })
    let gone = false
    const first = checks.check(record, Buffer.from('pw'))
    const left = checks.check(record, Buffer.from('pw'), () => gone)
    const stayed = checks.check(record, Buffer.from('pw'), () => false)
    gone = true
    // The one that runs is finished; of those that wait, only the one that stayed is made.
    assert.deepEqual(await Promise.all([first, left, stayed]), [true, false, true])
    assert.equal(checks.waiting, 0)
  })

  it('does not hold up the event loop', async () => {
    const checks = new PasswordChecks({ checksMax: 2, queueMax: 100 })
    const record = parsePasswordRecord(seedRecord) as PasswordRecord
    let turns = 0
    let done = false
    const all = Promise.all(Array.from({ length: 6 }, async () => checks.check(record, Buffer.from('x')))).then(() => {
      done = true
    })
    while (!done) {
      await new Promise(setImmediate)
      turns++
    }
    await all
    assert.ok(turns > 20, `only ${turns} turns of the loop during six checks`)
  })
})

describe('parsePasswordRecord()', () => {
  it('reads the record of the seed', () => {
    const record = parsePasswordRecord(seedRecord)
    assert.ok(typeof record !== 'string' && record.kind === 'argon2id')
    assert.deepEqual([record.memory, record.passes, record.lanes], [19_456, 2, 1])
    assert.equal(Buffer.from(record.salt).toString(), 'concordmqsalt16b')
    assert.equal(record.hash.length, 32)
  })

  it('refuses everything else, saying why', () => {
    const form = /is not of the form/
    const cases: [string, RegExp][] = [
      ['', form],
      ['mypassword', form],
      [seedRecord.replace('argon2id', 'argon2i'), form],
      [seedRecord.replace('argon2id', 'argon2d'), form],
      [seedRecord.replace('v=19', 'v=16'), form],
      [seedRecord.replace('$v=19', ''), form],
      [seedRecord.replace('m=19456,t=2', 't=2,m=19456'), form],
      [seedRecord.replace('m=19456', 'm=019456'), form],
      [seedRecord.replace('m=19456', 'm=-1'), form],
      [seedRecord.replace('t=2', 't=0'), form],
      [seedRecord.replace('p=1', 'p=1,keyid=x'), form],
      [`${seedRecord}=`, form],
      [`${seedRecord}\n`, form],
      [` ${seedRecord}`, form],
      [seedRecord.replace('m=19456', 'm=262145'), /m is above/],
      [seedRecord.replace('m=19456', 'm=107374182400'), form],
      [seedRecord.replace('m=19456', 'm=4294967295'), /m is above/],
      [seedRecord.replace('t=2', 't=17'), /t is above/],
      [seedRecord.replace('p=1', 'p=17'), /p is above/],
      [seedRecord.replace('m=19456,t=2,p=1', 'm=15,t=2,p=2'), /m is below/],
      [seedRecord.replace('Y29uY29yZG1xc2FsdDE2Yg', 'c2FsdA'), /the salt/],
      [seedRecord.replace('Y29uY29yZG1xc2FsdDE2Yg', 'Y29uY29yZG1xc2FsdDE2Yh'), /the salt is not base64/],
      [seedRecord.replace(/[^$]+$/, 'aS5S0lDwB8k'), /the hash/],
      [seedRecord.replace(/[^$]+$/, 'A'.repeat(128)), /the hash/],
    ]
    for (const [text, why] of cases) {
      const problem = parsePasswordRecord(text)
      assert.ok(typeof problem === 'string', `${text} was taken`)
      assert.match(problem, why, text)
    }
  })
})

describe('makePasswordRecord()', () => {
  it('makes records that fit their password and are salted', async () => {
    const [first, second] = await Promise.all([makePasswordRecord('pässwörd'), makePasswordRecord('pässwörd')])
    assert.notEqual(first, second)
    assert.match(first, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/)
    const access = new Access({ users: new Map([['a', first]]) }, silentLogger)
    assert.equal(reasonCode(await access.authenticate(login('a', 'pässwörd'))), 0)
    assert.equal(reasonCode(await access.authenticate(login('a', 'password'))), 0x86)
  })

  it('refuses an empty password and one no client could send', async () => {
    await assert.rejects(makePasswordRecord(''), { code: 'CMQ_PASSWORD' })
    await assert.rejects(makePasswordRecord('x'.repeat(65_536)), { code: 'CMQ_PASSWORD' })
  })
})

describe('loadArgon2()', () => {
  it('gives an implementation that knows the known answer, whichever is installed', async () => {
    assert.equal(await givesKnownAnswer(await loadArgon2()), true)
    assert.equal(await givesKnownAnswer(argon2OfNode), true)
  })

  it('does not trust an implementation that answers something else or fails', async () => {
    assert.equal(await givesKnownAnswer(async () => new Uint8Array(32)), false)
    assert.equal(await givesKnownAnswer(async () => new Uint8Array(0)), false)
    assert.equal(await givesKnownAnswer(() => Promise.reject(new Error('not supported'))), false)
  })
})
