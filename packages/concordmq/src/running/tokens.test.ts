/** Tokens as the program takes them: keys made by OpenSSL, files that change, and what is refused at the start. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createPrivateKey, createPublicKey, sign } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { connect as dial } from 'node:net'
import { test } from 'node:test'
import { accepted, answer, at, connectPacket, notAuthorized, portOf, run, startNode } from '../program.testkit.ts'

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
const later = () => Math.floor(Date.now() / 1_000) + 3_600

function makeKey(name: string): string {
  execFileSync('openssl', ['ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', at(name)], { stdio: 'pipe' })
  return readFileSync(at(name), 'utf8')
}

function token(privateKey: string, kid: string): string {
  const signed = `${part({ alg: 'ES256', kid })}.${part({ sub: 'alice', exp: later() })}`
  const signature = sign('sha256', Buffer.from(signed), { key: privateKey, dsaEncoding: 'ieee-p1363' })
  return `${signed}.${signature.toString('base64url')}`
}

function jwks(...keys: readonly (readonly [string, string])[]): string {
  return JSON.stringify({
    keys: keys.map(([pem, kid]) => ({ ...createPublicKey(createPrivateKey(pem)).export({ format: 'jwk' }), kid })),
  })
}

const login = (password: string) => connectPacket({ name: 'alice', password })

test('a JWK Set is taken, a changed one without being told, and a damaged one is not', async () => {
  const [one, two] = [makeKey('one.pem'), makeKey('two.pem')]
  mkdirSync(at('concordmq.d'))
  writeFileSync(at('keys.json'), jwks([one, 'one']))
  writeFileSync(at('concordmq.d', 'concordmq.toml'), `[jwt]\njwks-file = "${at('keys.json')}"\n`)
  const node = await startNode([])
  const port = await portOf(node, 'tcp')
  const answerTo = (password: string) => answer(dial(port, '127.0.0.1'), login(password), 4)
  assert.deepEqual(await answerTo(token(one, 'one')), accepted)
  assert.deepEqual(await answerTo(token(two, 'two')), notAuthorized)
  writeFileSync(at('keys.json'), jwks([one, 'one'], [two, 'two']))
  await node.until(/has changed[\s\S]*read tokens again/)
  assert.deepEqual(await answerTo(token(two, 'two')), accepted)
  writeFileSync(at('keys.json'), '{"keys": [')
  await node.until(/keeping the old tokens/)
  assert.deepEqual(await answerTo(token(two, 'two')), accepted)
})

test('what is wrong with keys is said at the start, and no secret with it', async () => {
  mkdirSync(at('concordmq.d'))
  writeFileSync(at('secret'), 'hunter2\n', { mode: 0o600 })
  writeFileSync(at('private.pem'), makeKey('key.pem'))
  for (const [keys, why] of [
    ['secret-file = "SECRET"', /secret: a secret must have at least 32 bytes/],
    ['key-file = "PRIVATE"', /it is a private key, which has no business here/],
    ['jwks-file = "MISSING"', /MISSING: it does not exist/],
    ['jwks-file = "PRIVATE"', /jwks: it is not JSON/],
    ['secret-file = "SECRET"\nalgorithms = ["none"]', /algorithms may list HS256/],
  ] as const) {
    const text = keys
      .replace('SECRET', at('secret'))
      .replace('PRIVATE', at('private.pem'))
      .replace('MISSING', at('MISSING'))
    writeFileSync(at('concordmq.d', 'concordmq.toml'), `[jwt]\n${text}\n`)
    const { code, stderr } = await run(['config', 'check'])
    assert.equal(code, 78, stderr)
    assert.match(stderr, why)
    assert.doesNotMatch(stderr, /hunter2/)
  }
})
