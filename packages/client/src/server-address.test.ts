import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ClientError } from './errors.ts'
import { addressText, followServerReference, parseServerUrl } from './server-address.ts'

describe('parseServerUrl()', () => {
  for (const [url, scheme, host, port, path] of [
    ['mqtt://h', 'mqtt', 'h', 1883, ''],
    ['mqtts://h', 'mqtts', 'h', 8883, ''],
    ['tcp://h:1', 'mqtt', 'h', 1, ''],
    ['ssl://h', 'mqtts', 'h', 8883, ''],
    ['mqtt://[::1]:1884', 'mqtt', '::1', 1884, ''],
    ['ws://h', 'ws', 'h', 80, '/mqtt'],
    ['wss://h:9/x?y=1', 'wss', 'h', 9, '/x?y=1'],
    ['unix:/run/a%20b.sock', 'unix', '', 0, '/run/a b.sock'],
  ] as const) {
    test(`reads ${url}`, () => assert.deepEqual(parseServerUrl(url).address, { scheme, host, port, path }))
  }

  test('reads user name, password and topic, decoded', () => {
    const { username, password, topic } = parseServerUrl('mqtt://a%40b:p%3Aw@h/x/%23')
    assert.deepEqual([username, password, topic], ['a@b', 'p:w', 'x/#'])
  })

  for (const url of ['', 'h:1883', 'http://h', 'mqtt://', 'unix:', 'mqtt://u:secret@:1', 'ftp://u:secret@h']) {
    test(`refuses "${url}", and prints no password`, () => {
      assert.throws(
        () => parseServerUrl(url),
        (error) => error instanceof ClientError && error.code === 'CMQ_OPTION' && !error.message.includes('secret'),
      )
    })
  }
})

describe('followServerReference()', () => {
  const from = { scheme: 'mqtts', host: 'a', port: 1, path: '' } as const
  for (const [reference, host, port] of [
    ['b', 'b', 8883],
    ['b:1884', 'b', 1884],
    ['[::1]:1884', '::1', 1884],
    ['b:0 c:2', 'c', 2],
    ['mqtt://b c', 'c', 8883],
  ] as const) {
    test(`takes ${host} from "${reference}", and never leaves TLS`, () => {
      assert.deepEqual(followServerReference(from, reference), { ...from, host, port })
    })
  }

  test('finds nothing in what is no host', () => {
    for (const reference of ['', ' ', 'u@h', 'h:99999', 'h/path'])
      assert.equal(followServerReference(from, reference), undefined)
  })

  test('does not leave a Unix socket', () => {
    assert.equal(followServerReference({ scheme: 'unix', host: '', port: 0, path: '/s' }, 'b'), undefined)
  })
})

test('addressText() puts brackets around an IPv6 address', () => {
  assert.equal(addressText({ scheme: 'mqtt', host: '::1', port: 1, path: '' }), 'mqtt://[::1]:1')
})
