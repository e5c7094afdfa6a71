import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { readFile } from 'node:fs/promises'
import { describe, it, mock } from 'node:test'
import type { PlacedMessage } from '@concordmq/state'
import { Counters } from '../telemetry/counters.ts'
import { SysDriver } from './sys-driver.ts'
import { brokerVersion } from './version.ts'

function drive(intervalSeconds: number) {
  const counters = new Counters()
  const delivered: PlacedMessage[] = []
  const clock = { ms: 0 }
  const driver = new SysDriver({
    intervalSeconds,
    counters: () => counters,
    gauges: () => ({
      clientsConnected: 1,
      sessions: 1,
      connections: 1,
      subscriptions: 1,
      sharedSubscriptions: 0,
      retainedMessages: 0,
      storedMessages: 0,
      storedBytes: 0,
    }),
    now: () => ({ us: (1_700_000_000_000 + clock.ms) * 1_000, ms: clock.ms }),
    deliver: (placed) => void delivered.push(placed),
  })
  const pass = (ms: number): void => {
    clock.ms += ms
    mock.timers.tick(ms)
  }
  return { driver, counters, delivered, pass }
}

const text = (placed: PlacedMessage | undefined) => Buffer.from(placed?.message.payload ?? []).toString()

describe('SysDriver', () => {
  it('has empty values, which is not to have none', () => {
    const { driver, delivered } = drive(0)
    const topic = '$SYS/cluster/nodes/jailed'
    driver.show([{ topic, payload: '', retain: true }])
    assert.deepEqual([delivered.length, driver.retainedFor(topic).length], [1, 1])
    driver.show([{ topic, payload: undefined, retain: true }])
    assert.deepEqual([delivered.length, driver.retainedFor(topic).length], [1, 0])
  })

  it('publishes at once and then only what changed', () => {
    mock.timers.enable({ apis: ['setInterval'] })
    const { driver, counters, delivered, pass } = drive(10)
    const all = delivered.length
    assert.ok(all > 60)
    assert.ok(delivered.every(({ message }) => message.topic.startsWith('$SYS/broker/') && message.qos === 0))
    counters.publishDropped = 7
    delivered.length = 0
    pass(10_000)
    const topics = new Map(delivered.map((placed) => [placed.message.topic, placed]))
    assert.ok(delivered.length < all)
    assert.equal(text(topics.get('$SYS/broker/publish/messages/dropped')), '7')
    assert.equal(text(topics.get('$SYS/broker/uptime')), '10 seconds')
    assert.ok(!topics.has('$SYS/broker/version'))
    driver.close()
    delivered.length = 0
    pass(60_000)
    assert.equal(delivered.length, 0)
    mock.timers.reset()
  })

  it('keeps the last value of each topic for filters that begin with $SYS [MQTT-4.7.2-1]', () => {
    const { driver } = drive(10)
    const [version, ...others] = driver.retainedFor('$SYS/broker/version')
    assert.equal(text(version), `concordmq version ${brokerVersion}`)
    assert.equal(others.length, 0)
    assert.ok(driver.retainedFor('$SYS/#').length > 60)
    assert.equal(driver.retainedFor('$SYS/broker/retained messages/count').length, 1)
    for (const filter of ['#', '+/broker/version', 'SYS/#']) assert.equal(driver.retainedFor(filter).length, 0)
    driver.close()
  })

  it('is off with interval 0', () => {
    const { driver, delivered } = drive(0)
    assert.equal(delivered.length, 0)
    assert.equal(driver.retainedFor('$SYS/#').length, 0)
  })
})

describe('brokerVersion', () => {
  it('is the version of the package', async () => {
    const manifest = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8'))
    assert.equal(brokerVersion, manifest.version)
  })
})
