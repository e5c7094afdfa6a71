import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { test } from 'node:test'
import { decodePublish, isRefusal, type QoS } from '@concordmq/protocol'
import {
  type Effects,
  Machine,
  type Message,
  machineSettings,
  OutboundWindow,
  PackedPayloads,
  type PlacedMessage,
} from '@concordmq/state'
import fc from 'fast-check'
import { hold } from '../../../../testing/catalogue/src/hold.ts'
import { Counters } from '../telemetry/counters.ts'
import type { Form } from './form.ts'
import { messageForm } from './message-form.ts'
import { Outbox, type OutboxLimits, type QueueFullPolicy } from './outbox.ts'
import { CONGESTED_BYTES, Output } from './output.ts'

interface Sent {
  readonly payload: string
  readonly qos: number
  readonly id: number
}

function nothing(): void {}

/** Of a machine without sessions. */
const NO_EFFECTS: Effects = {
  ...{ published: nothing, queued: nothing, deliver: nothing },
  ...{ connectionEnded: nothing, sessionEnded: nothing, dropped: nothing },
}

/** An outbox on a socket that takes everything, or nothing while `stuck`. */
class Client {
  readonly counters = new Counters()
  readonly settled: string[] = []
  overflows = 0
  stuck = false
  readonly outbox: Outbox
  readonly output: Output
  #bytes: Buffer = Buffer.alloc(0)

  constructor(
    options: {
      receiveMaximum?: number
      packetBytesMax?: number
      policy?: QueueFullPolicy
    } & Partial<OutboxLimits> = {},
  ) {
    const pending = (): number => (this.stuck ? CONGESTED_BYTES + 1 : 0)
    const transport = {
      get pending() {
        return pending()
      },
      write: (chunks: readonly Uint8Array[], count: number) => {
        this.#bytes = Buffer.concat([this.#bytes, ...chunks.slice(0, count)])
      },
    }
    this.output = new Output(transport, { counters: this.counters, add() {} })
    const { receiveMaximum = 65_535, packetBytesMax = 1 << 28, policy = 'dropQoS0' } = options
    const { queueMessagesMax = 1000, queueBytesMax = 1e9 } = options
    const limits = { queueMessagesMax, queueBytesMax, queueFull: policy }
    this.outbox = new Outbox(this.output, new OutboundWindow(receiveMaximum), packetBytesMax, limits, this.counters, {
      overflow: () => this.overflows++,
      sharedSettled: (q, outcome, code) => this.settled.push(`${q} ${outcome} ${code}`),
    })
  }

  /** The bytes of it. */
  raw(): Buffer {
    this.output.flush()
    return this.#bytes
  }

  /** What has arrived since the last look. */
  arrived(): Sent[] {
    this.output.flush()
    const found: Sent[] = []
    let at = 0
    while (at < this.#bytes.length) {
      let body = at + 1
      let length = 0
      for (let shift = 0; ; shift += 7) {
        const byte = this.#bytes[body++] as number
        length |= (byte & 0x7f) << shift
        if (byte < 0x80) break
      }
      const packet = decodePublish(this.#bytes[at] as number, this.#bytes, body, body + length, 5)
      assert.ok(!isRefusal(packet), JSON.stringify(packet))
      found.push({
        payload: Buffer.from(packet.payload).toString().slice(0, 8),
        qos: packet.qos,
        id: packet.packetId ?? 0,
      })
      at = body + length
    }
    this.#bytes = Buffer.alloc(0)
    return found
  }

  payloads(): string[] {
    return this.arrived().map(({ payload }) => payload)
  }
}

const now = { us: 0, ms: 0 }

function form(
  payload: string,
  qos: QoS = 0,
  more: { readonly bytes?: number; readonly expirySeconds?: number } = {},
): Form {
  const body = Buffer.alloc(Math.max(more.bytes ?? 0, payload.length), ' ')
  body.write(payload)
  const message = {
    topic: 't',
    payload: body,
    qos,
    retain: false,
    publisher: '',
    ...(more.expirySeconds !== undefined && { expirySeconds: more.expirySeconds }),
  }
  return messageForm(
    { message, position: 1, index: 0, timeUs: 0 },
    true,
    { qos, retain: false, dup: false, subscriptionIds: [] },
    now,
  )
}

test('while the client keeps up everything leaves at once, numbered in order', () => {
  const client = new Client()
  for (const qos of [0, 1, 2, 1] as const) client.outbox.give(form(`${qos}`, qos))
  assert.deepEqual(
    client.arrived().map(({ qos, id }) => [qos, id]),
    [
      [0, 0],
      [1, 1],
      [2, 2],
      [1, 3],
    ],
  )
  assert.equal(client.outbox.open, true)
})

test('the window holds back QoS 1 and 2, and what is behind them at QoS 0', () => {
  const client = new Client({ receiveMaximum: 2 })
  for (const [payload, qos] of [
    ['a', 1],
    ['b', 2],
    ['c', 0],
    ['d', 1],
    ['e', 0],
    ['f', 2],
  ] as const) {
    client.outbox.give(form(payload, qos))
  }
  assert.deepEqual(client.payloads(), ['a', 'b', 'c'])
  assert.equal(client.outbox.waiting, 3)
  assert.equal(client.outbox.puback(1, 0), 'settled')
  client.outbox.pump(0)
  assert.deepEqual(client.payloads(), ['d', 'e'])
  assert.equal(client.outbox.pubrec(2, 0), 'settled')
  client.outbox.pump(0)
  assert.deepEqual(client.payloads(), [], 'PUBREC does not open the window')
  assert.equal(client.outbox.pubcomp(2, 0), 'settled')
  client.outbox.pump(0)
  assert.deepEqual(client.payloads(), ['f'])
  assert.equal(client.outbox.waiting, 0)
  assert.equal(client.outbox.waitingBytes, 0)
})

test('acknowledgements: unknown ones, those of the other QoS, and a PUBREC that refuses [MQTT-4.3.3-4]', () => {
  const client = new Client()
  const { outbox } = client
  assert.deepEqual([outbox.puback(1, 0), outbox.pubrec(1, 0), outbox.pubcomp(1, 0)], ['unknown', 'unknown', 'unknown'])
  outbox.give(form('one', 1))
  outbox.give(form('two', 2))
  assert.deepEqual(
    [outbox.pubrec(1, 0), outbox.pubcomp(1, 0), outbox.puback(2, 0)],
    ['mismatch', 'mismatch', 'mismatch'],
  )
  assert.equal(outbox.pubrec(2, 0), 'settled')
  assert.equal(outbox.pubrec(2, 0), 'settled', 'a repeated PUBREC is answered again')
  assert.equal(outbox.puback(2, 0), 'mismatch')
  assert.equal(outbox.pubrec(2, 0x87), 'settled')
  assert.equal(outbox.pubcomp(2, 0), 'unknown')
  assert.equal(outbox.puback(1, 0x83), 'settled')
  assert.equal(outbox.puback(1, 0), 'unknown')
  assert.equal(outbox.window.inflight, 0)
})

test('a congested socket makes everything wait in order; pump() sends it when the socket takes bytes again', () => {
  const client = new Client()
  client.stuck = true
  for (let n = 0; n < 5; n++) client.outbox.give(form(`${n}`, (n % 3) as QoS))
  client.outbox.pump(0)
  assert.deepEqual([client.payloads(), client.outbox.waiting], [[], 5])
  client.stuck = false
  client.outbox.pump(0)
  assert.deepEqual(client.payloads(), ['0', '1', '2', '3', '4'])
})

test('a long line or a congested socket presses, a short line does not', () => {
  const client = new Client({ receiveMaximum: 1 })
  client.outbox.give(form('in flight', 1))
  client.outbox.give(form('waits', 1, { bytes: 1 << 20 }))
  assert.deepEqual([client.outbox.pressing, client.outbox.open], [true, false])
  client.outbox.puback(1, 0)
  client.outbox.pump(0)
  client.arrived()
  assert.deepEqual([client.outbox.pressing, client.outbox.open], [false, true])
  client.outbox.give(form('waits', 1))
  assert.equal(client.outbox.pressing, false)
  client.stuck = true
  assert.equal(client.outbox.pressing, true)
})

test('what is larger than the client takes is dropped as if it had been sent [MQTT-3.1.2-25], the rest is not', () => {
  const client = new Client({ packetBytesMax: 100 })
  for (const qos of [0, 1, 2] as const) {
    client.outbox.give(form('large', qos, { bytes: 100 }))
    client.outbox.give(form('small', qos))
  }
  assert.deepEqual(client.payloads(), ['small', 'small', 'small'])
  assert.equal(client.counters.publishDropped, 3)
  client.outbox.give(form('shared', 1, { bytes: 100 }), 5)
  assert.deepEqual(client.settled, ['5 givenUp 149'])
})

test('a message that expires in the line is dropped, one that does not says what is left [MQTT-3.3.2-5] [MQTT-3.3.2-6]', () => {
  const client = new Client({ receiveMaximum: 1 })
  client.outbox.give(form('first', 1))
  client.outbox.give(form('short', 1, { expirySeconds: 5 }), 8)
  client.outbox.give(form('long', 0, { expirySeconds: 50 }))
  assert.deepEqual(client.payloads(), ['first'])
  client.outbox.puback(1, 0)
  client.outbox.pump(5_000)
  assert.deepEqual(client.payloads(), ['long'])
  assert.deepEqual([client.counters.publishDropped, client.settled, client.outbox.waiting], [1, ['8 givenUp 0'], 0])
})

test('dropQoS0 drops what finds no room at QoS 0, and gives the connection up at QoS 1', () => {
  const client = new Client({ queueMessagesMax: 2 })
  client.stuck = true
  for (const payload of ['a', 'b', 'c']) client.outbox.give(form(payload))
  assert.deepEqual([client.outbox.waiting, client.counters.publishDropped, client.overflows], [2, 1, 0])
  // Two at QoS 1 take the place of what waits at QoS 0; the third finds nothing left to drop.
  for (const payload of ['d', 'e']) client.outbox.give(form(payload, 1))
  assert.deepEqual([client.overflows, client.outbox.waiting, client.counters.publishDropped], [0, 2, 3])
  client.outbox.give(form('f', 1))
  assert.deepEqual([client.overflows, client.outbox.waiting], [1, 2])
})

test('dropOldest keeps the newest, and drops what is larger than the whole line', () => {
  const client = new Client({ policy: 'dropOldest', queueMessagesMax: 2, queueBytesMax: 300 })
  client.stuck = true
  client.outbox.give(form('a', 1), 1)
  for (const payload of ['b', 'c']) client.outbox.give(form(payload, 1))
  assert.deepEqual([client.outbox.waiting, client.counters.publishDropped, client.settled], [2, 1, ['1 givenUp 151']])
  client.outbox.give(form('large', 1, { bytes: 200 }))
  client.outbox.give(form('too large', 1, { bytes: 400 }), 3)
  assert.deepEqual([client.outbox.waiting, client.outbox.waitingBytes, client.overflows], [0, 0, 0])
  assert.equal(client.settled.at(-1), '3 givenUp 151')
  client.outbox.give(form('d', 1))
  client.stuck = false
  client.outbox.pump(0)
  assert.deepEqual(client.payloads(), ['d'])
})

test('dropOldest keeps the end of a run that is longer than the line', () => {
  const client = new Client({ policy: 'dropOldest', queueMessagesMax: 3 })
  const one = form('x')
  const bytes = one.end - one.start
  const buf = Buffer.concat(Array.from({ length: 10 }, (_, n) => Buffer.from(form(`${n}`).buf)))
  const heads = Int32Array.from({ length: 10 }, (_, n) => n * bytes)
  client.stuck = true
  client.outbox.give({ ...one, buf, end: buf.length, count: 10, heads, slice: undefined })
  client.stuck = false
  client.outbox.pump(0)
  assert.deepEqual([client.payloads(), client.counters.publishDropped], [['7', '8', '9'], 7])
})

test('disconnect gives the connection up at the first message without room, once', () => {
  const client = new Client({ policy: 'disconnect', queueMessagesMax: 1 })
  client.stuck = true
  for (const payload of ['a', 'b', 'c']) client.outbox.give(form(payload))
  assert.deepEqual([client.overflows, client.counters.publishDropped], [1, 0])
})

test("a shared group's entry is settled under its own number, whatever its number here", () => {
  const client = new Client()
  const { outbox } = client
  outbox.give(form('own', 1))
  outbox.give(form('s', 1), 40)
  outbox.give(form('s', 2), 41)
  outbox.give(form('s', 2), 42)
  outbox.puback(1, 0)
  outbox.puback(2, 0x10)
  outbox.pubrec(3, 0)
  outbox.pubcomp(3, 0)
  outbox.pubrec(4, 0x83)
  assert.deepEqual(client.settled, ['40 acked 16', '41 received 0', '41 completed 0', '42 givenUp 131'])
})

test('close() forgets the line and takes nothing more', () => {
  const client = new Client()
  client.stuck = true
  client.outbox.give(form('a', 1))
  client.outbox.close()
  client.outbox.give(form('b', 1))
  client.stuck = false
  client.outbox.pump(0)
  assert.deepEqual([client.payloads(), client.outbox.waiting, client.outbox.waitingBytes], [[], 0, 0])
})

test('whatever is given, acknowledged and held up, messages arrive in order, each once, and identifiers are never in use twice', () => {
  const step = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant('give' as const),
        qos: fc.constantFrom<QoS>(0, 1, 2),
        bytes: fc.constantFrom(1, 60, 600, 3_000, 70_000),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant('acknowledge' as const),
        which: fc.nat(),
        qos: fc.constant<QoS>(0),
        bytes: fc.constant(0),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constantFrom('stick' as const, 'ease' as const, 'look' as const),
        qos: fc.constant<QoS>(0),
        bytes: fc.constant(0),
      }),
    },
  )
  hold(
    fc.property(fc.array(step, { maxLength: 120 }), fc.integer({ min: 1, max: 5 }), (steps, receiveMaximum) => {
      const client = new Client({ receiveMaximum })
      const inflight = new Map<number, number>()
      const seen: string[] = []
      let given = 0
      const look = (): void => {
        for (const { payload, qos, id } of client.arrived()) {
          seen.push(payload.trim())
          if (qos === 0) continue
          assert.equal(inflight.has(id), false, `identifier ${id} is in use twice`)
          inflight.set(id, qos)
        }
        assert.ok(inflight.size <= receiveMaximum)
      }
      const settle = (id: number, qos: number): void => {
        inflight.delete(id)
        if (qos === 1) assert.equal(client.outbox.puback(id, 0), 'settled')
        else {
          assert.equal(client.outbox.pubrec(id, 0), 'settled')
          assert.equal(client.outbox.pubcomp(id, 0), 'settled')
        }
        client.outbox.pump(0)
      }
      for (const each of steps) {
        if (each.kind === 'give') client.outbox.give(form(`${given++}`.padEnd(8), each.qos, { bytes: each.bytes }))
        else if (each.kind === 'acknowledge') {
          look()
          const entry = [...inflight][each.which % Math.max(1, inflight.size)]
          if (entry !== undefined) settle(...entry)
        } else if (each.kind === 'look') look()
        else {
          client.stuck = each.kind === 'stick'
          if (!client.stuck) client.outbox.pump(0)
        }
      }
      client.stuck = false
      client.outbox.pump(0)
      for (look(); inflight.size > 0; look()) for (const entry of [...inflight]) settle(...entry)
      assert.deepEqual(
        seen,
        Array.from({ length: given }, (_, n) => `${n}`),
      )
    }),
    150,
  )
})

test('Outbox sends a series in its place, encoded when it can leave, whatever the limits of the line', () => {
  const client = new Client({ queueMessagesMax: 5, receiveMaximum: 3 })
  const encoded: number[] = []
  const series = {
    count: 10,
    plain: undefined,
    form: (i: number) => {
      encoded.push(i)
      // Message 4 has expired.
      return i === 4 ? undefined : form(`s${i}`, 1)
    },
  }
  client.outbox.giveSeries(series, 0)
  client.outbox.give(form('live', 0))
  // The window takes three; nothing behind them was encoded but the one that is tried next.
  assert.deepEqual(client.payloads(), ['s0', 's1', 's2'])
  assert.deepEqual(encoded, [0, 1, 2, 3])
  const rest: string[] = []
  for (let id = 1; id <= 9; id++) {
    assert.equal(client.outbox.puback(id, 0), 'settled')
    client.outbox.pump(0)
    rest.push(...client.payloads())
  }
  assert.deepEqual(rest, ['s3', 's5', 's6', 's7', 's8', 's9', 'live'])
  assert.equal(client.outbox.waiting, 0)
  assert.equal(client.counters.publishDropped, 0)
})

test('Outbox makes room for QoS 1 by dropping the QoS 0 that waits, under dropQoS0', () => {
  const client = new Client({ queueMessagesMax: 4 })
  client.stuck = true
  for (const payload of ['a', 'b', 'c']) client.outbox.give(form(payload, 0))
  client.outbox.give(form('d', 1))
  client.outbox.give(form('e', 1))
  assert.equal(client.overflows, 0)
  assert.equal(client.counters.publishDropped, 3)
  client.stuck = false
  client.outbox.pump(0)
  assert.deepEqual(client.payloads(), ['d', 'e'])
})

test('Outbox sends the plain ones of a series without a form, in their places and within the window', () => {
  const client = new Client({ receiveMaximum: 2 })
  const message = (i: number): Message => ({
    ...{ topic: 't', payload: Buffer.from(`s${i}`), qos: i === 2 ? 0 : 1, retain: true, publisher: '' },
  })
  const encoded: number[] = []
  client.outbox.giveSeries(
    {
      count: 6,
      plain: { qosMax: 1, v5: true, message: (i) => (i === 1 ? undefined : message(i)) },
      form: (i) => {
        encoded.push(i)
        return messageForm(
          { message: message(i), position: 1, index: 0, timeUs: 0 },
          true,
          { qos: 1, retain: true, dup: false, subscriptionIds: [] },
          { us: 0, ms: 0 },
        )
      },
    },
    0,
  )
  assert.deepEqual(client.payloads(), ['s0', 's1', 's2'])
  // The window is full: the next is encoded, and waits.
  assert.deepEqual(encoded, [1, 3])
  client.outbox.puback(1, 0)
  client.outbox.puback(2, 0)
  client.outbox.pump(0)
  assert.deepEqual(client.payloads(), ['s3', 's4'])
  client.outbox.puback(3, 0)
  client.outbox.pump(0)
  assert.deepEqual(client.payloads(), ['s5'])
  assert.equal(client.outbox.waiting, 0)
})

test('Outbox.putPlain() writes what a form would, and counts it', () => {
  const topics = fc.oneof(fc.string({ minLength: 1, maxLength: 300 }), fc.constantFrom('a', 'ä/€/𝄞', 'x'.repeat(120)))
  fc.assert(
    fc.property(
      topics.filter((topic) => !/[+#\0\ud800-\udfff]/.test(topic)),
      fc.uint8Array({ maxLength: 2100 }),
      fc.constantFrom<QoS>(0, 1, 2),
      fc.record({ retain: fc.boolean(), again: fc.boolean(), v5: fc.boolean() }),
      fc.integer({ min: 64, max: 4096 }),
      (topic, payload, qos, { retain, again, v5 }, packetBytesMax) => {
        const message = { topic, payload, qos, retain, publisher: '' }
        const placed = { message, position: 1, index: 0, timeUs: 0 }
        // [MQTT-3.3.1-2] DUP is 0 for QoS 0.
        const dup = qos > 0 && again
        const terms = { qos, retain, dup, subscriptionIds: [] }
        const form = messageForm(placed, v5, terms, { us: 0, ms: 0 })
        const plain = new Client({ packetBytesMax })
        const whole = new Client({ packetBytesMax })
        const done = plain.outbox.putPlain(message, { qos, retain, dup, v5 })
        const fits = form.buf.length <= packetBytesMax && form.buf.length < 2048
        assert.ok(done || !fits || form.buf.length > packetBytesMax - 2, 'what fits is taken')
        if (!done) return
        assert.ok(form.buf.length <= packetBytesMax)
        whole.outbox.put(form)
        assert.deepEqual(plain.raw(), whole.raw())
        assert.equal(plain.counters.publishSent, whole.counters.publishSent)
        const taken = qos > 0 ? 1 : 0
        assert.deepEqual([plain.outbox.window.inflight, plain.outbox.window.next], [taken, taken])
      },
    ),
    { numRuns: 500 },
  )
})

test('Outbox.putPackets() writes what a form of each would, one piece of output at a time', () => {
  const { count, first } = { count: 900, first: 2 }
  for (const v5 of [false, true]) {
    const messages = Array.from({ length: first + count }, (_, i) => ({
      topic: 'a/b',
      payload: Buffer.from(`m${i}`.padEnd(i % 200)),
      qos: 1 as const,
      retain: false,
      publisher: '',
    }))
    const terms = { qos: 1, retain: false, dup: false, subscriptionIds: [] } as const
    const forms = messages.map((message) =>
      messageForm({ message, position: 1, index: 0, timeUs: 0 }, v5, terms, { us: 0, ms: 0 }),
    )
    const ends: number[] = []
    for (const form of forms) ends.push((ends.at(-1) ?? 0) + form.buf.length)
    const payloads = new PackedPayloads(
      Buffer.concat(forms.map(({ buf }) => buf)),
      Int32Array.from(ends, (end, i) => end - (messages[i]?.payload.length ?? 0)),
      Int32Array.from(ends),
      { qos: 1, v5 },
    )
    const bulk = new Client()
    const single = new Client()
    for (const client of [bulk, single]) client.outbox.window.take(65_400, 1)
    for (let q = 0; q < 65_400; q++) for (const client of [bulk, single]) client.outbox.window.settle(q)
    const head = { topic: 'a/b', qos: 1, retain: false, publisher: '' } as const
    const pieces: number[] = []
    for (let at = first; at < first + count; at += pieces.at(-1) ?? 0) {
      pieces.push(bulk.outbox.putPackets({ head, payloads, first: at, count: first + count - at, qos: 1 }, v5))
    }
    for (const form of forms.slice(first)) single.outbox.put(form)
    assert.ok(pieces.length > 2 && pieces.every((piece) => piece > 0), `pieces of ${pieces.join(', ')}`)
    assert.deepEqual(bulk.raw(), single.raw())
    assert.equal(bulk.counters.publishSent, single.counters.publishSent)
    assert.deepEqual(bulk.outbox.window.next, single.outbox.window.next)
    const entries = { head, payloads, first, count, qos: 1 } as const
    assert.equal(bulk.outbox.putPackets(entries, !v5), 0, 'a client of another kind')
    assert.equal(bulk.outbox.putPackets({ ...entries, qos: 2 }, v5), 0, 'another QoS')
    assert.equal(new Client({ packetBytesMax: 10 }).outbox.putPackets(entries, v5), 0, 'too large for the client')
  }
})

test('Outbox sends a retained message as it lies in memory, and that is what a form would be', () => {
  const topics = fc.oneof(fc.string({ minLength: 1, maxLength: 300 }), fc.constantFrom('a', 'ä/€/𝄞', 'x'.repeat(120)))
  fc.assert(
    fc.property(
      topics.filter((topic) => !/[+#$\0\ud800-\udfff]/.test(topic)),
      fc.uint8Array({ minLength: 1, maxLength: 700 }),
      fc.constantFrom<QoS>(0, 1, 2),
      fc.constantFrom<QoS>(0, 1, 2),
      fc.boolean(),
      (topic, payload, qosMax, published, v5) => {
        const machine = new Machine(machineSettings())
        const message = { topic, payload, qos: published, retain: true, publisher: '' }
        machine.apply({ type: 'publish', message }, 1, 0, NO_EFFECTS)
        const placed = machine.retainedFor('#', 0)[0] as PlacedMessage
        assert.ok(placed.packed !== undefined || Buffer.byteLength(topic) + payload.length > 900)
        const qos = Math.min(qosMax, published) as QoS
        const form = messageForm(placed, v5, { qos, retain: true, dup: false, subscriptionIds: [] }, { us: 0, ms: 0 })
        const packed = new Client()
        const whole = new Client()
        const plain = { qosMax, v5, message: () => placed.packed }
        packed.outbox.giveSeries({ count: 1, plain, form: () => form }, 0)
        whole.outbox.put(form)
        assert.deepEqual(packed.raw(), whole.raw())
        assert.equal(packed.counters.publishSent, whole.counters.publishSent)
        assert.equal(packed.outbox.window.inflight, whole.outbox.window.inflight)
      },
    ),
    { numRuns: 300 },
  )
})

/** A form in lent memory. */
function lentForm(payload: string, qos: QoS, bytes: number): Form & { readonly buf: Buffer } {
  const plain = form(payload, qos, { bytes })
  return { ...plain, buf: Buffer.from(plain.buf), slice: undefined, lent: true }
}

for (const [qos, bytes] of [
  [0, 10],
  [0, 100_000],
  [1, 10],
  [1, 100_000],
] as const) {
  test(`lent bytes are taken at once: ${bytes} at QoS ${qos}`, () => {
    const client = new Client()
    const lent = lentForm('here', qos, bytes)
    client.outbox.give(lent)
    lent.buf.fill(0xdb)
    assert.ok(client.raw().length > bytes)
    assert.deepEqual(client.payloads(), ['here    '])
  })

  test(`lent bytes that must wait are copied: ${bytes} at QoS ${qos}`, () => {
    const client = new Client()
    client.stuck = true
    const lent = lentForm('there', qos, bytes)
    client.outbox.give(lent)
    lent.buf.fill(0xdb)
    client.stuck = false
    client.outbox.pump(0)
    assert.deepEqual(client.payloads(), ['there   '])
  })
}

test('lent bytes are taken at once where the window ends within a run, and where a packet is too large', () => {
  const client = new Client({ receiveMaximum: 1, packetBytesMax: 5_000 })
  for (const bytes of [4_000, 6_000, 4_000]) {
    const lent = lentForm(`${bytes}`, 1, bytes)
    client.outbox.give(lent)
    lent.buf.fill(0xdb)
  }
  assert.deepEqual(client.payloads(), ['4000    '])
  client.outbox.puback(1, 0)
  client.outbox.pump(0)
  assert.deepEqual(client.payloads(), ['4000    '])
})
