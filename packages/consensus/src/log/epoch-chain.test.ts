import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { fakeCryptography } from '../../testing/fake-cryptography.ts'
import { constantsFor } from '../model/constants.ts'
import { fairEpoch } from '../order/fair-order.testkit.ts'
import { type Checkpoint, checkpointBytes, nextBookHash } from './checkpoint.ts'
import { type EpochLink, epochLinkBytes, followLink, readEpochLink } from './epoch-chain.ts'

const sha256 = (bytes: Uint8Array): Uint8Array => fakeCryptography.sha256(bytes)
const epoch = fairEpoch(4)
const nodes = [...epoch.nodes.slice(1), { publicKey: new Uint8Array(65).fill(99), address: 'new:1' }]
const constants = constantsFor(4, { seqWindow: 4096 })

function linkTo(hash: Uint8Array): EpochLink {
  const hashed = new Uint8Array(32)
  const checkpoint: Checkpoint = {
    epoch: 0,
    step: 9,
    logSize: 1,
    leafCount: 1,
    logRoot: hashed,
    engineStateHash: hashed,
    appStateHash: hashed,
    nextBookHash: hash,
  }
  const signatures = [0, 1, 2].map((author) => ({ author, signature: new Uint8Array(64) }))
  return { certificate: { checkpoint, content: checkpointBytes(checkpoint), signatures }, nodes, constants }
}

describe('followLink()', () => {
  it('leads to the epoch whose book the certificate binds (C4 of the review)', () => {
    const link = readEpochLink(epochLinkBytes(linkTo(nextBookHash(sha256, { number: 1, nodes, constants }))))
    assert.ok(link)
    const followed = followLink(epoch, link, sha256)
    assert.ok(followed.ok)
    const { next, checks } = followed.value
    assert.equal(next.number, 1)
    assert.deepEqual(next.nodes, nodes)
    assert.deepEqual(next.previousHash, sha256(link.certificate.content))
    assert.equal(checks.length, 3)
    const [first] = checks
    assert.deepEqual(first?.publicKey, epoch.nodes[0]?.publicKey)
  })

  it('has one hash whatever quorum signed (C3 of the review)', () => {
    const link = linkTo(nextBookHash(sha256, { number: 1, nodes, constants }))
    const others = [1, 2, 3].map((author) => ({ author, signature: new Uint8Array(64).fill(7) }))
    const a = followLink(epoch, link, sha256)
    const b = followLink(epoch, { ...link, certificate: { ...link.certificate, signatures: others } }, sha256)
    assert.ok(a.ok && b.ok)
    assert.deepEqual(a.value.next.hash, b.value.next.hash)
  })

  it('refuses another book, and one that nodes could not run', () => {
    assert.deepEqual(followLink(epoch, linkTo(new Uint8Array(32)), sha256), {
      ok: false,
      problem: 'address book of epoch 1 is not the one that epoch 0 agreed on',
    })
    const twice = [...nodes.slice(0, 3), nodes[0] as (typeof nodes)[0]]
    const hash = nextBookHash(sha256, { number: 1, nodes: twice, constants })
    assert.deepEqual(followLink(epoch, { ...linkTo(hash), nodes: twice }, sha256), {
      ok: false,
      problem: 'Two nodes of the address book have one key',
    })
  })
})

describe('readEpochLink()', () => {
  it('refuses bytes that are cut, longer or something else', () => {
    const bytes = epochLinkBytes(linkTo(new Uint8Array(32)))
    for (let length = 0; length < bytes.length; length++)
      assert.equal(readEpochLink(bytes.subarray(0, length)), undefined)
    assert.equal(readEpochLink(Uint8Array.of(...bytes, 0)), undefined)
  })
})
