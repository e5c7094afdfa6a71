import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatAddress, parseAddress } from './host-port.ts'

const accepted: [string, string][] = [
  ['0.0.0.0:1883', '0.0.0.0:1883'],
  ['[::1]:1883', '[::1]:1883'],
  ['[0:0:0:0:0:0:0:1]:1883', '[::1]:1883'],
  ['Broker.Example.com:19793', 'broker.example.com:19793'],
  ['localhost:65535', 'localhost:65535'],
]
for (const [text, canonical] of accepted) {
  test(`parseAddress() reads ${text} as ${canonical}`, () => {
    const parsed = parseAddress(text, { portMin: 1 })
    assert.ok('address' in parsed, JSON.stringify(parsed))
    assert.equal(formatAddress(parsed.address), canonical)
  })
}

const refused: [string, RegExp][] = [
  ['127.0.0.1', /port is missing/],
  ['127.0.0.1:', /port is missing/],
  [':1883', /host is missing/],
  ['', /host is missing/],
  ['127.0.0.1:65536', /port must be a number/],
  ['127.0.0.1:0', /port must be a number from 1/],
  ['127.0.0.1:-1', /port must be a number/],
  ['127.0.0.1:1e3', /port must be a number/],
  ['127.0.0.256:1883', /neither an IP address nor a host name/],
  ['::1:1883', /brackets/],
  ['[::g]:1883', /not an IPv6 address/],
  ['[127.0.0.1]:1883', /not an IPv6 address/],
  ['[::1]', /port is missing/],
  ['a b:1883', /neither/],
  ['-a:1883', /neither/],
  ['mqtt://host:1883', /brackets/],
]
for (const [text, rule] of refused) {
  test(`parseAddress() refuses "${text}"`, () => {
    const parsed = parseAddress(text, { portMin: 1 })
    assert.ok('problem' in parsed)
    assert.match(parsed.problem, rule)
  })
}

test('parseAddress() takes port 0 where any free port will do', () => {
  assert.deepEqual(parseAddress('127.0.0.1:0', { portMin: 0 }), { address: { host: '127.0.0.1', port: 0 } })
})
