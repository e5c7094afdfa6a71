/** Permissions, tokens, certificates and addresses as stock clients see them, with keys and certificates made by OpenSSL. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { type AccessOptions, type Broker, createBroker, type ListenerOptions } from '@concordmq/broker'
import { type Ended, missing, Running } from './programs.ts'

const folder = mkdtempSync(join(tmpdir(), 'concordmq-access-'))
const at = (name: string): string => join(folder, name)
const brokers: Broker[] = []
after(async () => {
  for (const broker of brokers) await broker.close({ graceMs: 0 })
  rmSync(folder, { recursive: true })
})

async function start(access: AccessOptions, listener?: ListenerOptions): Promise<{ broker: Broker; port: string }> {
  const broker = await createBroker({ access, sys: { intervalSeconds: 0 } })
  brokers.push(broker)
  const { port } = await broker.listen(listener ?? { kind: 'tcp', host: '127.0.0.1', port: 0 })
  return { broker, port: String(port) }
}

function openssl(...args: readonly string[]): Buffer {
  return execFileSync('openssl', args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
}

/** What mosquitto_pub says and how it ends. */
function pub(port: string, args: readonly string[]): Promise<Ended> {
  return new Running('mosquitto_pub', ['-h', '127.0.0.1', '-p', port, '-m', 'x', ...args]).ended()
}

describe('stock clients', { skip: missing('mosquitto_pub', 'mosquitto_sub', 'openssl') }, () => {
  test('are refused what rules deny: 0x87 in 5.0, nothing arrives in 3.1.1, subscriptions are denied', async () => {
    const topics = [{ filter: 'open/#', allowed: ['publish', 'subscribe'] }] as const
    const { broker, port } = await start({
      allowAnonymous: true,
      permissions: { default: 'deny', users: new Map([['*', { topics }]]) },
    })
    const denied = await pub(port, ['-V', 'mqttv5', '-q', '1', '-t', 'shut'])
    assert.match(denied.output, /Not authorized/i)
    assert.equal((await pub(port, ['-V', 'mqttv311', '-q', '2', '-t', 'shut'])).code, 0)
    assert.equal((await pub(port, ['-V', 'mqttv5', '-q', '1', '-t', 'open/x'])).code, 0)
    assert.equal(broker.counters.publishDenied, 2)
    for (const version of ['mqttv311', 'mqttv5']) {
      const sub = new Running('mosquitto_sub', ['-h', '127.0.0.1', '-p', port, '-V', version, '-t', '#', '-W', '5'])
      const { output } = await sub.ended()
      assert.match(output, /denied/i)
    }
  })

  test('log in with a token that OpenSSL signed, and not with one it did not', async () => {
    openssl('genpkey', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048', '-out', 'issuer.pem')
    openssl('pkey', '-in', 'issuer.pem', '-pubout', '-out', 'issuer.pub')
    openssl('genpkey', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048', '-out', 'other.pem')
    const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
    const token = (key: string): string => {
      const signed = `${part({ alg: 'RS256' })}.${part({ sub: 'pump', exp: Math.floor(Date.now() / 1_000) + 600, publish: ['up/#'] })}`
      writeFileSync(at('signed'), signed)
      return `${signed}.${openssl('dgst', '-sha256', '-sign', key, '-binary', 'signed').toString('base64url')}`
    }
    const { broker, port } = await start({ tokens: { pem: readFileSync(at('issuer.pub'), 'utf8') } })
    const good = token('issuer.pem')
    for (const version of ['mqttv31', 'mqttv311', 'mqttv5']) {
      assert.equal(
        (await pub(port, ['-V', version, '-u', 'pump', '-P', good, '-q', '1', '-t', 'up/x'])).code,
        0,
        version,
      )
    }
    assert.match(
      (await pub(port, ['-V', 'mqttv5', '-u', 'pump', '-P', good, '-q', '1', '-t', 'down'])).output,
      /Not authorized/i,
    )
    assert.notEqual((await pub(port, ['-u', 'pump', '-P', token('other.pem'), '-t', 'up/x'])).code, 0)
    assert.notEqual((await pub(port, ['-u', 'other', '-P', good, '-t', 'up/x'])).code, 0)
    assert.equal(broker.counters.connectsRefused, 2)
  })

  test('are who their certificate says, by an alternative name that OpenSSL put there', async () => {
    const subject = (name: string): string[] => ['-subj', `/CN=${name}`]
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
    openssl('req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.pem', '-days', '2', ...subject('ca'))
    for (const [name, alt] of [
      ['server', 'DNS:localhost,IP:127.0.0.1'],
      ['device', 'URI:urn:dev:7,email:a@example.org'],
    ] as const) {
      openssl('req', ...key, '-keyout', `${name}.key`, '-out', `${name}.csr`, ...subject(name))
      writeFileSync(at(`${name}.ext`), `subjectAltName=${alt}\n`)
      openssl(
        'x509',
        '-req',
        '-in',
        `${name}.csr`,
        '-CA',
        'ca.pem',
        '-CAkey',
        'ca.key',
        '-CAcreateserial',
        '-days',
        '2',
        '-extfile',
        `${name}.ext`,
        '-out',
        `${name}.pem`,
      )
    }
    const text = (name: string): string => readFileSync(at(name), 'utf8')
    const tls = {
      cert: text('server.pem'),
      key: text('server.key'),
      ca: text('ca.pem'),
      requireClientCertificate: false,
    }
    const permissions = {
      default: 'deny',
      users: new Map([['urn:dev:7', { topics: [{ filter: 'mine/%u', allowed: ['publish'] }] }]]),
    } as const
    const { port } = await start({ certificateUser: 'uri', permissions } as AccessOptions, {
      kind: 'tls',
      host: '127.0.0.1',
      port: 0,
      tls,
    })
    const secure = ['--cafile', at('ca.pem'), '-V', 'mqttv5', '-q', '1']
    const own = ['--cert', at('device.pem'), '--key', at('device.key')]
    assert.equal((await pub(port, [...secure, ...own, '-t', 'mine/urn:dev:7'])).code, 0)
    assert.match((await pub(port, [...secure, ...own, '-t', 'other'])).output, /Not authorized/i)
    assert.notEqual((await pub(port, [...secure, '-t', 'mine/urn:dev:7'])).code, 0)
  })

  test('need no credentials from an allowed address, and get no byte at a denied one [row U16]', async () => {
    const { broker, port } = await start({ addresses: { allow: ['127.0.0.0/8'] } })
    assert.equal((await pub(port, ['-t', 'x'])).code, 0)
    assert.equal((await pub(port, ['-u', 'romeo', '-t', 'x'])).code, 0)
    broker.reloadAccess({ addresses: { deny: ['127.0.0.1'] } })
    assert.notEqual((await pub(port, ['-t', 'x'])).code, 0)
    broker.reloadAccess({})
    assert.match(
      (await pub(port, ['-V', 'mqttv311', '-u', 'romeo', '-P', 'x', '-t', 'x'])).output,
      /bad user ?name or password/i,
    )
  })
})
