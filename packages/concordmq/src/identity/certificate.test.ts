import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createPublicKey, generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { connect, createServer } from 'node:tls'
import { type CertificateRequest, ensureCertificate } from './certificate.ts'

let directory = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'concordmq-crt-'))
})
afterEach(() => rmSync(directory, { recursive: true }))

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })

function request(changes: Partial<CertificateRequest> = {}): CertificateRequest {
  return {
    path: join(directory, 'key_0.crt'),
    privateKey,
    serverName: 'concordmq.local',
    boundHosts: ['0.0.0.0', '127.0.0.7'],
    now: new Date(),
    write: true,
    ...changes,
  }
}

test('ensureCertificate() writes a certificate that names server, loopback and bound addresses [row F21]', async () => {
  const { pem, written } = await ensureCertificate(request())
  assert.equal(written, 'made')
  assert.equal(readFileSync(request().path, 'utf8'), pem)
  assert.equal(statSync(request().path).mode & 0o777, 0o644)
  const certificate = new X509Certificate(pem)
  for (const name of ['concordmq.local', 'localhost']) assert.equal(certificate.checkHost(name), name)
  for (const ip of ['127.0.0.1', '::1', '127.0.0.7']) assert.ok(certificate.checkIP(ip), ip)
  assert.equal(certificate.ca, true)
  assert.ok(certificate.verify(createPublicKey(privateKey)))
})

test('ensureCertificate() uses the same certificate at the next start', async () => {
  const first = await ensureCertificate(request())
  const second = await ensureCertificate(request())
  assert.equal(second.pem, first.pem)
  assert.equal(second.written, undefined)
})

test('ensureCertificate() makes a new one for another key, another name, after expiry, and for a damaged file', async () => {
  await ensureCertificate(request())
  const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
  assert.equal((await ensureCertificate(request({ privateKey: other }))).written, 'the key has changed')
  assert.equal(
    (await ensureCertificate(request({ privateKey: other, serverName: 'mq.example.com' }))).written,
    'it did not name mq.example.com',
  )
  const inElevenYears = new Date(Date.now() + 11 * 365 * 24 * 3_600_000)
  assert.match(
    (await ensureCertificate(request({ privateKey: other, now: inElevenYears }))).written ?? '',
    /^it expired on \d{4}-\d\d-\d\d$/,
  )
  assert.match((await ensureCertificate(request({ privateKey: other }))).written ?? '', /start lies in the future/)
  writeFileSync(request().path, 'rubbish')
  assert.equal((await ensureCertificate(request())).written, 'the file was not a certificate')
})

test('ensureCertificate() goes on without the file where it cannot be written, and says why', async () => {
  writeFileSync(join(directory, 'file'), '')
  await assert.rejects(ensureCertificate(request({ path: join(directory, 'file', 'key_0.crt') })), /not a directory/)
  const { unsaved, written } = await ensureCertificate(request({ path: '/proc/key_0.crt' }))
  assert.match(unsaved ?? '', /Cannot write \/proc\/key_0\.crt/)
  assert.equal(written, undefined)
})

test('a client that trusts only the file accepts the server, and one that does not refuses it', async () => {
  const { pem } = await ensureCertificate(request())
  const server = createServer({ cert: pem, key: pemOf(privateKey) }, (socket) => socket.end()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  try {
    const trusting = connect({ host: '127.0.0.1', port, ca: pem })
    await once(trusting, 'secureConnect')
    assert.equal(trusting.authorized, true)
    trusting.destroy()
    const other = connect({ host: '127.0.0.1', port })
    const [error] = (await once(other, 'error')) as [NodeJS.ErrnoException]
    assert.match(error.code ?? '', /SELF_SIGNED|UNABLE_TO_VERIFY/)
  } finally {
    server.close()
  }
})

test('OpenSSL verifies the certificate as its own authority, strictly', async (t) => {
  const { pem } = await ensureCertificate(request())
  const path = join(directory, 'key_0.crt')
  assert.ok(pem.length > 0)
  try {
    execFileSync('openssl', ['version'], { stdio: 'ignore' })
  } catch {
    return t.skip('openssl is not installed')
  }
  const flags = ['verify', '-x509_strict', '-purpose', 'sslserver', '-verify_ip', '127.0.0.1', '-CAfile', path, path]
  assert.match(execFileSync('openssl', flags, { encoding: 'utf8' }), /OK/)
})

function pemOf(key: KeyObject): string {
  return key.export({ format: 'pem', type: 'pkcs8' }).toString()
}
