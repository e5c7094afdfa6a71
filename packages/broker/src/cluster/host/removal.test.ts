import assert from 'node:assert/strict'
import { createPublicKey, type KeyObject, sign } from 'node:crypto'
import { test } from 'node:test'
import {
  constantsFor,
  type Epoch,
  epochLinkBytes,
  followLink,
  readCertificate,
  readEpochLink,
  reconfigurationContent,
  signedBytes,
} from '@concordmq/consensus'
import { makeKeys, makeTestEpoch } from '../cluster.testkit.ts'
import { pointOf } from '../identity/node-keys.ts'
import { nodeCryptography } from './cryptography.ts'
import { encodeRemoved, provenRemoval } from './removal.ts'

const keys = makeKeys(5)
const genesis = makeTestEpoch({ keys: keys.slice(0, 4) })
const cryptography = nodeCryptography(keys[0] as KeyObject)
const all = keys.map((key) => ({ publicKey: pointOf(createPublicKey(key)), address: '127.0.0.1:1' }))
const pointAt = (index: number): Uint8Array => (all[index] as (typeof all)[0]).publicKey

/** The link from an epoch to another book, signed with these keys, the first one as node 0 and so on. */
function linkTo(epoch: Epoch, nodes: Epoch['nodes'], signers: readonly KeyObject[]): Uint8Array {
  const constants = constantsFor(nodes.length)
  const next = cryptography.sha256(reconfigurationContent({ number: epoch.number + 1, nodes, constants }))
  const content = Buffer.alloc(28 + 4 * 32)
  content.writeUInt32BE(epoch.number)
  content.set(next, 28 + 3 * 32)
  const signed = signedBytes('checkpoint', epoch.hash, content)
  const signatures = signers.map((key, author) =>
    Buffer.concat([Uint8Array.of(author), sign('sha256', signed, { key, dsaEncoding: 'ieee-p1363' })]),
  )
  const certificate = readCertificate(Buffer.concat([content, Uint8Array.of(signers.length), ...signatures]))
  assert.ok(certificate !== undefined)
  return epochLinkBytes({ certificate, nodes, constants })
}

function epochAfter(epoch: Epoch, bytes: Uint8Array): Epoch {
  const link = readEpochLink(bytes)
  const followed = link && followLink(epoch, link, (content) => cryptography.sha256(content))
  assert.ok(followed?.ok)
  return followed.value.next
}

const proven = (links: readonly Uint8Array[], of: number): number | undefined =>
  provenRemoval(encodeRemoved(links), genesis, pointAt(of), cryptography)?.number

const without3 = linkTo(genesis, all.slice(0, 3), keys.slice(0, 3))

test('provenRemoval() tells who was taken out, and nobody else', () => {
  assert.equal(proven([without3], 3), 1)
  assert.equal(proven([without3], 0), undefined)
  assert.equal(proven([without3], 4), undefined, 'it was never a node')
  assert.equal(proven([], 3), undefined)
  const again = linkTo(epochAfter(genesis, without3), all.slice(0, 4), keys.slice(0, 3))
  assert.equal(proven([without3, again], 3), undefined, 'it was taken in again')
})

test('provenRemoval() believes nothing that a quorum has not signed', () => {
  assert.equal(proven([linkTo(genesis, all.slice(0, 3), keys.slice(0, 2))], 3), undefined, 'two of four')
  assert.equal(proven([linkTo(genesis, all.slice(0, 3), keys.slice(2, 5))], 3), undefined, 'others than they say')
  assert.equal(proven([without3, without3], 3), undefined, 'a link twice')
  const frame = encodeRemoved([without3])
  for (let at = 5; at < frame.length; at += 7) {
    const changed = frame.slice()
    changed[at] = (changed[at] as number) ^ 0x10
    assert.equal(provenRemoval(changed, genesis, pointAt(3), cryptography), undefined, `byte ${at}`)
    assert.equal(provenRemoval(frame.slice(0, at), genesis, pointAt(3), cryptography), undefined, `cut at ${at}`)
  }
})
