import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { sha256 } from './sha256.ts'

const reference = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

test('sha256() agrees with OpenSSL at every length around the block borders', () => {
  for (let length = 0; length < 260; length++) {
    const bytes = Uint8Array.from({ length }, (_, i) => (i * 31 + length) & 255)
    assert.equal(Buffer.from(sha256(bytes)).toString('hex'), reference(bytes), `length ${length}`)
  }
})

test('sha256() agrees with OpenSSL on random bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2000 }), (bytes) => {
      assert.equal(Buffer.from(sha256(bytes)).toString('hex'), reference(bytes))
    }),
  )
})
