import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { at, run } from '../program.testkit.ts'
import { looksLikeKey, mayHoldSecret } from './secrets.ts'

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const pem = privateKey.export({ format: 'pem', type: 'pkcs8' }).toString()
const hex = privateKey.export({ format: 'der', type: 'pkcs8' }).toString('hex')

test('looksLikeKey() and mayHoldSecret() know keys from paths and settings', () => {
  for (const key of [pem, hex, `0x${hex}`]) assert.ok(looksLikeKey(key) && mayHoldSecret(key))
  for (const line of pem.split('\n').slice(1, 3)) assert.ok(mayHoldSecret(`2:  ${line}`))
  for (const path of ['key_0.pem', '/srv/concordmq/production/region-1/keys/key_0.pem', 'deadbeef']) {
    assert.equal(looksLikeKey(path), false)
  }
  assert.equal(mayHoldSecret('1:  addr = "127.0.0.1:1883"\n          ^'), false)
})

test('a key in the place of its path, or beside a syntax error, is not shown', async () => {
  mkdirSync(at('concordmq.d'))
  const cases: readonly { readonly args?: string[]; readonly file?: string }[] = [
    { args: ['-f', hex] },
    { args: ['--tls-key-file', pem] },
    { file: `secret-key = "${hex}` },
    { file: `secret-key = "${hex}"` },
    { file: `secret-key = """${pem}` },
    { file: `secret-key-file = """${pem}"""` },
    { file: `secret-key-file = "${hex}" 1` },
  ]
  for (const { args = [], file = '' } of cases) {
    writeFileSync(at('concordmq.d', 'concordmq.toml'), `${file}\n`)
    const { code, stdout, stderr } = await run(['run', '--allow-anonymous-login', '-L', '127.0.0.1:0', ...args])
    assert.equal(code, 78)
    for (const key of [hex, pem]) assert.ok(!`${stdout}${stderr}`.includes(key.slice(60, 90)), stderr)
  }
})
