/**
 * Every hook point once, in the order in which a scripted scenario calls them (row C7). The list below is what somebody who
 * ports hooks relies on: a change of it is a change for them.
 */
import assert from 'node:assert/strict'
import { after, mock, test } from 'node:test'
import { connect, open } from '../../../../testing/testkit/src/raw-client.ts'
import * as wire from '../../../../testing/testkit/src/wire.ts'
import type { Broker } from '../api.ts'
import { createBroker } from '../broker.ts'
import { hookPoints } from '../hooks/hook-points.ts'
import type { HookPoint, Hooks } from '../hooks/hooks.ts'

let broker: Broker
after(() => broker.close({ graceMs: 0 }))

const kept: readonly wire.Property[] = [['sessionExpiryInterval', 100]]

/** Hooks that use every point, let everything pass and note each call. */
function recorder(calls: string[], used: Set<HookPoint>): Hooks {
  const hooks: Record<string, (...values: readonly unknown[]) => unknown> = {}
  const last = new Set<HookPoint>([
    'transformSubscribe',
    'transformUnsubscribe',
    'selectSubscribers',
    'transformOutgoing',
  ])
  for (const [point, kind] of Object.entries(hookPoints) as [HookPoint, string][]) {
    hooks[point] = (...values) => {
      used.add(point)
      calls.push(`${point}${described(values)}`)
      if (kind === 'decision') return true
      if (kind === 'observation') return undefined
      return last.has(point) ? values.at(-1) : values[1]
    }
  }
  return hooks as Hooks
}

/** What identifies a call: client, packet type or topic. */
function described(values: readonly unknown[]): string {
  return values
    .map((value) => {
      if (typeof value === 'string' || typeof value === 'number') return ` ${value}`
      if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Map) return ''
      if ('clientId' in value && 'connection' in value) return ` ${String(value.clientId)}`
      if ('topic' in value) return ` ${String(value.topic)}`
      if ('type' in value) return ` ${wire.packetTypes[Number(value.type)] ?? String(value.type)}`
      return ''
    })
    .join('')
}

test('each point is called where the guide says, in one order', async () => {
  const calls: string[] = []
  const used = new Set<HookPoint>()
  broker = await createBroker({
    access: { allowAnonymous: true },
    sys: { intervalSeconds: 1 },
    hooks: [recorder(calls, used)],
  })
  const { port } = await broker.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 })
  const target = { host: '127.0.0.1', port }
  assert.ok(used.has('started') && used.has('sysTicked'))

  calls.length = 0
  const client = await connect(target, 5, { clientId: 'c', will: { topic: 'will', payload: 'w', retain: true } })
  assert.deepEqual(calls.splice(0), [
    'admitConnection',
    'packetReceived c CONNECT',
    'admitPacket c CONNECT',
    'authorizeConnect c CONNECT',
    'transformConnect c CONNECT',
    'authenticate c',
    'clientAuthenticated c CONNECT',
    'authorizePublish c will',
    'transformWill c will',
    'packetSent c CONNACK',
    'clientConnected c',
    'packetProcessed c CONNECT',
  ])

  await client.subscribe('t', 1)
  assert.deepEqual(calls.splice(0), [
    'packetReceived c SUBSCRIBE',
    'admitPacket c SUBSCRIBE',
    'transformSubscribe c',
    'authorizeSubscribe c',
    'packetSent c SUBACK',
    'subscribed c',
    'packetProcessed c SUBSCRIBE',
  ])

  client.send(wire.publish(5, 't', 'x', { qos: 1, id: 1, retain: true }))
  const message = await client.expectPacket('PUBLISH')
  await client.expectPacket('PUBACK', { id: 1 })
  assert.deepEqual(calls.splice(0), [
    'packetReceived c t',
    'admitPacket c t',
    'authorizePublish c t',
    'transformPublish c t',
    'selectSubscribers t',
    'authorizeDelivery c t',
    'transformOutgoing c t',
    'delivered c t',
    'packetSent c t',
    'packetSent c PUBACK',
    'retainedStored t',
    'published c t',
    'packetProcessed c t',
  ])

  client.send(wire.acknowledge('PUBACK', message.id))
  await client.unsubscribe('t')
  assert.deepEqual(calls.splice(0), [
    'packetReceived c PUBACK',
    'admitPacket c PUBACK',
    `acknowledged c ${message.id} 1`,
    'packetProcessed c PUBACK',
    'packetReceived c UNSUBSCRIBE',
    'admitPacket c UNSUBSCRIBE',
    'transformUnsubscribe c',
    'packetSent c UNSUBACK',
    'unsubscribed c',
    'packetProcessed c UNSUBSCRIBE',
  ])

  const watcher = await connect(target, 5, { clientId: 'w' })
  await client.drop()
  await watcher.ping()
  const ended = calls.splice(0).filter((call) => / c\b|will/.test(call))
  assert.deepEqual(ended, [
    'retainedStored will',
    'willSent c will',
    'sessionEnded c disconnect',
    'clientDisconnected c',
  ])

  // What needs a circumstance of its own.
  const stranger = await open(target, 5)
  const removeNobody = broker.addHooks({
    authenticate: () => false,
    authorizePublish: (_c, { topic }) => topic !== 'no',
  })
  stranger.send(wire.connect(5, { clientId: 's' }))
  // The recorder said yes before.
  await stranger.expectPacket('CONNACK', { reason: 0 })
  stranger.send(wire.publish(5, 'no', 'x', { qos: 1, id: 1 }))
  await stranger.expectPacket('PUBACK', { reason: 0x87 })
  assert.ok(calls.includes('publishRefused s no 135'))
  removeNobody()

  const removeStrict = broker.addHooks({ authorizeConnect: () => false })
  const refused = await open(target, 5)
  refused.send(wire.connect(5, { clientId: 'r' }))
  await refused.expectConnectRefused(0x87)
  removeStrict()
  assert.ok(calls.includes('connectRefused r 135'))

  const narrow = await connect(target, 5, {
    clientId: 'n',
    properties: [...kept, ['receiveMaximum', 1], ['maximumPacketSize', 50]],
  })
  await narrow.subscribe('n', 1)
  for (const payload of ['x'.repeat(100), 'b', 'c']) await broker.publish({ topic: 'n', payload, qos: 1 })
  await narrow.expectPacket('PUBLISH', { payload: 'b' })
  assert.ok(calls.includes('publishDropped n n'))
  assert.ok(calls.includes('packetIdsExhausted n'))
  await broker.publish({ topic: 'short', payload: 'x', retain: true, properties: { messageExpiryInterval: 1 } })
  await narrow.drop()
  await watcher.ping()
  mock.timers.enable({ apis: ['Date'], now: Date.now() + 600_000 })
  try {
    await broker.publish({ topic: 'later', payload: 'x' })
  } finally {
    mock.timers.reset()
  }
  assert.ok(calls.includes('retainedExpired short'))
  assert.ok(calls.includes('sessionEnded n expired'))
  assert.ok(calls.includes('qosDropped n sessionEnded'))
  await broker.close({ graceMs: 0 })
  assert.deepEqual(
    Object.keys(hookPoints).filter((point) => !used.has(point as HookPoint)),
    [],
  )
  assert.equal(calls.at(-1), 'stopped')
})
