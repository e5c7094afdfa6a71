/** What a node says about certificates that will serve nobody. */
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { appendFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { makeCertificate } from '../identity/certificate.ts'
import { at, run, startNode } from '../program.testkit.ts'

async function writeCertificate(now: Date): Promise<string[]> {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  writeFileSync(at('tls.pem'), privateKey.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 })
  writeFileSync(at('tls.crt'), await makeCertificate({ privateKey, serverName: 'x', boundHosts: [], now }))
  return ['--mqtts', '--mqtts-addr', '127.0.0.1:0', '--tls-cert-file', 'tls.crt', '--tls-key-file', 'tls.pem']
}

test('an expired certificate is an error in the log, and no reason to stay down', async () => {
  const node = await startNode(['--allow-anonymous-login', ...(await writeCertificate(new Date('2001-01-01')))])
  assert.match(node.output.stdout, /ERROR \S+ the certificate has expired .*tls\.crt not_after=2011-01-01T/)
})

test('a certificate of the future is, too', async () => {
  const node = await startNode(['--allow-anonymous-login', ...(await writeCertificate(new Date('2200-01-01')))])
  assert.match(node.output.stdout, /ERROR \S+ the certificate is not valid yet .*tls\.crt not_before=2199-12-31T/)
})

test('a damaged certificate is refused by its file and its place in the chain', async () => {
  const flags = await writeCertificate(new Date())
  appendFileSync(at('tls.crt'), '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n')
  const { code, stderr } = await run(['run', '--allow-anonymous-login', '--http-addr', 'off', '-L', 'off', ...flags])
  assert.equal(code, 78)
  assert.match(stderr, /tls\.crt is not a certificate in PEM: certificate 2 of 2 is damaged\nIssue it anew/)
})
