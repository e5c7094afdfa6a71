import assert from 'node:assert/strict'
import { createCipheriv, hash } from 'node:crypto'
import { describe, test } from 'node:test'
import { type Epoch, readEnvelope, shareHash } from '@concordmq/consensus'
import { makeKeys, makeTestEpoch } from '../cluster.testkit.ts'
import { decryptShare, openSealed, seal } from './sealed-shares.ts'

const sha256 = (bytes: Uint8Array): Uint8Array => Uint8Array.from(hash('sha256', bytes, 'buffer'))

describe('seal()', () => {
  const keys = makeKeys(4)
  const epoch: Epoch = makeTestEpoch({ keys })
  const content = Buffer.from('bid 100')

  test('gives each node the share that it names, and nobody else', () => {
    const envelope = readEnvelope(seal(content, epoch), 4) ?? assert.fail()
    for (const [node, key] of keys.entries()) {
      const { encrypted, hash: named } = envelope.shares[node] ?? assert.fail()
      const share = decryptShare(key, encrypted) ?? assert.fail()
      assert.deepEqual(shareHash(sha256, node, share), Uint8Array.from(named))
      for (const other of keys) if (other !== key) assert.equal(decryptShare(other, encrypted), undefined)
    }
  })

  test('shows neither the content nor twice the same', () => {
    const bytes = Buffer.from(seal(content, epoch))
    assert.equal(bytes.includes(content), false)
    assert.notDeepEqual(seal(content, epoch), bytes)
  })

  test('works for a node alone, and for thirty-one', () => {
    for (const n of [1, 31]) {
      const book = makeTestEpoch({ keys: makeKeys(n) })
      assert.equal(readEnvelope(seal(content, book), n)?.shares.length, n)
    }
  })
})

test('decryptShare() reads what was encrypted to its node, and nothing else', () => {
  const [key, other] = makeKeys(2)
  assert.ok(key && other)
  const epoch = makeTestEpoch({ keys: [key] })
  const { encrypted } = readEnvelope(seal(Buffer.from('x'), epoch), 1)?.shares[0] ?? assert.fail()
  assert.equal(decryptShare(key, encrypted)?.length, 32)
  assert.equal(decryptShare(other, encrypted), undefined)
  for (const at of [0, 1, 64, 65, 96, 97, encrypted.length - 1]) {
    const changed = encrypted.slice()
    changed[at] = (changed[at] as number) ^ 1
    assert.equal(decryptShare(key, changed), undefined, `byte ${at}`)
  }
  for (const length of [0, 1, 65, 80, 112]) {
    assert.equal(decryptShare(key, encrypted.subarray(0, length)), undefined, `${length} bytes`)
  }
})

test('openSealed() opens with the right key and nonce only', () => {
  const key = new Uint8Array(32).fill(1)
  const nonce = new Uint8Array(12).fill(2)
  const content = new TextEncoder().encode('content')
  const cipher = createCipheriv('aes-256-gcm', key, nonce)
  const ciphertext = new Uint8Array(Buffer.concat([cipher.update(content), cipher.final(), cipher.getAuthTag()]))
  assert.deepEqual(openSealed(key, nonce, ciphertext), content)
  assert.equal(openSealed(new Uint8Array(32), nonce, ciphertext), undefined)
  assert.equal(openSealed(key, new Uint8Array(12), ciphertext), undefined)
  assert.equal(openSealed(key, nonce, ciphertext.subarray(0, 10)), undefined)
})
