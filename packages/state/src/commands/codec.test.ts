import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { hex } from '../../testing/harness.ts'
import { decodeCommand, encodeCommand } from './codec.ts'
import type { Command } from './commands.ts'
import { decodeRecords, encodeRecord } from './recording.ts'

const u32 = fc.integer({ min: 0, max: 0xffff_ffff })
const u53 = fc.maxSafeNat()
const text = fc
  .string({ unit: 'binary', maxLength: 12 })
  .map((s) => s.replaceAll('\0', ''))
  .filter((s) => s.isWellFormed())
const bytes = fc.uint8Array({ maxLength: 40 })
const qos = fc.constantFrom<0 | 1 | 2>(0, 1, 2)
const connection = fc.record({ node: u32, incarnation: u53, counter: u53 })
const optional = { requiredKeys: [] }
const properties = fc
  .record(
    {
      payloadFormatIndicator: fc.constantFrom<0 | 1>(0, 1),
      contentType: text,
      responseTopic: text,
      correlationData: bytes,
      userProperties: fc.array(fc.tuple(text, text), { minLength: 1, maxLength: 3 }),
    },
    optional,
  )
  .filter((given) => Object.keys(given).length > 0)
const headKeys = { topic: text, qos, retain: fc.boolean(), properties, expirySeconds: u32, publisher: text }
const head = fc.record(headKeys, { requiredKeys: ['topic', 'qos', 'retain', 'publisher'] })
const message = fc.record(
  { ...headKeys, payload: bytes },
  { requiredKeys: ['topic', 'payload', 'qos', 'retain', 'publisher'] },
)
const ofClient = { connection, clientId: text }
const type = <T extends string>(name: T) => fc.constant(name)
const order = fc.record({
  filter: text,
  qos,
  noLocal: fc.boolean(),
  retainAsPublished: fc.boolean(),
  retainHandling: qos,
  subscriptionId: u32,
})

const commands: fc.Arbitrary<Command> = fc.oneof(
  fc.record({ type: type('start'), node: u32, incarnation: u53 }),
  fc.record(
    { type: type('publish'), message, connection, receipt: fc.nat({ max: 65_535 }) },
    { requiredKeys: ['type', 'message'] },
  ),
  fc.record(
    { type: type('publishRun'), head, connection, payloads: fc.array(bytes, { maxLength: 4 }) },
    { requiredKeys: ['type', 'head', 'payloads'] },
  ),
  fc.record(
    {
      type: type('connect'),
      ...ofClient,
      principal: text,
      version: fc.constantFrom<3 | 4 | 5>(3, 4, 5),
      cleanStart: fc.boolean(),
      sessionExpirySeconds: u32,
      receiveMaximum: fc.nat({ max: 65_535 }),
      will: fc.record({ message, delaySeconds: u32 }),
    },
    {
      requiredKeys: [
        'type',
        'connection',
        'clientId',
        'principal',
        'version',
        'cleanStart',
        'sessionExpirySeconds',
        'receiveMaximum',
      ],
    },
  ),
  fc.record(
    {
      type: type('disconnect'),
      ...ofClient,
      reasonCode: fc.nat({ max: 255 }),
      sessionExpirySeconds: u32,
      will: fc.constantFrom<'publish' | 'drop'>('publish', 'drop'),
      sentBelow: u53,
    },
    { requiredKeys: ['type', 'connection', 'clientId', 'reasonCode', 'will'] },
  ),
  fc.record({ type: type('subscribe'), ...ofClient, subscriptions: fc.array(order, { maxLength: 4 }) }),
  fc.record({ type: type('unsubscribe'), ...ofClient, filters: fc.array(text, { maxLength: 4 }) }),
  fc.record({
    type: type('acknowledge'),
    ...ofClient,
    settlements: fc.array(
      fc.record(
        {
          q: u53,
          count: fc.integer({ min: 2, max: 0xffff_ffff }),
          outcome: fc.constantFrom<'acked' | 'received' | 'completed' | 'givenUp'>(
            'acked',
            'received',
            'completed',
            'givenUp',
          ),
          reasonCode: fc.nat({ max: 255 }),
        },
        { requiredKeys: ['q', 'outcome'] },
      ),
      { maxLength: 4 },
    ),
  }),
  fc.record({ type: type('release'), ...ofClient, packetIds: fc.array(fc.nat({ max: 65_535 }), { maxLength: 4 }) }),
  fc.record({ type: type('withdrawWill'), clientId: text, dueUs: u53 }),
  fc.record({
    type: type('admin'),
    document: fc.record({
      subject: fc.constantFrom<'permissions' | 'users'>('permissions', 'users'),
      version: u53,
      text: fc.option(bytes, { nil: undefined }),
    }),
    signatures: fc.array(
      fc.record({ operator: fc.nat({ max: 255 }), signature: fc.uint8Array({ minLength: 64, maxLength: 64 }) }),
      { maxLength: 3 },
    ),
  }),
  fc.record({ type: type('tick') }),
)

/** fast-check makes records without prototype; deep equality asks for the same one. */
const plain = <T>(value: T): T => structuredClone(value)

test('decodeCommand() gives back what encodeCommand() was given', () => {
  fc.assert(
    fc.property(commands, (command) => {
      assert.deepEqual(plain(decodeCommand(encodeCommand(command))), plain(command))
    }),
    { numRuns: 1000 },
  )
})

test('decodeCommand() takes one form only: what it accepts encodes to the same bytes, however it was changed', () => {
  fc.assert(
    fc.property(
      commands,
      fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { maxLength: 3 }),
      fc.nat({ max: 4 }),
      (command, changes, cut) => {
        const form = encodeCommand(command)
        for (const [at, value] of changes) form[at % form.length] = value
        const changed = form.subarray(0, form.length - (cut % form.length))
        const decoded = decodeCommand(changed)
        if ('malformed' in decoded) return
        assert.equal(hex(encodeCommand(decoded)), hex(changed))
      },
    ),
    { numRuns: 3000 },
  )
})

test('decodeCommand() refuses random bytes without throwing, or takes them for what they say', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 120 }), (noise) => {
      const decoded = decodeCommand(noise)
      if (!('malformed' in decoded)) assert.equal(hex(encodeCommand(decoded)), hex(noise))
    }),
    { numRuns: 3000 },
  )
})

test('decodeCommand() refuses each kind of fault by name', () => {
  const tick = encodeCommand({ type: 'tick' })
  const faults: [Uint8Array, RegExp][] = [
    [new Uint8Array(0), /cut short/],
    [Uint8Array.of(0), /unknown command/],
    [Uint8Array.of(13), /unknown command/],
    [Uint8Array.of(...tick, 0), /bytes follow/],
    [Uint8Array.of(1, 0, 0, 0, 1, 0xff, 0, 0, 0, 0, 0, 0, 0), /2\^53/],
    [Uint8Array.of(2, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0), /QoS 3/],
    [Uint8Array.of(2, 0, 0, 0, 1, 0xff, 0, 0, 0, 0, 0, 0), /UTF-8/],
    [Uint8Array.of(2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0), /UTF-8/],
    [Uint8Array.of(8, ...new Uint8Array(20), 0, 1, 0x61, 0xff, 0xff, 0xff, 0xff), /count/],
  ]
  for (const [form, pattern] of faults) {
    const decoded = decodeCommand(form)
    assert.match('malformed' in decoded ? decoded.malformed : `accepted ${hex(form)}`, pattern)
  }
})

test('decodeRecords() reads joined streams and stops at the first record that is not whole', () => {
  const place = fc.record({ position: u53, timeUs: u53, command: commands })
  fc.assert(
    fc.property(fc.array(place, { minLength: 1, maxLength: 5 }), fc.nat(), (records, cut) => {
      const parts = records.map(encodeRecord)
      const stream = Buffer.concat(parts)
      assert.deepEqual(plain(decodeRecords(stream)), { records: plain(records) })
      const length = cut % stream.length
      const { records: whole, problem } = decodeRecords(stream.subarray(0, length))
      const sizeOf = (count: number) => parts.slice(0, count).reduce((sum, part) => sum + part.length, 0)
      const expected = parts.filter((_, i) => sizeOf(i + 1) <= length).length
      assert.equal(whole.length, expected)
      assert.equal(problem === undefined, sizeOf(expected) === length)
    }),
  )
})
