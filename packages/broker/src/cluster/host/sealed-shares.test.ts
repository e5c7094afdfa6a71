import assert from 'node:assert/strict'
import { createCipheriv, diffieHellman, generateKeyPairSync, hkdfSync, type KeyObject } from 'node:crypto'
import { test } from 'node:test'
import { decryptShare, openSealed } from './sealed-shares.ts'

const pair = () => generateKeyPairSync('ec', { namedCurve: 'P-256' })

/** What a sealer writes for a node. */
function encryptShare(publicKey: KeyObject, share: Uint8Array): Uint8Array {
  const ephemeral = pair()
  const { x = '', y = '' } = ephemeral.publicKey.export({ format: 'jwk' })
  const point = Uint8Array.of(4, ...Buffer.from(x, 'base64url'), ...Buffer.from(y, 'base64url'))
  const secret = diffieHellman({ privateKey: ephemeral.privateKey, publicKey })
  const key = new Uint8Array(hkdfSync('sha256', secret, point, 'concordmq/share/1', 32))
  return Uint8Array.of(...point, ...encrypt(key, new Uint8Array(12), share))
}

function encrypt(key: Uint8Array, nonce: Uint8Array, content: Uint8Array): Uint8Array {
  const cipher = createCipheriv('aes-256-gcm', key, nonce)
  return new Uint8Array(Buffer.concat([cipher.update(content), cipher.final(), cipher.getAuthTag()]))
}

test('decryptShare() reads what was encrypted to its node, and nothing else', () => {
  const node = pair()
  const share = Uint8Array.from({ length: 32 }, (_, i) => i)
  const encrypted = encryptShare(node.publicKey, share)
  assert.deepEqual(decryptShare(node.privateKey, encrypted), share)
  assert.equal(decryptShare(pair().privateKey, encrypted), undefined)
  for (const at of [0, 1, 64, 65, 96, 97, encrypted.length - 1]) {
    const changed = encrypted.slice()
    changed[at] = (changed[at] as number) ^ 1
    assert.equal(decryptShare(node.privateKey, changed), undefined, `byte ${at}`)
  }
  for (const length of [0, 1, 65, 80, 112]) {
    assert.equal(decryptShare(node.privateKey, encrypted.subarray(0, length)), undefined, `${length} bytes`)
  }
})

test('openSealed() opens with the right key and nonce only', () => {
  const key = new Uint8Array(32).fill(1)
  const nonce = new Uint8Array(12).fill(2)
  const content = new TextEncoder().encode('content')
  const ciphertext = encrypt(key, nonce, content)
  assert.deepEqual(openSealed(key, nonce, ciphertext), content)
  assert.equal(openSealed(new Uint8Array(32), nonce, ciphertext), undefined)
  assert.equal(openSealed(key, new Uint8Array(12), ciphertext), undefined)
  assert.equal(openSealed(key, nonce, ciphertext.subarray(0, 10)), undefined)
})
