import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { refusal } from '../refusal.testkit.ts'
import { loadKeyFile, parseHexKey, randomKey } from './secret-key.ts'

let directory = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'concordmq-key-'))
})
afterEach(() => rmSync(directory, { recursive: true }))

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })

function file(text: string): string {
  const path = join(directory, 'key_0.pem')
  writeFileSync(path, text, { mode: 0o600 })
  return path
}

/** What OpenSSL's `ecparam -genkey` puts before the key. */
const parameters = '-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n'

test('a key has one identity as SEC1, PKCS#8, with EC PARAMETERS, and as hex DER of either form [row F13, F14]', () => {
  const sec1 = privateKey.export({ format: 'pem', type: 'sec1' }).toString()
  const pkcs8 = privateKey.export({ format: 'pem', type: 'pkcs8' }).toString()
  const ids = [
    loadKeyFile(file(sec1)).id,
    loadKeyFile(file(pkcs8)).id,
    loadKeyFile(file(parameters + sec1)).id,
    parseHexKey(privateKey.export({ format: 'der', type: 'sec1' }).toString('hex'), '-k').id,
    parseHexKey(privateKey.export({ format: 'der', type: 'pkcs8' }).toString('hex').toUpperCase(), '-k').id,
  ]
  assert.equal(new Set(ids).size, 1)
  assert.match(ids[0] ?? '', /^[0-9a-f]{16}$/)
})

test('random keys differ and say that they are random', () => {
  assert.notEqual(randomKey().id, randomKey().id)
  assert.equal(randomKey().random, true)
})

test('loadKeyFile() tells when others can read the file', () => {
  const path = file(privateKey.export({ format: 'pem', type: 'sec1' }).toString())
  assert.equal(loadKeyFile(path).exposed, false)
  chmodSync(path, 0o644)
  assert.equal(loadKeyFile(path).exposed, true)
})

test('keys of other kinds are refused by their kind', () => {
  const other = generateKeyPairSync('ec', { namedCurve: 'secp384r1' }).privateKey
  assert.match(
    refusal(() => loadKeyFile(file(other.export({ format: 'pem', type: 'sec1' }).toString()))).message,
    /secp384r1: a node key must be P-256/,
  )
  const ed = generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' }).toString()
  assert.match(refusal(() => loadKeyFile(file(ed))).message, /ed25519/)
})

test('what is no private key is refused by what it is', () => {
  assert.match(refusal(() => loadKeyFile(join(directory, 'none.pem'))).message, /it does not exist/)
  assert.match(refusal(() => loadKeyFile(directory)).message, /directory/)
  assert.match(refusal(() => loadKeyFile(file(''))).message, /it has no PEM block/)
  assert.match(refusal(() => loadKeyFile(file('-----BEGIN PUBLIC KEY-----\n'))).message, /it is a public key/)
  assert.match(
    refusal(() => loadKeyFile(file('-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n'))).message,
    /damaged/,
  )
  const locked = privateKey.export({ format: 'pem', type: 'pkcs8', cipher: 'aes-256-cbc', passphrase: 'x' }).toString()
  assert.match(refusal(() => loadKeyFile(file(locked))).message, /encrypted/)
})

test('a refused hex key is not repeated in the message', () => {
  for (const hex of ['c0ffe', 'c0ffeezz', 'c0ffee00c0ffee']) {
    const message = refusal(() => parseHexKey(hex, 'SECRET_KEY')).message
    assert.match(message, /SECRET_KEY/)
    assert.doesNotMatch(message, /c0ffe/)
  }
})
