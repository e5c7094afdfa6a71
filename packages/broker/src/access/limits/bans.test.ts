import assert from 'node:assert/strict'
import { test } from 'node:test'
import { resolveOptions } from '../../config/check.ts'
import type { BanOptions, LimitOptions } from '../../config/options.ts'
import { LimitCounters } from '../../telemetry/limit-counters.ts'
import { silentLogger } from '../../telemetry/logger.ts'
import { AddressTable } from './address-table.ts'
import { Bans } from './bans.ts'
import { EventWindow, EventWindows } from './event-window.ts'
import { TokenBucket } from './token-bucket.ts'

function setUp(bans: BanOptions = {}, limits: LimitOptions = {}) {
  const settings = resolveOptions({ bans, limits })
  const counters = new LimitCounters()
  const clock = { ms: 1_000 }
  const nowMs = () => clock.ms
  return {
    clock,
    counters,
    bans: new Bans({ limits: () => settings.bans, counters, logger: silentLogger, nowMs }),
    addresses: new AddressTable({
      limits: () => settings.limits,
      windowMs: () => settings.bans.failuresWindowMs,
      counters,
      nowMs,
    }),
  }
}

test('a bucket gives its burst, then its rate, and never more than its burst after a pause', () => {
  const bucket = new TokenBucket(10, 20, 0)
  let taken = 0
  while (bucket.take(0)) taken++
  assert.equal(taken, 20)
  assert.equal(bucket.take(99), false)
  assert.equal(bucket.take(100), true)
  assert.equal(bucket.available(1_000_000), 20)
  // What was taken in advance is owed.
  bucket.spend(50, 1_000_000)
  assert.equal(bucket.owedMs(1_000_000), 3_000)
  assert.equal(bucket.owedMs(1_001_000), 2_000)
  assert.equal(bucket.owedMs(1_003_000), 0)
})

test('a window counts from its first event, and forgets when it is over', () => {
  const window = new EventWindow()
  assert.deepEqual(
    [0, 5, 9, 10, 11].map((ms) => window.add(ms, 10)),
    [1, 2, 3, 1, 2],
  )
})

test('windows of names are bounded: those seen longest ago start anew', () => {
  const windows = new EventWindows(3)
  for (const name of ['a', 'b', 'c', 'a']) windows.add(name, 0, 10)
  windows.add('d', 0, 10)
  assert.equal(windows.size, 3)
  assert.equal(windows.add('a', 0, 10), 3)
  assert.equal(windows.add('b', 0, 10), 1)
})

test('an address is banned after its failures within the window, for as long as bans last', () => {
  const { bans, clock, counters } = setUp({ failuresMax: 3, failuresWindowMs: 1_000, banMs: 5_000 })
  const fail = (addressFailures: number) =>
    bans.failed({ addressKey: '192.0.2.7', addressFailures, clientId: 'c', username: 'u' })
  fail(1)
  fail(2)
  assert.equal(bans.has('address', '192.0.2.7'), false)
  fail(3)
  fail(4)
  assert.equal(bans.has('address', '192.0.2.7'), true)
  assert.equal(bans.has('clientId', 'c'), false)
  assert.equal(counters.bans, 1)
  assert.deepEqual(
    bans.list().map(({ kind, value, reason, sinceMs, untilMs }) => [kind, value, reason, (untilMs ?? 0) - sinceMs]),
    [['address', '192.0.2.7', 'failures', 5_000]],
  )
  clock.ms += 5_000
  assert.equal(bans.has('address', '192.0.2.7'), false)
  assert.deepEqual(bans.list(), [])
})

test('client identifiers and user names are banned for failures only when asked for', () => {
  const { bans } = setUp({ failuresMax: 2, clientIds: true, users: true })
  for (let i = 0; i < 2; i++) bans.failed({ addressKey: '', addressFailures: 0, clientId: 'c', username: 'u' })
  assert.deepEqual(
    bans.list().map(({ kind, value }) => `${kind} ${value}`),
    ['clientId c', 'user u'],
  )
  for (let i = 0; i < 9; i++) bans.failed({ addressKey: '', addressFailures: 0, clientId: '', username: undefined })
  assert.equal(bans.list().length, 2)
})

test('a client identifier that comes too often is banned for flapping, and lifting ends a ban', () => {
  const { bans, clock } = setUp({ flappingConnectsMax: 3, flappingWindowMs: 1_000 })
  for (let i = 0; i < 6; i++) {
    bans.entered('slow')
    clock.ms += 500
  }
  assert.equal(bans.has('clientId', 'slow'), false)
  for (let i = 0; i < 3; i++) bans.entered('fast')
  assert.equal(bans.has('clientId', 'fast'), true)
  assert.equal(bans.lift('clientId', 'fast'), true)
  assert.equal(bans.lift('clientId', 'fast'), false)
  assert.equal(bans.has('clientId', 'fast'), false)
  // Lifted, it begins to be counted anew.
  bans.entered('fast')
  assert.equal(bans.has('clientId', 'fast'), false)
})

test("there is a maximum of bans: the oldest ends early, an operator's never does, and more of those are refused", () => {
  const { bans, counters, clock } = setUp({ failuresMax: 1, bansMax: 3 })
  const fail = (addressKey: string) =>
    bans.failed({ addressKey, addressFailures: 1, clientId: '', username: undefined })
  bans.ban('user', 'eve', undefined)
  for (const address of ['192.0.2.1', '192.0.2.2', '192.0.2.3']) fail(address)
  assert.deepEqual(
    bans.list().map(({ value }) => value),
    ['eve', '192.0.2.2', '192.0.2.3'],
  )
  assert.equal(counters.bansForgotten, 1)
  bans.ban('user', 'mallory', undefined)
  bans.ban('user', 'trudy', undefined)
  assert.throws(() => bans.ban('user', 'oscar', undefined), { code: 'CMQ_BANS' })
  // The same again is no further one, and changes its end.
  bans.ban('user', 'trudy', 10_000)
  for (let i = 4; i < 100; i++) fail(`192.0.2.${i}`)
  assert.ok(bans.list().length <= 4)
  clock.ms += 10_000
  assert.equal(bans.has('user', 'trudy'), false)
  assert.equal(bans.has('user', 'eve'), true)
  bans.ban('user', 'oscar', 1)
})

test('networks that are exempt are looked up as they are set', () => {
  assert.equal(setUp().bans.isExempt('127.0.0.1'), true)
  assert.equal(setUp().bans.isExempt('::1'), true)
  assert.equal(setUp().bans.isExempt('192.0.2.1'), false)
  assert.equal(setUp({ exempt: [] }).bans.isExempt('127.0.0.1'), false)
  assert.equal(setUp({ exempt: ['192.0.2.0/24'] }).bans.isExempt('192.0.2.1'), true)
})

test('an address is forgotten when it has no connection and nothing to remember', () => {
  const { addresses } = setUp()
  const entry = addresses.enter('192.0.2.1')
  assert.equal(addresses.enter('192.0.2.1'), entry)
  addresses.leave(entry)
  assert.equal(addresses.size, 1)
  addresses.leave(entry)
  assert.equal(addresses.size, 0)
})

test('an address keeps its pace and its failures over reconnects, until the window is over', () => {
  const { addresses, clock } = setUp({ failuresWindowMs: 10_000 }, { connectionsPerSecondPerAddressMax: 2 })
  const visit = (fails: boolean) => {
    const entry = addresses.enter('192.0.2.1')
    const result = [addresses.keepsPace(entry), fails ? addresses.failed(entry) : 0]
    addresses.leave(entry)
    return result
  }
  assert.deepEqual(
    [visit(true), visit(true), visit(true)],
    [
      [true, 1],
      [true, 2],
      [false, 3],
    ],
  )
  clock.ms += 500
  assert.deepEqual(visit(true), [true, 4])
  clock.ms += 10_000
  assert.deepEqual(visit(false), [true, 0])
})

test('addresses without connection are bounded: those gone longest are forgotten, those connected never', () => {
  const { addresses, counters } = setUp({}, { addressesMax: 1_000 })
  const staying = addresses.enter('2001:db8::/64')
  addresses.failed(staying)
  for (let i = 0; i < 5_000; i++) {
    const entry = addresses.enter(`10.0.${i >> 8}.${i & 255}`)
    addresses.failed(entry)
    addresses.leave(entry)
  }
  assert.ok(addresses.size <= 1_001, String(addresses.size))
  assert.ok(counters.addressesForgotten >= 4_000)
  assert.equal(addresses.failed(addresses.enter('2001:db8::/64')), 2)
  assert.equal(addresses.failed(addresses.enter('10.0.0.0')), 1)
  assert.equal(addresses.failed(addresses.enter(`10.0.${4_999 >> 8}.${4_999 & 255}`)), 2)
})
