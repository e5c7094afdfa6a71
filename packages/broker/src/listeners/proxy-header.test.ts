import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { PROXY_HEADER_BYTES_MAX, readProxyHeader } from './proxy-header.ts'

const signature = Buffer.from('0d0a0d0a000d0a515549540a', 'hex')

export function binary(
  options: { version?: number; command?: number; family?: number; body?: Uint8Array; length?: number } = {},
): Buffer {
  const { version = 2, command = 1, family = 0x11, body = ipv4Body } = options
  const length = options.length ?? body.length
  const head = Buffer.from([(version << 4) | command, family, length >> 8, length & 255])
  return Buffer.concat([signature, head, body])
}

const ipv4Body = Buffer.from([192, 0, 2, 7, 198, 51, 100, 1, 0xdc, 0x04, 0x07, 0x5b])
const ipv6Body = Buffer.concat([
  Buffer.from('20010db8000000000000000000000007', 'hex'),
  Buffer.from('20010db8000000000000000000000001', 'hex'),
  Buffer.from([0xdc, 0x04, 0x07, 0x5b]),
])

const read = (text: string) => readProxyHeader(Buffer.from(text, 'latin1'))

test('version 1 says whose connection it is', () => {
  const line = 'PROXY TCP4 192.0.2.7 198.51.100.1 56324 1883\r\n'
  assert.deepEqual(read(line), { type: 'client', bytes: line.length, address: '192.0.2.7', port: 56_324 })
  assert.deepEqual(read(`${line}\x10\x0c`), { type: 'client', bytes: line.length, address: '192.0.2.7', port: 56_324 })
  const six = 'PROXY TCP6 2001:DB8:0::7 2001:db8::1 1 65535\r\n'
  assert.deepEqual(read(six), { type: 'client', bytes: six.length, address: '2001:db8::7', port: 1 })
  const mapped = 'PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n'
  assert.deepEqual(read(mapped), { type: 'client', bytes: mapped.length, address: '192.0.2.7', port: 1 })
  assert.deepEqual(read('PROXY UNKNOWN\r\n'), { type: 'local', bytes: 15 })
  assert.deepEqual(read('PROXY UNKNOWN ffff::1 whatever 0 x\r\n'), { type: 'local', bytes: 36 })
})

test('version 2 says whose connection it is; TLVs are skipped', () => {
  assert.deepEqual(readProxyHeader(binary()), { type: 'client', bytes: 28, address: '192.0.2.7', port: 56_324 })
  assert.deepEqual(readProxyHeader(binary({ family: 0x21, body: ipv6Body })), {
    type: 'client',
    bytes: 52,
    address: '2001:db8::7',
    port: 56_324,
  })
  const tlvs = Buffer.concat([ipv4Body, Buffer.from([0x04, 0, 3, 1, 2, 3]), Buffer.alloc(100)])
  assert.deepEqual(readProxyHeader(Buffer.concat([binary({ body: tlvs }), Buffer.from('MQTT')])), {
    type: 'client',
    bytes: 16 + tlvs.length,
    address: '192.0.2.7',
    port: 56_324,
  })
  assert.deepEqual(readProxyHeader(binary({ command: 0 })), { type: 'local', bytes: 28 })
  assert.deepEqual(readProxyHeader(binary({ family: 0, body: new Uint8Array(0) })), { type: 'local', bytes: 16 })
})

test('every part of a header is incomplete until it is whole', () => {
  for (const header of [
    Buffer.from('PROXY TCP4 192.0.2.7 198.51.100.1 56324 1883\r\n'),
    Buffer.from('PROXY UNKNOWN\r\n'),
    binary(),
    binary({ family: 0x21, body: ipv6Body }),
  ]) {
    for (let i = 0; i < header.length; i++) {
      assert.equal(readProxyHeader(header.subarray(0, i)).type, 'incomplete', `${header.toString('hex')} ${i}`)
    }
  }
})

test('what is not exactly a header is refused', () => {
  for (const bad of [
    'GET / HTTP/1.1\r\n',
    'proxy TCP4 192.0.2.7 198.51.100.1 56324 1883\r\n',
    'PROXY TCP4 192.0.2.7 198.51.100.1 56324 1883\n',
    'PROXY TCP4 192.0.2.7 198.51.100.1 56324 1883 \r\n',
    'PROXY TCP4  192.0.2.7 198.51.100.1 56324 1883\r\n',
    'PROXY TCP4 192.0.2.7 198.51.100.1 56324\r\n',
    'PROXY TCP4 192.0.2.7 198.51.100.1 65536 1883\r\n',
    'PROXY TCP4 192.0.2.7 198.51.100.1 056 1883\r\n',
    'PROXY TCP4 192.0.2.7 198.51.100.1 -1 1883\r\n',
    'PROXY TCP4 192.0.2.07 198.51.100.1 1 1883\r\n',
    'PROXY TCP4 ::1 ::1 1 1883\r\n',
    'PROXY TCP6 192.0.2.7 198.51.100.1 1 1883\r\n',
    'PROXY TCP6 fe80::1%eth0 ::1 1 1883\r\n',
    'PROXY UDP4 192.0.2.7 198.51.100.1 1 1883\r\n',
    'PROXY TCP4 192.0.2.7\0 198.51.100.1 1 1883\r\n',
    'PROXY UNKNOWNX\r\n',
    'PROXY \r\n',
    `PROXY UNKNOWN ${'x'.repeat(200)}\r\n`,
    `PROXY ${'x'.repeat(101)}`,
    '\x10\x0c\0\x04MQTT\x04\x02\0\x3c\0\0',
  ]) {
    assert.equal(read(bad).type, 'malformed', JSON.stringify(bad))
  }
  for (const bad of [
    binary({ version: 1 }),
    binary({ version: 3 }),
    binary({ command: 2 }),
    binary({ family: 0x12 }),
    binary({ family: 0x31, body: Buffer.alloc(216) }),
    binary({ family: 0x10 }),
    binary({ body: ipv4Body.subarray(0, 11) }),
    binary({ family: 0x21 }),
    binary({ length: 65_535 }),
    binary({ body: Buffer.alloc(PROXY_HEADER_BYTES_MAX - 15) }),
  ]) {
    assert.equal(readProxyHeader(bad).type, 'malformed', bad.toString('hex'))
  }
})

test('no bytes make it throw, wait for more than its maximum, or read beyond what is there', () => {
  const headers = [
    Buffer.from('PROXY TCP4 192.0.2.7 198.51.100.1 56324 1883\r\n'),
    Buffer.from('PROXY TCP6 2001:db8::7 2001:db8::1 56324 1883\r\n'),
    binary(),
    binary({ family: 0x21, body: ipv6Body }),
  ]
  const mutated = fc
    .tuple(fc.constantFrom(...headers), fc.array(fc.tuple(fc.nat(60), fc.nat(255)), { maxLength: 4 }), fc.uint8Array())
    .map(([header, changes, tail]) => {
      const bytes = Buffer.concat([header, tail])
      for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value
      return bytes
    })
  fc.assert(
    fc.property(fc.oneof(mutated, fc.uint8Array({ maxLength: 700 })), (bytes) => {
      const header = readProxyHeader(bytes)
      if (header.type === 'incomplete') assert.ok(bytes.length < PROXY_HEADER_BYTES_MAX)
      if (header.type === 'client' || header.type === 'local') {
        assert.ok(header.bytes <= bytes.length && header.bytes <= PROXY_HEADER_BYTES_MAX)
        // What follows changes nothing, and one byte less is not enough.
        assert.deepEqual(readProxyHeader(bytes.subarray(0, header.bytes)), header)
        assert.equal(readProxyHeader(bytes.subarray(0, header.bytes - 1)).type, 'incomplete')
      }
      if (header.type === 'client') assert.ok(header.port >= 0 && header.port <= 65_535)
    }),
    { seed: 20_261_128, numRuns: 20_000 },
  )
})
