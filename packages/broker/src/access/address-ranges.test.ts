import assert from 'node:assert/strict'
import { test } from 'node:test'
import { addressMatcher, parseAddress, parseRange } from './address-ranges.ts'

function inside(range: string, address: string): boolean {
  const parsed = parseRange(range)
  assert.ok(typeof parsed !== 'string', range)
  return addressMatcher(address)(parsed)
}

test('ranges of IPv4 and IPv6 hold their first and last address and no neighbour [row U16]', () => {
  for (const [range, within, outside] of [
    ['10.0.0.0/8', ['10.0.0.0', '10.255.255.255'], ['9.255.255.255', '11.0.0.0', '::', '']],
    ['127.0.0.1', ['127.0.0.1', '::ffff:127.0.0.1', '::ffff:7f00:1'], ['127.0.0.2', '::1']],
    ['0.0.0.0/0', ['1.2.3.4', '255.255.255.255'], ['::1', '/run/socket']],
    ['::/0', ['::1', 'fe80::1%eth0', '2001:db8::'], ['1.2.3.4', '::ffff:1.2.3.4']],
    ['2001:db8::/32', ['2001:db8::', '2001:db8:ffff:ffff:ffff:ffff:ffff:ffff'], ['2001:db7::', '2001:db9::']],
    ['::ffff:10.0.0.0/104', ['10.1.2.3', '::ffff:10.1.2.3'], ['11.0.0.0', '::10.1.2.3']],
    ['2001:DB8:0:0:0:0:0:1', ['2001:db8::1'], ['2001:db8::2']],
  ] as const) {
    for (const address of within) assert.equal(inside(range, address), true, `${address} in ${range}`)
    for (const address of outside) assert.equal(inside(range, address), false, `${address} in ${range}`)
  }
})

test('parseRange() refuses what is no range and says why', () => {
  for (const text of [
    '',
    'localhost',
    '10.0.0',
    '10.0.0.0/',
    '10.0.0.0/33',
    '10.0.0.0/-1',
    '::/129',
    '1.2.3.4/8x',
    'fe80::1%eth0',
    '010.0.0.1',
  ])
    assert.equal(typeof parseRange(text), 'string', text)
  assert.match(parseRange('10.1.2.3/8') as string, /for the range write 10\.0\.0\.0\/8/)
  assert.match(parseRange('2001:db8::1/32') as string, /for the range write 2001:db8::\/32/)
  assert.match(parseRange('::ffff:10.0.0.0/8') as string, /from 96 to 128/)
})

test('parseAddress() takes IPv6 in every form', () => {
  assert.deepEqual(parseAddress('1:2:3:4:5:6:7:8'), { family: 6, value: 0x00010002000300040005000600070008n })
  assert.deepEqual(parseAddress('1::8'), { family: 6, value: 0x00010000000000000000000000000008n })
  assert.deepEqual(parseAddress('::'), { family: 6, value: 0n })
  assert.deepEqual(parseAddress('1::'), { family: 6, value: 1n << 112n })
  assert.deepEqual(parseAddress('64:ff9b::192.0.2.33'), { family: 6, value: 0x0064ff9b0000000000000000c0000221n })
})
