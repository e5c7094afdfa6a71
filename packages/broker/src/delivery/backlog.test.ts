import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OutboundWindow } from '@concordmq/state'
import { Counters } from '../telemetry/counters.ts'
import { Backlog, type Holder } from './backlog.ts'
import type { Form } from './form.ts'
import { Outbox, type QueueFullPolicy } from './outbox.ts'
import { CONGESTED_BYTES, Output } from './output.ts'

class Held implements Holder {
  heldBytes: number
  shedTimes = 0
  readonly #backlog: Backlog

  constructor(backlog: Backlog, bytes: number) {
    this.#backlog = backlog
    this.heldBytes = bytes
    backlog.add(this, bytes)
  }

  shed(): void {
    this.shedTimes++
    this.#backlog.remove(this.heldBytes)
    this.heldBytes = 0
  }
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

test('beyond the maximum those that hold most give it up, until a tenth is free', async () => {
  const told: number[][] = []
  const backlog = new Backlog(
    () => 1_000,
    (...what) => told.push(what),
  )
  const sizes = [10, 300, 20, 250, 200, 220]
  const holders = sizes.map((bytes) => new Held(backlog, bytes))
  await turn()
  assert.deepEqual(told, [])
  holders.push(new Held(backlog, 1))
  await turn()
  assert.deepEqual(
    holders.map(({ shedTimes }) => shedTimes),
    [0, 1, 0, 0, 0, 0, 0],
  )
  assert.deepEqual(told, [[1, 1_001]])
  assert.equal(backlog.bytes, 701)
  await turn()
  // And again, whoever fills it.
  new Held(backlog, 400)
  await turn()
  assert.deepEqual(told.at(-1), [1, 1_101])
  assert.equal(backlog.bytes, 701)
})

test('holders that are slow to let go are asked once a turn', async () => {
  const backlog = new Backlog(
    () => 100,
    () => {},
  )
  let asked = 0
  const holder: Holder = { heldBytes: 200, shed: () => void asked++ }
  backlog.add(holder, 200)
  for (let i = 0; i < 50; i++) backlog.add(holder, 0)
  await turn()
  assert.equal(asked, 1)
  backlog.forget(holder)
  backlog.remove(200)
  assert.equal(backlog.bytes, 0)
})

function form(bytes: number, qos: 0 | 1): Form {
  const buf = new Uint8Array(bytes)
  return {
    buf,
    lent: false,
    start: 0,
    end: bytes,
    count: 1,
    qos,
    heads: new Int32Array(1),
    ids: new Int32Array(1),
    parts: undefined,
    partsBytes: 0,
    expiresAtMs: -1,
    expiryAt: -1,
    slice: undefined,
    kept: undefined,
    waiting: 0,
  }
}

function client(backlog: Backlog, queueFull: QueueFullPolicy = 'dropQoS0') {
  const transport = { pending: CONGESTED_BYTES + 1, write() {} }
  const counters = new Counters()
  const output = new Output(transport, { counters, backlog, add() {} })
  const limits = { queueMessagesMax: 99, queueBytesMax: 1e9, queueFull }
  const outbox = new Outbox(output, new OutboundWindow(9), 1e9, limits, counters, { overflow() {}, sharedSettled() {} })
  const read = () => {
    transport.pending = 0
    output.drained()
    outbox.pump(0)
  }
  return { transport, output, outbox, counters, read }
}

test('a message that many wait for is counted once, and until the last has it', () => {
  const backlog = new Backlog(
    () => 1e9,
    () => {},
  )
  const clients = [client(backlog), client(backlog), client(backlog)]
  const message = form(1_000, 0)
  for (const { outbox } of clients) outbox.give(message)
  assert.equal(backlog.bytes, 1_000)
  clients[0]?.read()
  clients[1]?.outbox.close()
  assert.equal(backlog.bytes, 1_000)
  clients[2]?.read()
  assert.equal(backlog.bytes, 0)
})

test('what is dropped, sent or closed is held no more, whatever the policy', () => {
  for (const policy of ['dropQoS0', 'dropOldest', 'disconnect'] as const) {
    const backlog = new Backlog(
      () => 1e9,
      () => {},
    )
    const { outbox, counters } = client(backlog, policy)
    for (const qos of [0, 1, 0, 1] as const) outbox.give(form(100, qos))
    assert.equal(backlog.bytes, 400)
    outbox.shed()
    const [left, dropped] = { dropQoS0: [200, 2], dropOldest: [0, 4], disconnect: [400, 0] }[policy] as [number, number]
    assert.deepEqual([backlog.bytes, outbox.waitingBytes, counters.publishDropped], [left, left, dropped])
    outbox.close()
    assert.equal(backlog.bytes, 0)
  }
})

test('what a socket does not take is held until it does, or the connection is gone', () => {
  const backlog = new Backlog(
    () => 1e9,
    () => {},
  )
  const { output, transport } = client(backlog)
  transport.pending = 0
  output.append(new Uint8Array(100))
  transport.pending = 60
  output.flush()
  assert.equal(backlog.bytes, 60)
  output.append(new Uint8Array(10))
  transport.pending = 70
  output.flush()
  assert.equal(backlog.bytes, 70)
  transport.pending = 0
  output.drained()
  assert.equal(backlog.bytes, 0)
  output.append(new Uint8Array(100))
  transport.pending = 100
  output.flush()
  output.close()
  assert.equal(backlog.bytes, 0)
})
