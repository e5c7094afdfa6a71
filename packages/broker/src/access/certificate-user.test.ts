import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type CertificateUser, userOfCertificate } from './certificate-user.ts'

function name(kind: CertificateUser, subjectAltName: string, commonName = ''): string | undefined {
  return userOfCertificate({ commonName, subjectAltName }, kind)
}

test('the common name, or the one alternative name of a kind, is the user', () => {
  const names = 'DNS:a.example, email:a@example.org, URI:urn:dev:mac:0024befffe804ff1, IP Address:10.0.0.1'
  assert.equal(name('commonName', names, 'sensor-7'), 'sensor-7')
  assert.equal(name('dns', names, 'sensor-7'), 'a.example')
  assert.equal(name('email', names), 'a@example.org')
  assert.equal(name('uri', names), 'urn:dev:mac:0024befffe804ff1')
  assert.equal(name('off', names, 'sensor-7'), undefined)
})

test('none, two of a kind, and names that are none name nobody', () => {
  assert.equal(name('commonName', '', ''), undefined)
  assert.equal(name('dns', ''), undefined)
  assert.equal(name('dns', 'email:a@b'), undefined)
  assert.equal(name('dns', 'DNS:a, DNS:b'), undefined)
  assert.equal(name('commonName', '', 'a\u0000b'), undefined)
})

test('a name made to look like two is one: Node quotes it (CVE-2021-44532)', () => {
  assert.equal(name('dns', 'DNS:"a.example, DNS:admin"'), 'a.example, DNS:admin')
  assert.equal(name('uri', 'DNS:"a, URI:urn:admin"'), undefined)
  assert.equal(name('uri', 'URI:"urn:\\"x", DNS:y'), 'urn:"x')
  for (const odd of ['DNS', 'DNS:"a', 'DNS:a"b', ',', 'DNS:a,URI:b', '::'])
    assert.equal(name('dns', odd), undefined, odd)
})
