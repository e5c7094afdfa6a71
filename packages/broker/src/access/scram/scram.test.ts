import assert from 'node:assert/strict'
import { createHash, createHmac } from 'node:crypto'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { EnhancedExchange, EnhancedVerdict } from '../../config/options.ts'
import { ScramAuthenticator } from './scram-authenticator.ts'
import { challenge, finish, MESSAGE_BYTES_MAX, readClientFirst, unknownRecord } from './scram-exchange.ts'
import { deriveScramKeys, makeScramRecord, parseScramRecord, type ScramMethod } from './scram-record.ts'

const text = (data: string): Buffer => Buffer.from(data)

/** The example of RFC 7677 section 3: user `user`, password `pencil`. */
const rfc = {
  first: 'n,,n=user,r=rOprNGfwEbeRWgbNEkqO',
  nonce: '%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0',
  salt: 'W22ZaJ0SNY7soEsUEjb6gQ==',
  challenge: 'r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096',
  final: 'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=',
  answer: 'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=',
} as const

async function rfcChallenge() {
  const salt = Buffer.from(rfc.salt, 'base64')
  const settings = { method: 'SCRAM-SHA-256', iterations: 4096, salt } as const
  const record = { ...settings, ...(await deriveScramKeys('pencil', settings)) }
  const first = readClientFirst(text(rfc.first))
  assert.ok(typeof first !== 'string')
  return challenge(first, record, rfc.nonce)
}

/** What a client computes (RFC 5802 section 3), written apart from the server's code. */
function clientFinal(password: string, method: ScramMethod, bare: string, asked: string, header = 'n,,'): string {
  const name = method === 'SCRAM-SHA-256' ? 'sha256' : 'sha512'
  const fields = Object.fromEntries(asked.split(',').map((field) => [field[0], field.slice(2)]))
  const mac = (key: Uint8Array, data: string | Uint8Array) => createHmac(name, key).update(data).digest()
  let block = mac(
    Buffer.from(password),
    Buffer.concat([Buffer.from(fields.s ?? '', 'base64'), Buffer.from([0, 0, 0, 1])]),
  )
  const salted = Buffer.from(block)
  for (let i = 1; i < Number(fields.i); i++) {
    block = mac(Buffer.from(password), block)
    for (let j = 0; j < salted.length; j++) salted[j] = (salted[j] as number) ^ (block[j] as number)
  }
  const clientKey = mac(salted, 'Client Key')
  const storedKey = createHash(name).update(clientKey).digest()
  const without = `c=${Buffer.from(header).toString('base64')},r=${fields.r}`
  const signature = mac(storedKey, `${bare},${asked},${without}`)
  return `${without},p=${Buffer.from(clientKey.map((byte, i) => byte ^ (signature[i] as number))).toString('base64')}`
}

describe('the exchange', () => {
  test('is that of the example of RFC 7677, in both directions', async () => {
    const asked = await rfcChallenge()
    assert.equal(asked.text, rfc.challenge)
    assert.deepEqual(finish(asked, text(rfc.final)), { data: text(rfc.answer) })
    assert.equal(clientFinal('pencil', 'SCRAM-SHA-256', 'n=user,r=rOprNGfwEbeRWgbNEkqO', rfc.challenge), rfc.final)
  })

  test('refuses a proof, nonce or binding that is not right', async () => {
    const asked = await rfcChallenge()
    for (const [wrong, why] of [
      [rfc.final.replace('p=d', 'p=e'), /proof/],
      [rfc.final.replace('p=dHzb', 'p='), /proof/],
      [rfc.final.replace('k0,p', 'k1,p'), /nonce/],
      [rfc.final.replace('c=biws', 'c=eSws'), /binding/],
      ['', /malformed/],
      [`${rfc.final},x=y`, /malformed/],
      ['p=AAAA', /malformed/],
      ['x'.repeat(MESSAGE_BYTES_MAX + 1), /malformed/],
    ] as const) {
      const outcome = finish(asked, text(wrong))
      assert.match(typeof outcome === 'string' ? outcome : 'let in', why, wrong.slice(0, 80))
    }
  })

  test('takes names with comma and equals sign, and refuses what it does not support', () => {
    const named = (name: string) => readClientFirst(text(`n,,n=${name},r=abcdefgh`))
    const read = named('a=2Cb=3Dc')
    assert.equal(typeof read === 'string' ? read : read.username, 'a,b=c')
    for (const [message, why] of [
      ['p=tls-unique,,n=user,r=abcdefgh', /channel binding/],
      ['n,,m=x,n=user,r=abcdefgh', /extension/],
      ['n,a=other,n=user,r=abcdefgh', /another user/],
      ['n,,n=a=2cb,r=abcdefgh', /malformed/],
      ['n,,n=,r=abcdefgh', /malformed/],
      ['n,,n=user,r=short', /malformed/],
      ['n,,n=user', /malformed/],
      ['x,,n=user,r=abcdefgh', /malformed/],
      [`n,,n=${'u'.repeat(MESSAGE_BYTES_MAX)},r=abcdefgh`, /too long/],
    ] as const) {
      const outcome = readClientFirst(text(message))
      assert.match(typeof outcome === 'string' ? outcome : 'taken', why, message.slice(0, 60))
    }
    assert.equal(typeof readClientFirst(Buffer.from([0xff, 0xfe])), 'string')
    const same = readClientFirst(text('y,a=user,n=user,r=abcdefgh'))
    assert.equal(typeof same === 'string' ? same : same.header, 'y,a=user,')
  })

  test('never throws, whatever bytes come', async () => {
    const asked = await rfcChallenge()
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.string({ maxLength: 100 }), (bytes, chars) => {
        for (const data of [bytes, text(chars), text(`n,,${chars}`), text(`c=${chars},r=${chars},p=${chars}`)]) {
          readClientFirst(data)
          assert.equal(typeof finish(asked, data), 'string')
        }
      }),
      { numRuns: 2_000 },
    )
  })

  test('asks for a user who is not there in the same way each time, and differently from other names and secrets', () => {
    const of = (name: string, byte = 1) =>
      unknownRecord(name, { method: 'SCRAM-SHA-256', iterations: 4096, saltBytes: 16, secret: Buffer.alloc(32, byte) })
    assert.deepEqual(of('a'), of('a'))
    assert.notDeepEqual(of('a').salt, of('b').salt)
    assert.notDeepEqual(of('a').salt, of('a', 2).salt)
    assert.equal(of('a').salt.length, 16)
    assert.equal(of('a').storedKey.length, 32)
  })
})

describe('records', () => {
  test('are made for both methods, and read back', async () => {
    for (const [method, bytes] of [
      ['SCRAM-SHA-256', 32],
      ['SCRAM-SHA-512', 64],
    ] as const) {
      const record = parseScramRecord(await makeScramRecord('pencil', { method, iterations: 4096 }))
      assert.ok(typeof record !== 'string')
      assert.deepEqual(
        [record.method, record.iterations, record.salt.length, record.storedKey.length],
        [method, 4096, 16, bytes],
      )
    }
  })

  test("take PostgreSQL's form and refuse anything else without showing it", async () => {
    const good = await makeScramRecord('pencil', { iterations: 4096 })
    const [method, rest = '', keys = ''] = good.split('$')
    for (const [bad, why] of [
      ['', /form/],
      [good.replace('SHA-256', 'SHA-1'), /form/],
      [`${method}$4095:${rest.split(':')[1]}$${keys}`, /iterations/],
      [`${method}$1000001:${rest.split(':')[1]}$${keys}`, /iterations/],
      [`${method}$4096:AAAA$${keys}`, /salt/],
      [`${method}$${rest}$AAAA:AAAA`, /keys/],
      [good.replace('SHA-256', 'SHA-512'), /keys/],
      [`${good}x`, /form/],
    ] as const) {
      const outcome = parseScramRecord(bad)
      assert.match(typeof outcome === 'string' ? outcome : 'taken', why, bad)
    }
  })

  test('prepare a password as clients do (SASLprep)', async () => {
    const settings = { method: 'SCRAM-SHA-256', iterations: 4096, salt: Buffer.from('saltsalt') } as const
    const of = (password: string) => deriveScramKeys(password, settings)
    assert.deepEqual(await of('I\u00adX'), await of('IX'))
    assert.deepEqual(await of('\u2168'), await of('IX'))
    assert.deepEqual(await of('a\u00a0b'), await of('a b'))
    assert.deepEqual(await of('e\u0301'), await of('\u00e9'))
    for (const password of ['', '\u00ad', 'a\u0007', '\ud800'])
      await assert.rejects(of(password), { code: 'CMQ_PASSWORD' })
  })
})

describe('ScramAuthenticator', () => {
  const bare = (name: string) => `n=${name},r=fyko+d2lbbFgONRv9qkxdawL`

  function exchange(method: string, data: string | undefined, state?: unknown, username?: string): EnhancedExchange {
    return {
      clientId: 'c',
      username,
      method,
      data: data === undefined ? undefined : text(data),
      reAuthentication: false,
      state,
    }
  }

  function dataOf(verdict: EnhancedVerdict): string {
    assert.notEqual(verdict.verdict, 'refuse')
    return 'data' in verdict ? String(Buffer.from(verdict.data ?? [])) : ''
  }

  function login(scram: ScramAuthenticator, method: ScramMethod, name: string, password: string): EnhancedVerdict {
    const begun = exchange(method, `n,,${bare(name)}`)
    const asked = dataOf(scram.step(begun))
    return scram.step(exchange(method, clientFinal(password, method, bare(name), asked), begun.state))
  }

  async function withUsers(): Promise<ScramAuthenticator> {
    const scram = new ScramAuthenticator()
    const records = await Promise.all([
      makeScramRecord('pencil', { iterations: 4096 }),
      makeScramRecord('pencil', { iterations: 4096, method: 'SCRAM-SHA-512' }),
    ])
    scram.reload(new Map([['alice', records]]), Buffer.alloc(32, 7))
    return scram
  }

  test('lets a user in by either method, with the right password only', async () => {
    const scram = await withUsers()
    for (const method of ['SCRAM-SHA-256', 'SCRAM-SHA-512'] as const) {
      const yes = login(scram, method, 'alice', 'pencil')
      assert.equal(yes.verdict === 'success' && yes.principal, 'alice')
      assert.equal(login(scram, method, 'alice', 'pen').verdict, 'refuse')
      assert.equal(login(scram, method, 'bob', 'pencil').verdict, 'refuse')
    }
    assert.deepEqual(login(scram, 'SCRAM-SHA-256', 'bob', 'x'), login(scram, 'SCRAM-SHA-256', 'alice', 'x'))
  })

  test('offers a method only while somebody has a record of it', async () => {
    const scram = await withUsers()
    assert.deepEqual(scram.methods, ['SCRAM-SHA-256', 'SCRAM-SHA-512'])
    scram.reload(new Map([['alice', [await makeScramRecord('x', { iterations: 4096 })]]]), undefined)
    assert.deepEqual(scram.methods, ['SCRAM-SHA-256'])
    scram.reload(undefined, undefined)
    assert.deepEqual(scram.methods, [])
  })

  test('asks an unknown user like a known one: same iterations, same length of salt, the same salt again', async () => {
    const scram = await withUsers()
    const ask = (name: string) =>
      dataOf(scram.step(exchange('SCRAM-SHA-256', `n,,${bare(name)}`))).replace(/^r=[^,]*/, '')
    assert.equal(ask('bob'), ask('bob'))
    assert.notEqual(ask('bob'), ask('carol'))
    assert.equal(ask('bob').length, ask('alice').length)
    assert.match(ask('bob'), /,i=4096$/)
  })

  test('costs the same for known and unknown users', async () => {
    const scram = await withUsers()
    const fastest = (name: string): number => {
      let best = Number.POSITIVE_INFINITY
      for (let i = 0; i < 200; i++) {
        const start = performance.now()
        const begun = exchange('SCRAM-SHA-256', `n,,${bare(name)}`)
        const asked = dataOf(scram.step(begun))
        const nonce = /^r=([^,]*)/.exec(asked)?.[1]
        scram.step(exchange('SCRAM-SHA-256', `c=biws,r=${nonce},p=${Buffer.alloc(32).toString('base64')}`, begun.state))
        best = Math.min(best, performance.now() - start)
      }
      return best
    }
    fastest('alice')
    const [known, unknown] = [fastest('alice'), fastest('bob')]
    // A path of its own for unknown users would cost a fraction; the bound leaves room for a loaded machine.
    assert.ok(unknown > known / 2 && unknown < known * 2, `unknown ${unknown} ms, known ${known} ms`)
  })

  test('begins when asked, refuses two names, and a user who is removed meanwhile', async () => {
    const scram = await withUsers()
    const silent = exchange('SCRAM-SHA-256', undefined)
    assert.deepEqual(scram.step(silent), { verdict: 'continue' })
    const begun = exchange('SCRAM-SHA-256', `n,,${bare('alice')}`, silent.state)
    const asked = dataOf(scram.step(begun))
    assert.equal(scram.step(exchange('SCRAM-SHA-256', `n,,${bare('alice')}`, undefined, 'bob')).verdict, 'refuse')
    const final = clientFinal('pencil', 'SCRAM-SHA-256', bare('alice'), asked)
    scram.reload(new Map([['alice', [await makeScramRecord('other', { iterations: 4096 })]]]), undefined)
    assert.equal(scram.step(exchange('SCRAM-SHA-256', final, begun.state)).verdict, 'refuse')
  })

  test('refuses bad records, two of one method and a short secret, and keeps what it had', async () => {
    const scram = await withUsers()
    const record = await makeScramRecord('x', { iterations: 4096 })
    for (const [records, secret] of [
      [new Map([['bob', ['nonsense']]]), undefined],
      [new Map([['bob', [record, record]]]), undefined],
      [new Map(), Buffer.alloc(15)],
    ] as const) {
      assert.throws(() => scram.reload(records, secret), { code: 'CMQ_SCRAM_RECORD' })
    }
    assert.equal(login(scram, 'SCRAM-SHA-256', 'alice', 'pencil').verdict, 'success')
  })
})
