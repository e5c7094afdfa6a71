import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { loadConfiguration } from '../config/settings.ts'
import { refusal } from '../refusal.testkit.ts'
import { importMosquitto, reportText } from './import-mosquitto.ts'

let folder = ''
const at = (...parts: readonly string[]): string => join(folder, ...parts)
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'concordmq-import-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

function imported(text: string, force = false) {
  writeFileSync(at('mosquitto.conf'), text)
  const report = importMosquitto(at('mosquitto.conf'), { directory: at('out'), force })
  const { settings } = loadConfiguration({ directory: at('out'), flags: [], environment: {} })
  const left = report.left.map(({ place, what, outcome }) => `${place.split(':').at(-1)} ${what}: ${outcome}`)
  return { report, settings, left }
}

const record =
  '$7$101$S+Gjy8p7qJKsCgPD$k5Sktc2vwj0/uUBgHujx86IQHGF8h63Ho/MS0UJ5Nt0EBmD0QXutNS5k/dNsl17GmC465/GwaUfMFkqrOfzVmw=='

test('an empty configuration serves this machine and lets everybody in, as Mosquitto does', () => {
  const { settings } = imported('# nothing\n')
  assert.deepEqual(settings['mqtt.addr'], ['127.0.0.1:1883'])
  assert.equal(settings['auth.allow-anonymous-login'], true)
  assert.equal(settings['limits.keep-alive-max'], 0)
})

test('listeners of every kind, limits, logs and files are carried over', () => {
  writeFileSync(at('pw'), `alice:${record}\n# x\n`)
  writeFileSync(at('acl'), 'user alice\ntopic a/#\n')
  mkdirSync(at('conf.d'))
  writeFileSync(at('conf.d', 'b.conf'), 'listener 0 /run/mq.sock\n')
  writeFileSync(at('conf.d', 'a.conf'), 'listener 1884\n')
  writeFileSync(at('conf.d', 'c.txt'), 'listener 1\n')
  const { settings, report } = imported(
    [
      'per_listener_settings false',
      'listener 1883 192.0.2.1',
      'max_connections 500',
      'listener 8883',
      'certfile /etc/c.pem',
      'keyfile /etc/k.pem',
      'cafile /etc/ca.pem',
      'require_certificate true',
      'use_identity_as_username true',
      'persistence false',
      'listener 9001 ::1',
      'protocol websockets',
      'allow_anonymous false',
      `password_file ${at('pw')}`,
      `acl_file ${at('acl')}`,
      'max_queued_messages 0',
      'max_inflight_messages 20',
      'max_packet_size 5',
      'max_keepalive 120',
      'persistent_client_expiration 2d',
      'sys_interval 60',
      'retain_available false',
      'log_type error',
      'log_type warning',
      `include_dir ${at('conf.d')}`,
    ].join('\n'),
  )
  assert.deepEqual(settings['mqtt.addr'], ['192.0.2.1:1883', '[::]:1884'])
  assert.deepEqual([settings['mqtts.enabled'], settings['mqtts.addr']], [true, ['[::]:8883']])
  assert.deepEqual([settings['websockets.enabled'], settings['websockets.addr']], [true, ['[::1]:9001']])
  assert.deepEqual(settings['unix.paths'], ['/run/mq.sock'])
  assert.deepEqual(
    [
      settings['tls.cert-file'],
      settings['tls.key-file'],
      settings['tls.client-ca'],
      settings['tls.require-client-cert'],
    ],
    ['/etc/c.pem', '/etc/k.pem', '/etc/ca.pem', true],
  )
  assert.equal(settings['auth.allow-anonymous-login'], false)
  assert.equal(settings['auth.certificate-user'], 'commonName')
  assert.equal(settings.durability, 'memory')
  assert.equal(settings['limits.connections-max'], 500)
  assert.equal(settings['sessions.queue-messages-max'], 100_000_000)
  assert.deepEqual([settings['limits.inflight-max'], settings['limits.receive-maximum']], [20, 20])
  assert.equal(settings['limits.packet-bytes-max'], 64)
  assert.equal(settings['limits.keep-alive-max'], 120)
  assert.equal(settings['sessions.expiry-max'], 172_800)
  assert.equal(settings['sys.interval-seconds'], 60)
  assert.equal(settings['limits.retain-available'], false)
  assert.equal(settings['log.level'], 'warn')
  assert.equal(statSync(at('out', 'users.toml')).mode & 0o777, 0o600)
  assert.ok(readFileSync(at('out', 'users.toml'), 'utf8').includes(record))
  assert.match(readFileSync(at('out', 'permissions.toml'), 'utf8'), /^default = "deny"$/m)
  assert.match(
    reportText(report),
    /Carried over:\n[\s\S]*max_packet_size 5\n +limits\.packet-bytes-max = 64, the nearest that is possible/,
  )
  assert.ok(!reportText(report).includes(record))
})

test('options before the first listener are those of a listener on port 1883, if Mosquitto makes one of them', () => {
  const served = imported('max_connections 10\nallow_anonymous true\nlistener 1884 192.0.2.1\nmax_connections 10\n')
  assert.deepEqual(served.settings['mqtt.addr'], ['[::]:1883', '192.0.2.1:1884'])
  assert.equal(served.settings['limits.connections-max'], 10)
  const alone = imported('max_qos 1\nallow_anonymous true\n', true)
  assert.deepEqual(alone.settings['mqtt.addr'], ['[::]:1883'])
  const { settings, left } = imported(
    'max_connections -1\nprotocol mqtt\nauto_id_prefix x-\ntls_version tlsv1.3\nlistener 1884 192.0.2.1\n',
    true,
  )
  assert.deepEqual(settings['mqtt.addr'], ['192.0.2.1:1884'])
  assert.deepEqual(left.slice(0, 2), [
    '3 auto_id_prefix x-: identifiers that the broker makes begin with "concord-"',
    '4 tls_version tlsv1.3: it stands before the first listener, and Mosquitto does nothing with it',
  ])
})

test('what would let in whom Mosquitto keeps out is left out, with the reason', () => {
  const { settings, left } = imported(
    [
      'per_listener_settings true',
      'listener 1883',
      'allow_anonymous true',
      'listener 1884',
      'allow_anonymous false',
      'listener 1885',
      'allow_anonymous true',
      'mount_point inner/',
      'listener 1886',
      'allow_anonymous true',
      'psk_hint x',
      'listener 1887',
      'allow_anonymous true',
      'bind_interface eth0',
      'listener 1888',
      'allow_anonymous true',
      'use_username_as_clientid true',
    ].join('\n'),
  )
  assert.deepEqual(settings['mqtt.addr'], ['[::]:1883'])
  assert.equal(settings['auth.allow-anonymous-login'], true)
  for (const pattern of [
    /^4 listener 1884: .*left out: who may log in differs/,
    /^6 listener 1885: .*mount_point/,
    /^9 listener 1886: .*pre-shared keys/,
    /^12 listener 1887: .*bound to an interface/,
    /^15 listener 1888: .*client identifiers are not replaced/,
  ]) {
    assert.ok(
      left.some((line) => pattern.test(line)),
      `${pattern}\n${left.join('\n')}`,
    )
  }
})

test('bridges, plugins, unknown options and lines that cannot be read are each named, secrets left out', () => {
  const { left } = imported(
    [
      'listener 1883',
      'allow_anonymous true',
      'plugin /usr/lib/dynsec.so',
      'plugin_opt_password hunter2',
      'auth_opt_secret hunter2',
      'connection cloud',
      'address 192.0.2.1:8883',
      'remote_password hunter2',
      'topic # out 1',
      'persistence true',
      'mqx_queue 7',
      'max_keepalive soon',
      'persistent_client_expiration forever',
    ].join('\n'),
  )
  const text = left.join('\n')
  assert.doesNotMatch(text, /hunter2/)
  assert.match(text, /^3 plugin \/usr\/lib\/dynsec\.so: plugins of Mosquitto cannot be loaded/m)
  assert.match(text, /^4 plugin_opt_password: /m)
  assert.match(text, /^6 connection cloud: bridges are not in this version/m)
  assert.match(text, /^10 persistence true: what mosquitto\.db holds/m)
  assert.match(text, /^11 mqx_queue 7: Mosquitto has no such option/m)
  assert.match(text, /^12 max_keepalive soon: it is not a number/m)
  assert.match(text, /^13 persistent_client_expiration forever: it is not a number with/m)
})

test('users whose passwords cannot be checked are left out by name, never by record', () => {
  writeFileSync(at('pw'), `good:${record}\nplain:hunter2\nnone\nbad:$7$1$x$y\ngood:${record}\nto\u0001ken:x\n`)
  const { left } = imported(`listener 1883\npassword_file ${at('pw')}\n`)
  const text = left.join('\n')
  assert.match(text, /2 user "plain": his password is in clear text/)
  assert.match(text, /3 user "none": he has no password/)
  assert.match(text, /4 user "bad": his record cannot be checked: the salt/)
  assert.match(text, /5 user "good": he stands in the file twice/)
  assert.doesNotMatch(text, /hunter2|S\+Gjy8/)
})

test('nothing is written over without --force, and nothing at all when something cannot be read', () => {
  imported('listener 1883\nallow_anonymous true\n')
  const error = refusal(() => imported('listener 1884\nallow_anonymous true\n'), 73)
  assert.match(error.message, /There is already .*concordmq\.toml; nothing was written/)
  assert.deepEqual(imported('listener 1884\nallow_anonymous true\n', true).settings['mqtt.addr'], ['[::]:1884'])
  assert.match(
    refusal(() => imported('password_file /none\n', true)).message,
    /mosquitto\.conf:1: the password file \/none/,
  )
  assert.match(
    refusal(() => imported('include_dir /none\n', true)).message,
    /mosquitto\.conf:1: cannot read the directory/,
  )
  assert.match(refusal(() => imported('listener 1883\npsk_hint x\n', true)).message, /None of the listeners/)
  const missing = refusal(() => importMosquitto(at('none.conf'), { directory: at('out'), force: true }))
  assert.match(missing.message, /Cannot read .*none\.conf: it does not exist/)
  assert.match(readFileSync(at('out', 'concordmq.toml'), 'utf8'), /1884/)
})
