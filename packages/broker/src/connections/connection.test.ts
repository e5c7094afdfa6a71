import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodePacket, PacketType, PublishRun } from '@concordmq/protocol'
import { Backlog } from '../delivery/backlog.ts'
import { TurnFlushQueue } from '../delivery/flush-queue.ts'
import { Pressure } from '../delivery/pressure.ts'
import { HookPoints } from '../hooks/hook-points.ts'
import { Counters } from '../telemetry/counters.ts'
import { silentLogger } from '../telemetry/logger.ts'
import { Connection, type ConnectionShared } from './connection.ts'
import { DeadlineWheel } from './deadline-wheel.ts'
import { ReadMemory } from './read-memory.ts'
import type { Transport, TransportSink } from './transport.ts'

/** One connection on a transport that takes everything, with a clock of the test's own. */
function connected(options: { readonly keepAlive: number; readonly method: string }) {
  const clock = { nowMs: 0 }
  const nowMs = (): number => clock.nowMs
  const seen = { ended: false, paused: false }
  const transport: Transport = {
    info: { listener: 'test', remoteAddress: '', remotePort: 0, encrypted: false },
    sink: undefined as TransportSink | undefined,
    pending: 0,
    write() {},
    pause() {
      seen.paused = true
    },
    resume() {
      seen.paused = false
    },
    end() {
      seen.ended = true
    },
    destroy() {
      seen.ended = true
    },
  }
  const counters = new Counters()
  const shared: ConnectionShared = {
    settings: {
      packetBytesMax: 1 << 20,
      receiveMaximum: 10,
      topicAliasMaximum: 0,
      keepAliveMax: 0,
      maximumQoS: 2,
      retainAvailable: true,
      wildcardSubscriptionAvailable: true,
      subscriptionIdentifierAvailable: true,
      sharedSubscriptionAvailable: true,
    },
    handler: {
      connect(connection, packet) {
        const id = { node: 0, incarnation: 1, counter: 1 }
        connection.enter({
          clientId: packet.clientId,
          principal: '',
          id,
          kept: false,
          grants: undefined,
          willTopic: undefined,
          endsInMs: undefined,
        })
        connection.conversation.accept({ sessionPresent: false })
        connection.answered()
      },
      // Decided later, by the test.
      authenticate() {},
      publishRun() {},
      pubrel() {},
      subscribeRequest() {},
      unsubscribeRequest() {},
      sharedSettled() {},
      left() {},
      expelled() {},
      gone() {},
    },
    counters,
    logger: silentLogger,
    flushQueue: new TurnFlushQueue(
      counters,
      new Backlog(
        () => Infinity,
        () => {},
      ),
    ),
    wheel: new DeadlineWheel(nowMs),
    readMemory: new ReadMemory(),
    pressure: new Pressure(nowMs),
    run: new PublishRun(),
    outboxLimits: { queueMessagesMax: 10, queueBytesMax: 1e6, queueFull: 'dropQoS0' },
    inflightMax: 10,
    connectTimeoutMs: 30_000,
    nowMs,
    hooks: new HookPoints({ counters, logger: silentLogger, timeoutMs: 1_000 }),
  }
  const connection = new Connection(transport, shared)
  const properties = { authenticationMethod: options.method }
  const { keepAlive } = options
  connection.data(
    encodePacket({ type: PacketType.connect, version: 5, clientId: 'c', cleanStart: true, keepAlive, properties }, 5),
  )
  assert.equal(connection.conversation.connected, true)
  return { connection, clock, seen, properties }
}

test('a client that is not read is not silent: its keep alive runs on when reading does [MQTT-3.1.2-22]', () => {
  const { connection, clock, seen, properties } = connected({ keepAlive: 10, method: 'm' })
  connection.data(encodePacket({ type: PacketType.auth, reasonCode: 0x19, properties }, 5))
  assert.equal(seen.paused, true)
  clock.nowMs = 60_000
  connection.due(clock.nowMs)
  assert.equal(seen.ended, false)
  connection.conversation.reAuthenticated(undefined)
  connection.answered()
  assert.equal(seen.paused, false)
  clock.nowMs += 14_999
  connection.due(clock.nowMs)
  assert.equal(seen.ended, false)
  clock.nowMs += 1
  connection.due(clock.nowMs)
  assert.equal(seen.ended, true)
  connection.closed(undefined)
})
