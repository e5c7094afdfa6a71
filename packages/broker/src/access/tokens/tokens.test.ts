import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { TokenOptions } from '../../config/options.ts'
import {
  claims,
  ecPair,
  edPair,
  hmacToken,
  inSeconds,
  jwkOf,
  part,
  pemOf,
  rsaPair,
  secret,
  signedToken,
} from './token.testkit.ts'
import { GRANTS_MAX, looksLikeToken, TokenChecks } from './token-checks.ts'
import { KEYS_MAX } from './token-keys.ts'

const set = (...keys: readonly object[]): string => JSON.stringify({ keys })

async function check(options: TokenOptions, token: string, username?: string) {
  return new TokenChecks(options).check(token, username)
}

async function refuses(options: TokenOptions, token: string, why: RegExp, username?: string): Promise<void> {
  const verdict = await check(options, token, username)
  assert.equal(verdict.ok, false, token)
  assert.match(verdict.ok ? '' : verdict.why, why)
  assert.equal(verdict.ok ? 0 : verdict.reasonCode, 0x86)
}

describe('tokens', () => {
  test('of every algorithm are taken with their key: secret, PEM and JWK Set', async () => {
    for (const alg of ['HS256', 'HS384', 'HS512']) {
      const token = hmacToken(claims, { alg })
      assert.equal((await check({ secret }, token)).ok, true, alg)
      assert.equal((await check({ jwks: set({ kty: 'oct', k: secret.toString('base64url') }) }, token)).ok, true, alg)
    }
    const p384 = generateKeyPairSync('ec', { namedCurve: 'secp384r1' })
    const p521 = generateKeyPairSync('ec', { namedCurve: 'secp521r1' })
    for (const [alg, { privateKey, publicKey }] of [
      ['RS256', rsaPair],
      ['RS384', rsaPair],
      ['RS512', rsaPair],
      ['PS256', rsaPair],
      ['PS384', rsaPair],
      ['PS512', rsaPair],
      ['ES256', ecPair],
      ['ES384', p384],
      ['ES512', p521],
      ['EdDSA', edPair],
      ['Ed25519', edPair],
    ] as const) {
      const token = signedToken(claims, { alg, key: privateKey })
      assert.equal((await check({ pem: pemOf(publicKey) }, token)).ok, true, alg)
      assert.equal((await check({ jwks: set(jwkOf(publicKey)) }, token)).ok, true, alg)
    }
  })

  test('say who the client is, what it may do and until when', async () => {
    const payload = { ...claims, exp: inSeconds(60), publish: ['a/%c'], subscribe: ['b/#', '+/c'] }
    const verdict = await check({ secret, leewaySeconds: 5 }, hmacToken(payload))
    assert.ok(verdict.ok)
    assert.equal(verdict.principal, 'alice')
    assert.deepEqual(verdict.grants, { publish: ['a/%c'], subscribe: ['b/#', '+/c'] })
    assert.ok((verdict.endsInMs ?? 0) > 60_000 && (verdict.endsInMs ?? 0) <= 65_000, String(verdict.endsInMs))
    const other = await check(
      { secret, userClaim: 'client', publishClaim: 'p', subscribeClaim: 's', requireExpiry: false },
      hmacToken({ client: 'bob', p: [] }),
    )
    assert.deepEqual(other, {
      ok: true,
      principal: 'bob',
      grants: { publish: [], subscribe: undefined },
      endsInMs: undefined,
    })
    assert.equal((await check({ secret, endsWithToken: false }, hmacToken(claims))).ok, true)
  })

  test('are refused when expired, not valid yet, of another issuer or audience, or without what is demanded', async () => {
    await refuses({ secret }, hmacToken({ ...claims, exp: inSeconds(-20) }), /expired/)
    assert.equal((await check({ secret, leewaySeconds: 60 }, hmacToken({ ...claims, exp: inSeconds(-20) }))).ok, true)
    await refuses({ secret }, hmacToken({ ...claims, nbf: inSeconds(60) }), /"nbf"/)
    await refuses({ secret }, hmacToken({ sub: 'alice' }), /"exp"/)
    await refuses({ secret }, hmacToken({ exp: claims.exp }), /"sub"/)
    await refuses({ secret, issuer: 'us' }, hmacToken(claims), /"iss"/)
    await refuses({ secret, issuer: 'us' }, hmacToken({ ...claims, iss: 'them' }), /"iss"/)
    await refuses({ secret, audience: 'mqtt' }, hmacToken({ ...claims, aud: ['web'] }), /"aud"/)
    assert.equal(
      (
        await check(
          { secret, issuer: 'us', audience: 'mqtt' },
          hmacToken({ ...claims, iss: 'us', aud: ['web', 'mqtt'] }),
        )
      ).ok,
      true,
    )
    await refuses({ secret }, hmacToken({ ...claims, exp: 'tomorrow' }), /"exp"/)
  })

  test('of alg none, of a forged algorithm, and signed with a public key as secret are refused (key confusion)', async () => {
    const pem = pemOf(rsaPair.publicKey)
    for (const alg of ['none', 'None', 'NONE', '', undefined, 5]) {
      const token = `${part({ alg })}.${part(claims)}.`
      await refuses({ pem }, token, /no key is for the algorithm/)
      await refuses({ secret }, token, /no key is for the algorithm/)
    }
    for (const text of [pem, pem.trim(), JSON.stringify(jwkOf(rsaPair.publicKey))]) {
      await refuses({ pem }, hmacToken(claims, { key: Buffer.from(text) }), /no key is for the algorithm/)
    }
    // Beside a secret, the algorithm of the secret is verified with the secret alone.
    await refuses({ pem, secret }, hmacToken(claims, { key: Buffer.from(pem) }), /signature/)
    await refuses(
      { pem, algorithms: ['RS512'] },
      signedToken(claims, { alg: 'RS256', key: rsaPair.privateKey }),
      /no key is for the algorithm/,
    )
    const [head, body] = hmacToken(claims).split('.')
    await refuses(
      { secret },
      `${head}.${part({ ...claims, sub: 'root' })}.${hmacToken(claims).split('.')[2]}`,
      /signature/,
    )
    await refuses({ secret }, `${head}.${body}.`, /signature|malformed/)
    await refuses({ secret }, hmacToken(claims, { header: { crit: ['x'], x: 1 } }), /malformed/)
    await refuses({ secret }, hmacToken(claims, { header: { b64: false, crit: ['b64'] } }), /malformed/)
  })

  test('name their key: another one of the set does not do, and a self-signed one is nobody’s', async () => {
    const stranger = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
    const jwks = set(jwkOf(ecPair.publicKey, { kid: 'one' }), jwkOf(stranger.publicKey, { kid: 'two' }))
    const by = (kid: string | undefined, key = ecPair.privateKey) =>
      signedToken(claims, { alg: 'ES256', key, header: { kid } })
    assert.equal((await check({ jwks }, by('one'))).ok, true)
    assert.equal((await check({ jwks }, by(undefined, stranger.privateKey))).ok, true)
    await refuses({ jwks }, by('two'), /signature/)
    await refuses({ jwks }, by('three'), /names a key that is not there/)
    const self = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
    const header = { jwk: self.publicKey.export({ format: 'jwk' }) }
    await refuses({ jwks }, signedToken(claims, { alg: 'ES256', key: self.privateKey, header }), /signature/)
  })

  test('must name the user that CONNECT names, if it names one', async () => {
    assert.equal((await check({ secret }, hmacToken(claims), 'alice')).ok, true)
    assert.equal((await check({ secret }, hmacToken(claims), '')).ok, true)
    await refuses({ secret }, hmacToken(claims), /user name is not the token's/, 'bob')
  })

  test('with odd names and odd claims are refused', async () => {
    for (const sub of ['', 'a\u0000', '\ud800', 5, null, ['alice'], {}]) {
      await refuses({ secret }, hmacToken({ ...claims, sub }), /"sub"/)
    }
    for (const publish of ['a', {}, null, [1], ['a/#/b'], ['$share/g/a'], [''], new Array(GRANTS_MAX + 1).fill('a')]) {
      await refuses({ secret }, hmacToken({ ...claims, publish }), /"publish"/)
      await refuses({ secret }, hmacToken({ ...claims, subscribe: publish }), /"subscribe"/)
    }
    assert.equal((await check({ secret }, hmacToken({ ...claims, sub: '+/#' }))).ok, true)
  })

  test('never make it throw, whatever they are', async () => {
    const checks = new TokenChecks({ secret, pem: pemOf(ecPair.publicKey) })
    const anyPart = fc.oneof(fc.json().map(part), fc.base64String(), fc.string())
    await fc.assert(
      fc.asyncProperty(anyPart, anyPart, anyPart, async (a, b, c) => {
        assert.equal((await checks.check(`${a}.${b}.${c}`, undefined)).ok, false)
      }),
      { numRuns: 1_000 },
    )
    assert.equal(checks.waiting, 0)
  })

  test('are told from passwords by their form', () => {
    assert.equal(looksLikeToken(hmacToken(claims)), true)
    assert.equal(looksLikeToken(`${part({ alg: 'none' })}.${part(claims)}.`), true)
    for (const text of ['', 'correct horse', 'a.b.c', 'eyJ', 'eyJhbGciOiJub25lIn0', 'ey.J.x y'])
      assert.equal(looksLikeToken(text), false)
  })
})

describe('keys of tokens', () => {
  const refusal = (options: TokenOptions): string => {
    try {
      new TokenChecks(options)
    } catch (error) {
      assert.equal((error as { readonly code?: string }).code, 'CMQ_TOKENS')
      return (error as Error).message
    }
    assert.fail('taken')
  }

  test('damaged, weak, private or unfit ones are refused with their place', () => {
    const weak = generateKeyPairSync('rsa', { modulusLength: 1024 })
    const other = generateKeyPairSync('ec', { namedCurve: 'secp256k1' })
    const x25519 = generateKeyPairSync('x25519')
    for (const [options, why] of [
      [{}, /there is no key/],
      [{ jwks: '{' }, /jwks: it is not JSON/],
      [{ jwks: '[]' }, /no JWK Set/],
      [{ jwks: 'null' }, /no JWK Set/],
      [{ jwks: '{"keys":[1]}' }, /key 0 must be an object/],
      [{ jwks: set({ kty: 'RSA', kid: 'x', n: '!!', e: 'AQAB' }) }, /key 0 \("x"\): /],
      [{ jwks: set({ kty: 'EC', crv: 'P-256', x: 'AA', y: 'AA' }) }, /key 0: it cannot be read/],
      [{ jwks: set({ kty: 'oct' }) }, /no "k"/],
      [{ jwks: set({ kty: 'oct', k: 'c2hvcnQ' }) }, /at least 32 bytes/],
      [{ jwks: set(ecPair.privateKey.export({ format: 'jwk' })) }, /private key/],
      [{ jwks: set(jwkOf(ecPair.publicKey, { alg: 'RS256' })) }, /"alg" does not fit/],
      [{ jwks: set({ kty: 'martian' }) }, /there is no key/],
      [{ jwks: set(jwkOf(rsaPair.publicKey, { use: 'enc' })) }, /there is no key/],
      [{ jwks: set(...new Array<object>(KEYS_MAX + 1).fill(jwkOf(ecPair.publicKey))) }, /more than 100 keys/],
      [{ pem: 'x' }, /no PEM key/],
      [{ pem: `${pemOf(ecPair.publicKey)}-----BEGIN PUBLIC KEY-----\nAAAA\n` }, /one of its blocks is damaged/],
      [{ pem: '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----' }, /block 0: it cannot be read/],
      [{ pem: rsaPair.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString() }, /private key/],
      [{ pem: pemOf(weak.publicKey) }, /at least 2048 bits/],
      [{ pem: pemOf(other.publicKey) }, /curve secp256k1/],
      [{ pem: pemOf(x25519.publicKey) }, /x25519/],
      [{ secret: Buffer.alloc(31) }, /at least 32 bytes/],
      [{ secret, algorithms: ['RS256'] }, /none of these is among the algorithms/],
    ] as const) {
      assert.match(refusal(options), why)
    }
  })

  test('unknown and wrong options are problems, all at once', () => {
    const message = refusal({
      secrets: secret,
      leewaySeconds: -1,
      algorithms: ['none'],
      carriedIn: 'topic',
      userClaim: '',
    } as unknown as TokenOptions)
    for (const part of [
      /did you mean "secret"/,
      /leewaySeconds/,
      /algorithms may list HS256/,
      /carriedIn/,
      /userClaim/,
    ])
      assert.match(message, part)
  })

  test('keys of kinds we do not know are left out where others are there (RFC 7517 section 5)', async () => {
    const jwks = set(
      { kty: 'martian' },
      jwkOf(rsaPair.publicKey, { use: 'enc' }),
      jwkOf(ecPair.publicKey, { use: 'sig', alg: 'ES256' }),
    )
    assert.equal((await check({ jwks }, signedToken(claims, { alg: 'ES256', key: ecPair.privateKey }))).ok, true)
  })
})
