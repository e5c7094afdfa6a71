import assert from 'node:assert/strict'
import { createPublicKey, type KeyObject, type X509Certificate } from 'node:crypto'
import { after, before, test } from 'node:test'
import type { Cryptography } from '@concordmq/consensus'
import { Authority } from '../../../../../testing/testkit/src/authority.ts'
import { makeKeys } from '../cluster.testkit.ts'
import { certifierOf, fingerprintOf } from './certificate-chain.ts'
import { pointOf } from './node-keys.ts'

const AT_US = Date.UTC(2026, 0, 1) * 1000
const [key, otherKey] = makeKeys(2) as [KeyObject, KeyObject]
let authority: Authority
let certifies: Cryptography['certifies']

before(async () => {
  authority = new Authority('The root')
  certifies = await certifierOf([authority.root])
})
after(() => authority.remove())

function problemOf(
  chain: readonly X509Certificate[],
  {
    of = key,
    atUs = AT_US,
    roots = [authority.root],
  }: { of?: KeyObject; atUs?: number; roots?: X509Certificate[] } = {},
): string | undefined {
  return certifies({
    roots: roots.map((root) => fingerprintOf(root)),
    chain: chain.map(({ raw }) => raw),
    publicKey: pointOf(createPublicKey(of)),
    atUs,
  })
}

test('a chain certifies the key that a root, or an authority below it, has certified', () => {
  assert.equal(problemOf([authority.certify('node', key)]), undefined)
  const middle = authority.issuer('middle')
  const below = authority.issuer('below', { by: middle, extensions: ['basicConstraints=critical,CA:TRUE,pathlen:0'] })
  const chain = [
    authority.certify('node', key, { by: below }),
    authority.certificate('below'),
    authority.certificate('middle'),
  ]
  assert.equal(problemOf(chain), undefined)
  assert.match(problemOf(chain.slice(0, 2)) ?? '', /leads to "CN=middle", which is no root of this network/)
  assert.match(problemOf([...chain].reverse()) ?? '', /is for another key/)
  assert.match(problemOf([chain[0], chain[2]] as X509Certificate[]) ?? '', /"CN=node" is not issued by the next one/)
})

test('a chain is refused that is of another root, another key, another time, or cannot be read', () => {
  const node = authority.certify('node', key)
  assert.match(problemOf([node], { of: otherKey }) ?? '', /^its certificate is for another key$/)
  assert.match(problemOf([node], { roots: [] }) ?? '', /no root of this network/)
  const stranger = new Authority('The root')
  try {
    assert.match(problemOf([stranger.certify('node', key)]) ?? '', /leads to "CN=The root", which is no root/)
  } finally {
    stranger.remove()
  }
  const past = authority.certify('past', key, { notAfter: '20210101000000Z' })
  assert.equal(problemOf([past]), 'the certificate "CN=past" expired on 2021-01-01T00:00:00.000Z')
  assert.equal(problemOf([past], { atUs: Date.UTC(2020, 6, 1) * 1000 }), undefined)
  const future = authority.certify('future', key, { notBefore: '20300101000000Z' })
  assert.match(problemOf([future]) ?? '', /is valid only from 2030-01-01/)
  assert.equal(problemOf([]), 'it shows no certificate')
  const junk = certifies({
    roots: [fingerprintOf(authority.root)],
    chain: [new Uint8Array(9)],
    publicKey: pointOf(createPublicKey(key)),
    atUs: AT_US,
  })
  assert.equal(junk, 'a certificate cannot be read')
})

test('a certificate must be good for what it is used for [RFC 5280 4.2.1.3, 4.2.1.9, 4.2.1.12]', () => {
  const leaf = (extensions: string[]) => problemOf([authority.certify('leaf', key, { extensions })]) ?? ''
  assert.match(leaf(['keyUsage=critical,keyAgreement']), /"CN=leaf" is not for signing/)
  assert.match(leaf(['extendedKeyUsage=serverAuth']), /is not for both ends of TLS/)
  assert.match(leaf(['nameConstraints=critical,permitted;DNS:example.org']), /not understood \(2\.5\.29\.30\)/)
  assert.equal(leaf(['basicConstraints=CA:FALSE']), '')
  const narrow = authority.issuer('narrow', {
    extensions: ['basicConstraints=critical,CA:TRUE,pathlen:0', 'keyUsage=keyCertSign'],
  })
  const middle = authority.issuer('middle', { by: narrow })
  const node = authority.certify('node', key, { by: middle })
  const tooLong = problemOf([node, authority.certificate('middle'), authority.certificate('narrow')])
  assert.equal(tooLong, 'the certificate "CN=narrow" allows 0 authorities below it, and there are 1')
  const other = authority.certify('other', otherKey, { extensions: ['basicConstraints=CA:FALSE'] })
  const byNode = authority.certify('byNode', key, { by: { name: 'other' } })
  assert.match(problemOf([byNode, other]) ?? '', /is not that of an authority|is not issued by the next one/)
})
