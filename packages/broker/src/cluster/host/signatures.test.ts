import assert from 'node:assert/strict'
import { generateKeyPairSync, sign, verify } from 'node:crypto'
import { test } from 'node:test'
import { SIGNATURE_BYTES, signBlock, verifyBlock, verifyBlockElsewhere } from './signatures.ts'

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const bytes = Buffer.from('a block')
/** One in 128 has an r or s that begins with a zero byte, half have one with the first bit set. */
const signatures = 1500

test('signatures are those of IEEE P1363, whatever their integers begin with', () => {
  let short = 0
  for (let i = 0; i < signatures; i++) {
    const ours = signBlock(bytes, privateKey)
    assert.equal(ours.length, SIGNATURE_BYTES)
    assert.ok(verify('sha256', bytes, { key: publicKey, dsaEncoding: 'ieee-p1363' }, ours))
    const theirs = sign('sha256', bytes, { key: privateKey, dsaEncoding: 'ieee-p1363' })
    assert.ok(verifyBlock(bytes, publicKey, theirs))
    if (theirs[0] === 0 || theirs[32] === 0 || ours[0] === 0 || ours[32] === 0) short++
  }
  assert.ok(short > 0)
})

test('what is no signature of these bytes is refused, on this thread and on another', async () => {
  const good = signBlock(bytes, privateKey)
  const bad = [new Uint8Array(64), new Uint8Array(64).fill(0xff), good.subarray(0, 63), new Uint8Array(0)]
  for (let i = 0; i < good.length; i++) bad.push(good.map((byte, at) => (at === i ? byte ^ 1 : byte)))
  for (const signature of bad) assert.equal(verifyBlock(bytes, publicKey, signature), false)
  const elsewhere = (signature: Uint8Array): Promise<boolean> =>
    new Promise((resolve) => verifyBlockElsewhere(bytes, publicKey, signature, resolve))
  assert.deepEqual(
    await Promise.all(bad.map(elsewhere)),
    bad.map(() => false),
  )
  assert.equal(await elsewhere(good), true)
})
