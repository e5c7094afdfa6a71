import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PublishRun } from '@concordmq/protocol'
import { BundleWriter, type Message } from '@concordmq/state'
import fc from 'fast-check'
import type { OrderedLogNode } from '../model/ordered-log.ts'
import type { RelayKind } from '../model/relay.ts'
import { Counters } from '../telemetry/counters.ts'
import { Relay, WINDOW_BYTES } from './relay.ts'
import { encodeMessages, encodeTaken } from './relay-frames.ts'

interface Sent {
  readonly to: number
  readonly kind: RelayKind
  readonly bytes: Uint8Array
}

interface Rig {
  readonly relay: Relay
  readonly counters: Counters
  readonly sent: Sent[]
  readonly dropped: string[]
  /** Payloads that were given to clients here. */
  readonly given: string[]
  /** The book, which may change. */
  readonly nodes: OrderedLogNode[]
  /** What each delivery costs, µs of CPU. */
  cost: number
}

/** Node 0 of four, by itself: the test is the other three. */
function rigOf(nodes = 4): Rig {
  const counters = new Counters()
  const sent: Sent[] = []
  const dropped: string[] = []
  const given: string[] = []
  let cpuUs = 0
  const book = Array.from({ length: nodes }, (_, i) => ({ publicKey: new Uint8Array(65), keyId: `${i}`, address: '' }))
  const relay: Relay = new Relay({
    log: {
      node: 0,
      nodes: book,
      relay: {
        send: (to, kind, bytes) => sent.push({ to, kind, bytes: Uint8Array.from(bytes) }),
        flush() {},
        drop: (node, why) => dropped.push(`${node} ${why}`),
      },
    },
    counters,
    nowMs: () => performance.now(),
    cpuUs: () => (cpuUs += rig.cost),
    isFast: (topic) => topic.startsWith('fast/'),
    deliver(item) {
      if (item.type === 'message') given.push(Buffer.from(item.message.payload).toString())
      else for (let i = 0; i < item.run.count; i++) given.push(Buffer.from(item.run.copyPayload(i)).toString())
    },
  })
  const rig: Rig = { relay, counters, sent, dropped, given, nodes: book, cost: 0 }
  return rig
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

function message(payload: string | Uint8Array, more: Partial<Message> = {}): Message {
  return { topic: 'fast/t', payload: Buffer.from(payload), qos: 1, retain: false, publisher: 'p', ...more }
}

/** A frame of another node. */
function frame(life: number, number: number, ...messages: readonly Message[]): Uint8Array {
  const writer = new BundleWriter()
  writer.begin(life, number)
  for (const one of messages) writer.command({ type: 'publish', message: one })
  return encodeMessages(writer.take(), [])
}

function lifeOf({ bytes }: Sent): number {
  return Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(5))
}

test('a run comes out as it went in, with its author and its members', async () => {
  const { relay, sent } = rigOf()
  relay.linked(1, true)
  const run = new PublishRun()
  run.buf = Buffer.from('fast/tonetwo')
  run.topicBuf = run.buf
  run.topicEnd = 6
  run.count = 2
  run.payloads.set([6, 9])
  run.heads.set([6, 9])
  run.end = 12
  relay.submitRun(
    run,
    { counter: 3, publisher: 'p', receipts: false },
    [{ group: '$share/g/fast/#', clientId: 'm', message: 1 }],
    undefined,
  )
  await turn()
  const [only] = sent
  assert.equal(sent.length, 1)
  const seen: unknown[] = []
  const there = new Relay({
    ...{ counters: new Counters(), nowMs: () => 0, cpuUs: () => 0, isFast: () => true },
    log: {
      node: 1,
      nodes: [0, 1].map((i) => ({ publicKey: new Uint8Array(65), keyId: `${i}`, address: '' })),
      relay: { send() {}, flush() {}, drop() {} },
    },
    deliver(item, choices) {
      assert.ok(item.type === 'run')
      const { run: read, of } = item
      seen.push(
        of.topic,
        of.publisher,
        of.counter,
        read.qos,
        ...[0, 1].map((i) => Buffer.from(read.copyPayload(i)).toString()),
      )
      seen.push(choices.map(({ group, clientId, message: i }) => [group, clientId, i]))
    },
  })
  assert.equal(there.relayed(0, 'messages', (only as Sent).bytes), undefined)
  assert.deepEqual(seen, ['fast/t', 'p', 3, 0, 'one', 'two', [['$share/g/fast/#', 'm', 1]]])
  relay.close()
  there.close()
})

test('what was taken twice is given once, and answered twice; a new life of the sender begins anew', async () => {
  const { relay, given, sent, counters } = rigOf()
  relay.linked(1, true)
  for (const [life, number, payload] of [
    [7, 1, 'a'],
    [7, 2, 'b'],
    [7, 1, 'a'],
    [7, 2, 'b'],
    [8, 1, 'c'],
  ] as const)
    assert.equal(relay.relayed(1, 'messages', frame(life, number, message(payload))), undefined)
  assert.deepEqual(given, ['a', 'b', 'c'])
  assert.equal(counters.fastRepeated, 2)
  await turn()
  assert.deepEqual(sent, [{ to: 1, kind: 'taken', bytes: Uint8Array.from(encodeTaken({ life: 8, number: 1 })) }])
  relay.close()
})

for (const [nodes, needed] of [
  [1, 0],
  [4, 2],
  [7, 4],
] as const) {
  test(`of ${nodes} nodes ${needed} others must have a message before it counts as taken`, async () => {
    const { relay, sent } = rigOf(nodes)
    for (let node = 1; node < nodes; node++) relay.linked(node, true)
    let taken = false
    relay.submitMessage({ type: 'publish', message: message('x') }, [], () => (taken = true))
    await turn()
    for (let node = 1; node <= needed; node++) {
      assert.equal(taken, false)
      relay.relayed(node, 'taken', encodeTaken({ life: lifeOf(sent[0] as Sent), number: 1 }))
    }
    assert.equal(taken, true)
    relay.close()
  })
}

test('a node that takes nothing is sent no more than its window; QoS 0 beyond is dropped and counted, QoS 1 waits', async () => {
  const { relay, sent, counters } = rigOf()
  for (const node of [1, 2, 3]) relay.linked(node, true)
  const payload = new Uint8Array(256 * 1024)
  const answered: number[] = []
  for (let i = 1; i <= 40; i++) {
    relay.submitMessage({ type: 'publish', message: message(payload) }, [], () => answered.push(i))
    await turn()
    const life = lifeOf(sent[0] as Sent)
    for (const node of [1, 2]) relay.relayed(node, 'taken', encodeTaken({ life, number: i }))
  }
  const bytesTo = (node: number): number =>
    sent.filter(({ to, kind }) => to === node && kind === 'messages').reduce((sum, { bytes }) => sum + bytes.length, 0)
  assert.equal(answered.length, 40)
  assert.ok(bytesTo(3) <= WINDOW_BYTES + payload.length + 1000)
  relay.submitMessage({ type: 'publish', message: message('zero', { qos: 0 }) }, [], undefined)
  await turn()
  assert.equal(counters.fastDropped, 1)
  // It gets on as it takes what it was sent.
  const life = lifeOf(sent[0] as Sent)
  for (let last = 0; last < 40; ) {
    last = sent.filter(({ to, kind }) => to === 3 && kind === 'messages').length
    relay.relayed(3, 'taken', encodeTaken({ life, number: last }))
  }
  assert.equal(
    bytesTo(3),
    bytesTo(1) -
      sent
        .filter(({ to }) => to === 1)
        .slice(40)
        .reduce((sum, { bytes }) => sum + bytes.length, 0),
  )
  assert.equal(relay.heldBytes, 0)
  relay.close()
})

test('a node that lags for ever costs bounded memory, and holds up nobody', async () => {
  const { relay, sent, counters } = rigOf()
  for (const node of [1, 2, 3]) relay.linked(node, true)
  const payload = new Uint8Array(512 * 1024)
  let answered = 0
  for (let i = 1; i <= 100; i++) {
    relay.submitMessage({ type: 'publish', message: message(payload) }, [], () => answered++)
    await turn()
    const life = lifeOf(sent[0] as Sent)
    for (const node of [1, 2]) relay.relayed(node, 'taken', encodeTaken({ life, number: i }))
    sent.splice(1)
  }
  assert.equal(answered, 100)
  assert.ok(relay.heldBytes <= 17 * 1024 * 1024, `${relay.heldBytes} bytes`)
  assert.equal(relay.full, false)
  assert.ok(counters.fastDropped > 0)
  relay.close()
})

test('without a quorum publishers are stopped, and go on when it is back', async () => {
  const { relay, sent } = rigOf()
  relay.linked(1, true)
  const payload = new Uint8Array(512 * 1024)
  let answered = 0
  let number = 0
  while (!relay.full) {
    relay.submitMessage({ type: 'publish', message: message(payload) }, [], () => answered++)
    number++
    await turn()
  }
  let goesOn = false
  relay.whenRoom(() => (goesOn = true))
  const life = lifeOf(sent[0] as Sent)
  relay.linked(2, true)
  for (const node of [1, 2]) {
    for (let last = 0; last < number; ) {
      last = sent.filter(({ to }) => to === node).length
      relay.relayed(node, 'taken', encodeTaken({ life, number: last }))
    }
  }
  assert.equal(answered, number)
  assert.ok(goesOn)
  relay.close()
})

test('an epoch that gives nodes other numbers loses nothing and repeats nothing: a node is known by its key', async () => {
  const rig = rigOf()
  const { relay, sent, given, nodes } = rig
  relay.linked(1, true)
  relay.relayed(1, 'messages', frame(7, 1, message('a')))
  let taken = 0
  relay.submitMessage({ type: 'publish', message: message('x') }, [], () => taken++)
  await turn()
  const life = lifeOf(sent[0] as Sent)
  relay.relayed(1, 'taken', encodeTaken({ life, number: 1 }))
  assert.equal(taken, 0)
  // Node 1 is node 2 now, node 2 is gone, and there are three.
  const [own, one, , three] = nodes.splice(0)
  nodes.push(...[own, three, one].flatMap((node) => node ?? []))
  relay.epochChanged()
  // Of three nodes all are needed.
  for (const node of [1, 2]) relay.linked(node, true)
  relay.relayed(2, 'messages', frame(7, 1, message('a')))
  assert.deepEqual(given, ['a'])
  await turn()
  assert.deepEqual(
    sent
      .slice(1)
      .map(({ to, kind }) => `${to} ${kind}`)
      .sort(),
    ['1 messages', '1 taken', '2 taken'],
  )
  relay.relayed(1, 'taken', encodeTaken({ life, number: 1 }))
  assert.equal(taken, 1)
  relay.close()
})

test('what one peer sends beyond its share of the CPU waits, what it sends beyond its window ends its link', async () => {
  const rig = rigOf()
  const { relay, given } = rig
  relay.linked(1, true)
  relay.linked(2, true)
  rig.cost = 400_000
  assert.equal(relay.relayed(1, 'messages', frame(1, 1, message('dear'))), undefined)
  rig.cost = 0
  const large = frame(1, 2, message(new Uint8Array(1024 * 1024 - 200)))
  let problem: string | undefined
  let sent = 0
  for (; problem === undefined && sent < 100; sent++) problem = relay.relayed(1, 'messages', large)
  assert.equal(problem, 'it relays more than its window allows')
  assert.ok(sent <= 6)
  assert.deepEqual(given, ['dear'])
  // Others are not held up.
  assert.equal(relay.relayed(2, 'messages', frame(9, 1, message('other'))), undefined)
  assert.deepEqual(given, ['dear', 'other'])
  relay.close()
})

test('what waited for its share is taken later, in order', async () => {
  const rig = rigOf()
  const { relay, given } = rig
  relay.linked(1, true)
  rig.cost = 310_000
  relay.relayed(1, 'messages', frame(1, 1, message('one')))
  rig.cost = 0
  for (const [number, payload] of [
    [2, 'two'],
    [3, 'three'],
  ] as const)
    relay.relayed(1, 'messages', frame(1, number, message(payload)))
  assert.deepEqual(given, ['one'])
  const until = performance.now() + 5000
  while (given.length < 3 && performance.now() < until) await turn()
  assert.deepEqual(given, ['one', 'two', 'three'])
  relay.close()
})

test('what breaks the rules is told by name, and nothing of it throws', () => {
  const { relay, given } = rigOf()
  relay.linked(1, true)
  const writer = new BundleWriter()
  writer.begin(11, 1)
  writer.command({ type: 'tick' })
  for (const [bytes, why] of [
    [frame(1, 1, message('x', { topic: 'other' })), /not among those that skip/],
    [frame(2, 1, message('x', { qos: 2 })), /only plain/],
    [frame(3, 1, message('x', { retain: true })), /only plain/],
    [encodeMessages(writer.take(), []), /only plain/],
    [frame(4, 1).subarray(0, 8), /malformed/],
    [Buffer.concat([frame(5, 1, message('x')), Buffer.from([0, 9, 0, 0, 0, 0, 0, 0])]), /for no item/],
    [Buffer.concat([frame(6, 1, message('x')), Buffer.from([0])]), /choices/],
    [Buffer.concat([frame(7, 1, message('x')), Buffer.alloc(8), Buffer.alloc(8)]), /choices/],
    [frame(8, 1, ...Array.from({ length: 2049 }, () => message(''))), /too many items/],
  ] as const)
    assert.match(relay.relayed(1, 'messages', bytes) ?? 'nothing', why)
  assert.match(relay.relayed(1, 'taken', Buffer.alloc(3)) ?? 'nothing', /malformed/)
  assert.equal(relay.relayed(1, 'taken', encodeTaken({ life: 1, number: 9 })), undefined)
  assert.equal(relay.relayed(17, 'messages', frame(1, 1, message('x'))), undefined)
  given.length = 0
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat({ max: 60 }), (junk, at) => {
      const whole = Uint8Array.from(frame(10, 1, message('x'), message('y')))
      whole.set(junk.subarray(0, whole.length - at), Math.min(at, whole.length))
      relay.relayed(1, 'messages', whole)
      relay.relayed(1, 'messages', junk)
      relay.relayed(1, 'taken', junk)
    }),
  )
  relay.close()
})

test('whoever takes what was not sent breaks the rules', async () => {
  const { relay, sent } = rigOf()
  relay.linked(1, true)
  relay.submitMessage({ type: 'publish', message: message('x') }, [], () => {})
  await turn()
  const life = lifeOf(sent[0] as Sent)
  assert.match(relay.relayed(1, 'taken', encodeTaken({ life, number: 2 })) ?? 'nothing', /not sent/)
  relay.close()
})
