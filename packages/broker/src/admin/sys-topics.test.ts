import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Counters } from '../telemetry/counters.ts'
import { type SysGauges, SysTopics } from './sys-topics.ts'

const gauges: SysGauges = {
  clientsConnected: 3,
  sessions: 4,
  clientsDisconnected: 2,
  connections: 5,
  subscriptions: 7,
  sharedSubscriptions: 1,
  retainedMessages: 11,
  storedMessages: 13,
  storedBytes: 1_300,
  inflightMessages: 17,
  outPackets: 19,
  outBytes: 1_900,
}
const processGauges = { heapBytes: 1_000_000, residentBytes: 2_000_000, threads: 11 }
const startedMs = 1_700_000_000_000

function values(
  topics: SysTopics,
  nowMs: number,
  counters = new Counters(),
  changed: Partial<SysGauges> = {},
): Map<string, string> {
  const list = topics.tick({ nowMs, counters, gauges: { ...gauges, ...changed }, process: processGauges })
  const map = new Map(list.map(({ topic, payload }) => [topic, payload]))
  assert.equal(map.size, list.length, 'no topic twice')
  return map
}

const make = () => new SysTopics({ version: '0.1.0', startedMs })

describe('SysTopics', () => {
  it("publishes every name of Mosquitto's that it can count, spelt the same", () => {
    const names = [
      'version',
      'uptime',
      ...['connected', 'disconnected', 'total', 'maximum', 'expired', 'active', 'inactive'].map((n) => `clients/${n}`),
      'connections/socket/count',
      ...['bytes/received', 'bytes/sent', 'messages/received', 'messages/sent', 'messages/stored'],
      ...['received', 'sent', 'dropped'].map((n) => `publish/messages/${n}`),
      ...['publish/bytes/received', 'publish/bytes/sent', 'retained messages/count'],
      ...['store/messages/count', 'store/messages/bytes', 'subscriptions/count', 'shared_subscriptions/count'],
      ...['packet/out/count', 'packet/out/bytes', 'heap/current', 'heap/maximum'],
      ...[
        ...['connections', 'sockets', 'bytes/received', 'bytes/sent', 'messages/received', 'messages/sent'],
        ...['publish/received', 'publish/sent', 'publish/dropped'],
      ].flatMap((name) => ['1min', '5min', '15min'].map((span) => `load/${name}/${span}`)),
    ]
    const topics = values(make(), startedMs)
    for (const name of names) assert.ok(topics.has(`$SYS/broker/${name}`), name)
  })

  it("publishes comqtt's twenty, as text (row C33)", () => {
    const names = [
      ...['version', 'time', 'uptime', 'started', 'load/bytes/received', 'load/bytes/sent'],
      ...['connected', 'disconnected', 'maximum', 'total'].map((n) => `clients/${n}`),
      ...['packets/received', 'packets/sent', 'messages/received', 'messages/sent', 'messages/dropped'],
      ...['messages/inflight', 'retained', 'subscriptions', 'system/memory', 'system/threads'],
    ]
    assert.equal(names.length, 20)
    const topics = values(make(), startedMs)
    for (const name of names) {
      const payload = topics.get(`$SYS/broker/${name}`)
      assert.match(payload ?? '', name === 'version' ? /^concordmq version 0\.1\.0$/ : /^\d+( seconds)?$/, name)
    }
  })

  it('gives gauges, counters and times their values', () => {
    const counters = new Counters()
    counters.arrived(3, 100)
    counters.arrived(12)
    counters.publishDropped = 103
    counters.publishBytesSent = 107
    counters.sessionsExpired = 109
    const topics = values(make(), startedMs + 61_999, counters)
    for (const [name, payload] of [
      ['uptime', '61 seconds'],
      ['time', '1700000061'],
      ['started', '1700000000'],
      ['clients/connected', '3'],
      ['clients/disconnected', '2'],
      ['clients/total', '5'],
      ['clients/active', '3'],
      ['clients/inactive', '2'],
      ['clients/expired', '109'],
      ['connections/socket/count', '5'],
      ['subscriptions/count', '7'],
      ['shared_subscriptions/count', '1'],
      ['retained messages/count', '11'],
      ['messages/stored', '13'],
      ['store/messages/bytes', '1300'],
      ['messages/inflight', '17'],
      ['packet/out/count', '19'],
      ['packet/out/bytes', '1900'],
      ['messages/received', '101'],
      ['publish/messages/dropped', '103'],
      ['messages/dropped', '103'],
      ['publish/bytes/sent', '107'],
      ['heap/current', '1000000'],
      ['system/memory', '2000000'],
      ['system/threads', '11'],
    ] as const) {
      assert.equal(topics.get(`$SYS/broker/${name}`), payload, name)
    }
  })

  it('remembers the most clients and the largest heap', () => {
    const topics = make()
    values(topics, startedMs, undefined, { clientsConnected: 40 })
    const later = values(topics, startedMs + 1, undefined, { clientsConnected: 2 })
    assert.equal(later.get('$SYS/broker/clients/maximum'), '40')
    assert.equal(later.get('$SYS/broker/clients/connected'), '2')
  })

  it('has a line of its own for each limit that is counted', () => {
    const counters = new Counters()
    const names = Object.keys(counters.limits) as (keyof typeof counters.limits)[]
    for (const [i, name] of names.entries()) counters.limits[name] = 1_000 + i
    const lines = [...values(make(), startedMs, counters)].filter(([topic]) => topic.startsWith('$SYS/broker/limits/'))
    for (const [i, name] of names.entries()) {
      assert.equal(lines.filter(([, payload]) => payload === `${1_000 + i}`).length, 1, name)
    }
  })

  it('leaves out what nobody measures', () => {
    const { inflightMessages: _1, outPackets: _2, outBytes: _3, clientsDisconnected: _4, ...fewer } = gauges
    const list = make().tick({ nowMs: startedMs, counters: new Counters(), gauges: fewer, process: processGauges })
    const names = list.map(({ topic }) => topic)
    for (const name of ['messages/inflight', 'packet/out/count', 'packet/out/bytes']) {
      assert.ok(!names.includes(`$SYS/broker/${name}`))
    }
    assert.equal(list.find(({ topic }) => topic === '$SYS/broker/clients/disconnected')?.payload, '1')
  })

  it('approaches a steady rate per minute, the longer average slower', () => {
    const topics = make()
    const counters = new Counters()
    let last = new Map<string, string>()
    // 600 messages a minute, for five minutes, a tick each ten seconds.
    for (let tick = 1; tick <= 30; tick++) {
      counters.publishReceived += 100
      last = values(topics, startedMs + tick * 10_000, counters)
    }
    const load = (span: string) => Number(last.get(`$SYS/broker/load/publish/received/${span}`))
    // 600 × (1 − e^(−5 min / span))
    assert.ok(Math.abs(load('1min') - 600 * (1 - Math.exp(-5))) < 0.01)
    assert.ok(Math.abs(load('5min') - 600 * (1 - Math.exp(-1))) < 0.01)
    assert.ok(Math.abs(load('15min') - 600 * (1 - Math.exp(-1 / 3))) < 0.01)
  })

  it('does not depend on how often it ticks', () => {
    const [often, seldom] = [make(), make()]
    const counters = new Counters()
    let lastOften = new Map<string, string>()
    for (let tick = 1; tick <= 60; tick++) {
      counters.bytesSent += 1_000
      lastOften = values(often, startedMs + tick * 1_000, counters)
    }
    const lastSeldom = values(seldom, startedMs + 60_000, counters)
    for (const span of ['1min', '5min', '15min']) {
      const name = `$SYS/broker/load/bytes/sent/${span}`
      assert.equal(lastOften.get(name), lastSeldom.get(name))
    }
  })

  it('survives ticks without time between them and a clock that is set back', () => {
    const topics = make()
    const counters = new Counters()
    counters.left(3, 600)
    const first = values(topics, startedMs + 60_000, counters)
    assert.deepEqual(values(topics, startedMs + 60_000, counters), first)
    const back = values(topics, startedMs - 60_000, counters)
    for (const payload of back.values()) assert.doesNotMatch(payload, /NaN|Infinity|-/)
    assert.equal(back.get('$SYS/broker/uptime'), '0 seconds')
  })
})
