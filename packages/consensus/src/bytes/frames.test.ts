import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  decodeFrame,
  encodeBlockFrame,
  encodeFrame,
  type Frame,
  frameBytesMore,
  frameHeadBytes,
  frameLength,
  ownLastContent,
} from './frames.ts'

const blockBytesMax = 1024 * 1024
const number = fc.maxSafeNat()
const u32 = fc.nat(2 ** 32 - 1)
const digest = fc.uint8Array({ minLength: 32, maxLength: 32 })
const signature = fc.uint8Array({ minLength: 64, maxLength: 64 })
const bytes = fc.uint8Array({ maxLength: 100 })
const node = fc.nat(30)
/** Plain objects, so that they compare equal to what is decoded. */
const record = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }) => fc.record<T>(model, { noNullPrototype: true })
const name = record({ author: node, round: number, digest })
const type = <T extends Frame['type']>(value: T) => fc.constant(value)

const frames: fc.Arbitrary<Frame> = fc.oneof(
  record({
    type: type('status'),
    epoch: u32,
    nextStep: number,
    collectedRound: number,
    quorumRound: number,
    lastRounds: fc.array(number, { maxLength: 31 }),
    checkpointStep: number,
    horizonRound: number,
  }),
  record({ type: type('block'), bytes }),
  record({ type: type('fetch'), request: u32, names: fc.array(name, { maxLength: 64 }) }),
  record({
    type: type('blocks'),
    request: u32,
    last: fc.boolean(),
    entries: fc.array(
      fc.oneof(
        record({ type: fc.constant('block' as const), bytes }),
        record({
          type: fc.constantFrom('unknown' as const, 'collected' as const),
          author: node,
          round: number,
          digest,
        }),
      ),
    ),
  }),
  record({ type: type('checkpointVote'), content: bytes, signature }),
  record({ type: type('certificateRequest'), step: number }),
  record({ type: type('certificate'), certificate: bytes, chain: fc.array(bytes) }),
  record({ type: type('snapshotRequest'), hash: digest, chunk: u32 }),
  record({ type: type('snapshot'), hash: digest, chunk: u32, bytes }),
  record({ type: type('ownLastRequest'), nonce: digest }),
  record({ type: type('ownLast'), nonce: digest, asker: node, block: bytes, signature }),
  record({ type: type('range'), request: u32, round: number }),
  record({ type: fc.constantFrom('ping' as const, 'pong' as const), timeUs: number }),
)

test('decodeFrame() reads what encodeFrame() wrote', () => {
  fc.assert(
    fc.property(frames, (frame) => {
      const encoded = encodeFrame(frame)
      assert.equal(frameLength(encoded), encoded.length)
      const decoded = decodeFrame(encoded, blockBytesMax)
      assert.ok(decoded.ok, decoded.ok ? '' : decoded.problem)
      assert.deepEqual(decoded.value, frame)
    }),
    { numRuns: 300 },
  )
})

test('one changed byte of a frame is refused, or is another frame with exactly these bytes', () => {
  fc.assert(
    fc.property(frames, fc.nat(), fc.integer({ min: 1, max: 255 }), (frame, at, flip) => {
      const changed = encodeFrame(frame)
      const place = at % changed.length
      changed[place] = (changed[place] as number) ^ flip
      const decoded = decodeFrame(changed, blockBytesMax)
      if (decoded.ok) assert.deepEqual(encodeFrame(decoded.value), changed)
    }),
    { numRuns: 2000 },
  )
})

test('decodeFrame() refuses a frame with a byte more or less, also where its length says so', () => {
  fc.assert(
    fc.property(frames, fc.nat(), (frame, cut) => {
      const encoded = encodeFrame(frame)
      const short = encoded.slice(0, cut % encoded.length)
      assert.equal(decodeFrame(short, blockBytesMax).ok, false)
      assert.equal(decodeFrame(Uint8Array.of(...encoded, 0), blockBytesMax).ok, false)
      if (frame.type === 'block') return
      const long = Uint8Array.of(...encoded, 0)
      new DataView(long.buffer).setUint32(1, long.length - frameHeadBytes)
      assert.equal(decodeFrame(long, blockBytesMax).ok, false)
    }),
    { numRuns: 300 },
  )
})

test('decodeFrame() refuses arbitrary bytes without throwing, unless they are a frame', () => {
  fc.assert(
    fc.property(fc.nat(16), fc.uint8Array({ maxLength: 200 }), (first, body) => {
      const frame = new Uint8Array(frameHeadBytes + body.length)
      frame[0] = first
      new DataView(frame.buffer).setUint32(1, body.length)
      frame.set(body, frameHeadBytes)
      const decoded = decodeFrame(frame, blockBytesMax)
      if (decoded.ok) assert.deepEqual(encodeFrame(decoded.value), frame)
    }),
    { numRuns: 1000 },
  )
})

test('decodeFrame() refuses a frame that is longer than the largest block and what goes with it', () => {
  const frame = encodeFrame({ type: 'block', bytes: new Uint8Array(1000 + frameBytesMore - frameHeadBytes) })
  assert.equal(decodeFrame(frame, 1000).ok, true)
  assert.deepEqual(decodeFrame(frame, 999), { ok: false, problem: 'frame is too large' })
})

test('decodeFrame() refuses more than 64 names in a request', () => {
  const names = Array.from({ length: 65 }, () => ({ author: 0, round: 1, digest: new Uint8Array(32) }))
  assert.equal(decodeFrame(encodeFrame({ type: 'fetch', request: 1, names }), blockBytesMax).ok, false)
})

test('encodeBlockFrame() makes the same bytes as encodeFrame() of the encoded block', () => {
  const parts = { header: Uint8Array.of(1, 2), signature: Uint8Array.of(3), body: Uint8Array.of(4, 5) }
  assert.deepEqual(encodeBlockFrame(parts), encodeFrame({ type: 'block', bytes: Uint8Array.of(1, 2, 3, 4, 5) }))
})

test('what a node signs in OWNLAST holds everything the frame says', () => {
  const nonce = new Uint8Array(32).fill(9)
  const block = { author: 1, round: 258, digest: new Uint8Array(32).fill(5) }
  const content = ownLastContent(nonce, 2, block)
  assert.deepEqual(content, Uint8Array.of(...nonce, 2, 0, 0, 0, 0, 0, 0, 1, 2, ...block.digest))
  assert.deepEqual(ownLastContent(nonce, 2, undefined), Uint8Array.of(...nonce, 2, ...new Uint8Array(40)))
})
