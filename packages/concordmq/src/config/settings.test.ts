import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { parse } from 'smol-toml'
import { refusal } from '../refusal.testkit.ts'
import type { Assignment } from './assignment.ts'
import { allPaths, keys, variableOf } from './keys.ts'
import { loadConfiguration } from './settings.ts'
import { showJson, showToml } from './show.ts'

let directory = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'concordmq-settings-'))
})
afterEach(() => rmSync(directory, { recursive: true }))

function load(toml: string | undefined, environment: Record<string, string> = {}, flags: Assignment[] = []) {
  if (toml !== undefined) writeFileSync(join(directory, 'concordmq.toml'), toml)
  return loadConfiguration({ directory, environment, flags })
}

function flag(path: Assignment['path'], value: unknown): Assignment {
  return { path, value, origin: `--${path}`, base: directory }
}

test('every default satisfies its own rule', () => {
  for (const path of allPaths) {
    const { schema, fallback } = keys[path]
    assert.ok(schema.safeParse(fallback).success, path)
  }
})

test('every key has its own variable', () => {
  assert.equal(new Set(allPaths.map(variableOf)).size, allPaths.length)
})

test('loadConfiguration() without anything gives the defaults of FoxMQ', () => {
  const { settings, file } = load(undefined)
  assert.equal(file, undefined)
  assert.deepEqual(settings['mqtt.addr'], ['0.0.0.0:1883'])
  assert.equal(settings['mqtts.enabled'], false)
  assert.deepEqual(settings['mqtts.addr'], ['0.0.0.0:8883'])
  assert.deepEqual(settings['websockets.addr'], ['0.0.0.0:8080'])
  assert.equal(settings['limits.keep-alive-max'], 3600)
  assert.equal(settings['auth.allow-anonymous-login'], false)
  assert.equal(settings['log.format'], 'full')
})

test('loadConfiguration() puts flags over environment over file over defaults, and remembers which', () => {
  const toml = '[mqtt]\naddr = "127.0.0.1:1"\n[log]\nlevel = "warn"\nformat = "json"\n[limits]\nkeep-alive-max = 1\n'
  const environment = { CONCORDMQ_MQTT_ADDR: '127.0.0.1:2', CONCORDMQ_LOG_LEVEL: 'debug', RUST_LOG: 'error' }
  const { settings, origins } = load(toml, environment, [flag('mqtt.addr', ['127.0.0.1:3', '[::1]:3'])])
  assert.deepEqual(settings['mqtt.addr'], ['127.0.0.1:3', '[::1]:3'])
  assert.equal(settings['log.level'], 'debug')
  assert.equal(settings['log.format'], 'json')
  assert.equal(settings['limits.keep-alive-max'], 1)
  assert.equal(origins.get('mqtt.addr'), '--mqtt.addr')
  assert.equal(origins.get('log.level'), 'CONCORDMQ_LOG_LEVEL')
  assert.equal(origins.get('log.format'), join(directory, 'concordmq.toml'))
  assert.equal(origins.get('sys.interval-seconds'), undefined)
})

test('loadConfiguration() takes topics by file and environment, and says which of them is none', () => {
  assert.deepEqual(load('[ordering]\nfast = ["telemetry/#", "off"]\n').settings['ordering.fast'], [
    'telemetry/#',
    'off',
  ])
  const { settings } = load('', { CONCORDMQ_ORDERING_SEALED: 'bids/+,votes' })
  assert.deepEqual(settings['ordering.sealed'], ['bids/+', 'votes'])
  const error = refusal(() => load('[ordering]\nfast = ["a", "$SYS/#", "b#"]\n'))
  assert.match(error.message, /"\$SYS\/#" begins with \$/)
  assert.match(error.message, /"b#" is no topic filter/)
})

test('loadConfiguration() counts relative paths from where they are written', () => {
  const { settings } = load('data-dir = "state"\n[tls]\ncert-file = "/etc/x.crt"\n', { SECRET_KEY_FILE: 'key.pem' })
  assert.equal(settings['data-dir'], join(directory, 'state'))
  assert.equal(settings['tls.cert-file'], '/etc/x.crt')
  assert.equal(settings['secret-key-file'], join(process.cwd(), 'key.pem'))
})

test('loadConfiguration() reports all problems of all layers at once, with path, rule and suggestion', () => {
  const toml =
    '[mqtt]\nadr = "127.0.0.1:1883"\n[limits]\nkeep-alive-max = "long"\nmaximum-qos = 3\n[websocket]\nenabled = true\n'
  const error = refusal(() =>
    load(toml, { CONCORDMQ_LOG_FORMAT: 'xml', CONCORDMQ_MQTTS_ENABLD: 'true' }, [flag('http.addr', '18083')]),
  )
  assert.match(error.message, /7 problems/)
  assert.match(error.message, /mqtt\.adr in .*: no such key; did you mean "mqtt\.addr"\?/)
  assert.match(error.message, /limits\.keep-alive-max = "long" in .*: must be an integer from 0 to 65535/)
  assert.match(error.message, /limits\.maximum-qos = 3 in .*: must be an integer from 0 to 2/)
  assert.match(error.message, /websocket in .*: no such key; did you mean "websockets"\?/)
  assert.match(error.message, /log\.format = "xml" in CONCORDMQ_LOG_FORMAT: must be one of "full"/)
  assert.match(
    error.message,
    /CONCORDMQ_MQTTS_ENABLD in the environment: no such variable; did you mean "CONCORDMQ_MQTTS_ENABLED"\?/,
  )
  assert.match(error.message, /http\.addr = "18083" in --http\.addr: must be HOST:PORT, or "off"/)
})

test('loadConfiguration() names file, line and column of a syntax error', () => {
  const error = refusal(() => load('[mqtt]\naddr = "127.0.0.1:1883\n'))
  assert.match(error.message, /concordmq\.toml:2:\d+: not valid TOML/)
})

test('loadConfiguration() refuses a secret in the file and does not show it', () => {
  const error = refusal(() => load('secret-key = "3077020101"\n'))
  assert.match(error.message, /secret-key in .*: a secret does not belong in this file/)
  assert.doesNotMatch(error.message, /3077/)
})

test('loadConfiguration() refuses two secret keys [row F14]', () => {
  assert.match(refusal(() => load(undefined, { SECRET_KEY: 'aa', SECRET_KEY_FILE: 'x' })).message, /give at most one/)
  assert.match(
    refusal(() => load(undefined, { SECRET_KEY: 'aa' }, [flag('secret-key-file', 'x')])).message,
    /give at most one/,
  )
})

test('loadConfiguration() lets a key in the environment replace the key file in the file', () => {
  const { settings } = load('secret-key-file = "key_0.pem"\n', { CONCORDMQ_SECRET_KEY: 'aa' })
  assert.equal(settings['secret-key-file'], undefined)
  assert.equal(settings['secret-key'], 'aa')
})

test('loadConfiguration() takes the keys of joining by certificate by flag, environment and file [row F8]', () => {
  const { settings } = load('[cluster]\nroot-cert = "root.pem"\n', { CLUSTER_CERT: '/x' }, [
    flag('cluster.accept-peer-with-cert', true),
  ])
  assert.equal(settings['cluster.cert'], '/x')
  assert.match(settings['cluster.root-cert'] ?? '', /root\.pem$/)
  assert.equal(settings['cluster.accept-peer-with-cert'], true)
  assert.match(refusal(() => load('[cluster]\nmode = "raft"\n')).message, /cluster\.mode = "raft"/)
})

test('loadConfiguration() lets the variables of container links pass', () => {
  load(undefined, {
    CONCORDMQ_PORT: 'tcp://10.0.0.1:1883',
    CONCORDMQ_SERVICE_HOST: '10.0.0.1',
    CONCORDMQ_SERVICE_PORT_MQTT: '1883',
    CONCORDMQ_PORT_1883_TCP_ADDR: '10.0.0.1',
    CONCORDMQ_LOG_LEVEL: '',
  })
})

test('loadConfiguration() takes the plain words of RUST_LOG and names what it ignores', () => {
  assert.equal(load(undefined, { RUST_LOG: 'warn' }).settings['log.level'], 'warn')
  const { settings, notices } = load(undefined, { RUST_LOG: 'debug,foxmq::mqtt=trace' })
  assert.equal(settings['log.level'], 'debug')
  assert.match(notices.join(), /RUST_LOG/)
})

test('loadConfiguration() refuses a broker without listeners and a client certificate rule without roots', () => {
  const error = refusal(() => load('[mqtt]\naddr = "off"\n[tls]\nrequire-client-cert = true\n'))
  assert.match(error.message, /no listener is on/)
  assert.match(error.message, /tls\.require-client-cert without tls\.client-ca/)
})

test('loadConfiguration() tells when an address has no effect', () => {
  assert.match(
    load('[mqtts]\naddr = "0.0.0.0:8884"\n').notices.join(),
    /mqtts\.addr from .* has no effect: mqtts is off; add --mqtts/,
  )
})

test('loadConfiguration() says what is wrong with an address', () => {
  const reasonOf = (address: string) => refusal(() => load(undefined, {}, [flag('mqtt.addr', [address])])).message
  assert.match(reasonOf('::1:1883'), /mqtt\.addr = \["::1:1883"\] in .*: an IPv6 address with a port goes in brackets/)
  assert.match(reasonOf('127.0.0.1:65536'), /the port must be a number from 0 to 65535/)
  assert.match(reasonOf('127.0.0.1'), /the port is missing, write HOST:PORT/)
  assert.match(reasonOf('300.1.1.1:1'), /"300\.1\.1\.1" is neither an IP address nor a host name/)
  const http = refusal(() => load(undefined, {}, [flag('http.addr', ':80')])).message
  assert.match(http, /http\.addr = ":80" in .*: the host is missing/)
})

test('loadConfiguration() tells that nothing is kept in the data directory yet', () => {
  assert.match(
    load('data-dir = "data"\ndurability = "memory"\n').notices.join(),
    /data-dir from .*concordmq\.toml has no effect/,
  )
})

test('loadConfiguration() wants a file that was named to exist', () => {
  const missing = join(directory, 'no.toml')
  assert.match(
    refusal(() => loadConfiguration({ directory, file: missing, environment: {}, flags: [] })).message,
    /no\.toml: it does not exist/,
  )
})

test('showToml() reads back to the same settings, with origins and without secrets', () => {
  const before = load('[mqtt]\naddr = ["127.0.0.1:1", "[::1]:1"]\n[auth]\nallow-anonymous-login = true\n', {
    SECRET_KEY: 'c0ffee',
  })
  const text = showToml(before)
  assert.doesNotMatch(text, /c0ffee/)
  assert.match(text, /addr = \["127\.0\.0\.1:1", "\[::1\]:1"\] {2}# .*concordmq\.toml/)
  assert.match(text, /# secret-key = \(hidden\) {2}# SECRET_KEY/)
  assert.match(text, /keep-alive-max = 3600 {2}# default/)
  parse(text)
  const { settings } = load(text, { SECRET_KEY: 'c0ffee' })
  assert.deepEqual(settings, before.settings)
})

test('showJson() is JSON with every key and no secret', () => {
  const text = showJson(load(undefined, { SECRET_KEY: 'c0ffee' }))
  const shown: unknown = JSON.parse(text)
  assert.ok(typeof shown === 'object' && shown !== null && 'values' in shown && Array.isArray(shown.values))
  assert.equal(shown.values.length, allPaths.length)
  assert.doesNotMatch(text, /c0ffee/)
})
