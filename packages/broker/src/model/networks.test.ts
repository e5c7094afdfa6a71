import assert from 'node:assert/strict'
import { test } from 'node:test'
import { addressKey, keyOfAddress } from './address-key.ts'
import { isNetworks, NetworkSet, networkProblem } from './networks.ts'

test('a network is an address, or an address with a number of bits', () => {
  for (const good of [
    '10.0.0.0/8',
    '192.0.2.7',
    '0.0.0.0/0',
    '::/0',
    '2001:db8::/32',
    '::1',
    '10.1.2.3/8',
    '::1/128',
  ]) {
    assert.equal(networkProblem(good), undefined, good)
  }
  for (const bad of [
    '',
    '10.0.0.0/33',
    '10.0.0/8',
    '::/129',
    '10.0.0.0/',
    '10.0.0.0/-1',
    '10.0.0.0/8/8',
    'localhost',
    'fe80::1%eth0',
    '010.0.0.1',
  ]) {
    assert.notEqual(networkProblem(bad), undefined, bad)
  }
  assert.equal(isNetworks(['10.0.0.0/8', '::1']), true)
  for (const bad of [['x'], '10.0.0.0/8', [5], undefined]) assert.equal(isNetworks(bad), false)
})

test('a set has the addresses of its networks, IPv4 in IPv6 form included, and nothing else', () => {
  const set = new NetworkSet(['10.0.0.0/8', '192.0.2.7', '2001:db8::/32', 'fe80::/10'])
  for (const inside of [
    '10.0.0.1',
    '10.255.255.255',
    '192.0.2.7',
    '2001:db8:1::1',
    '::ffff:10.1.1.1',
    'fe80::1%eth0',
  ]) {
    assert.equal(set.has(inside), true, inside)
  }
  for (const outside of ['11.0.0.1', '192.0.2.8', '2001:db9::1', '', '/run/mqtt.sock', 'localhost', '10.0.0']) {
    assert.equal(set.has(outside), false, outside)
  }
  assert.equal(new NetworkSet([]).has('10.0.0.1'), false)
})

test('an IPv4 address is its own key, an IPv6 address has that of its network', () => {
  const key = (address: string, ipv6PrefixBits = 64) => addressKey(address, { ipv6PrefixBits })
  assert.equal(key('192.0.2.7'), '192.0.2.7')
  assert.equal(key('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2::/64')
  assert.equal(key('2001:db8:1:2::9'), key('2001:db8:1:2:ffff::1'))
  assert.notEqual(key('2001:db8:1:2::9'), key('2001:db8:1:3::9'))
  assert.equal(key('2001:db8:1:2::', 56), '2001:db8:1:0::/56')
  assert.equal(key('2001:db8:1:2f3::', 56), '2001:db8:1:200::/56')
  assert.equal(key('::1', 128), '0:0:0:0:0:0:0:1/128')
  assert.equal(key('64:ff9b::192.0.2.1', 128), '64:ff9b:0:0:0:0:c000:201/128')
  assert.equal(key('fe80::1%eth0'), 'fe80:0:0:0::/64')
  for (const none of ['', '/run/mqtt.sock', 'localhost']) assert.equal(key(none), '')
})

test('a key can be given back as it is shown', () => {
  const options = { ipv6PrefixBits: 64 }
  for (const address of ['192.0.2.7', '2001:db8:1:2::9', '::1']) {
    const key = addressKey(address, options)
    assert.equal(keyOfAddress(key, options), key)
    assert.equal(keyOfAddress(address, options), key)
  }
  assert.equal(keyOfAddress('somewhere', options), undefined)
})
