import assert from 'node:assert/strict'
import type { Buffer } from 'node:buffer'
import { test } from 'node:test'
import fc from 'fast-check'
import { hold } from '../../../../testing/catalogue/src/hold.ts'
import { Counters } from '../telemetry/counters.ts'
import { Backlog } from './backlog.ts'
import { TurnFlushQueue } from './flush-queue.ts'
import { CONGESTED_BYTES, COPY_BYTES_MAX, type FlushQueue, Output, type OutputTransport } from './output.ts'

/** A system that takes bytes when the test says so, and looks at them only then, as a kernel does. */
class LateTransport implements OutputTransport {
  readonly chunks: Uint8Array[] = []
  taken: number[] = []
  writes = 0
  /** Takes what is written at once. */
  eager = false
  #offset = 0

  get pending(): number {
    let bytes = 0 - this.#offset
    for (const chunk of this.chunks) bytes += chunk.length
    return bytes
  }

  write(chunks: readonly Uint8Array[], count: number): void {
    this.writes++
    for (let i = 0; i < count; i++) this.chunks.push(chunks[i] as Uint8Array)
    if (this.eager) this.take(Number.POSITIVE_INFINITY)
  }

  take(bytes: number): void {
    let left = Math.min(bytes, this.pending)
    while (left > 0) {
      const chunk = this.chunks[0] as Uint8Array
      const some = Math.min(left, chunk.length - this.#offset)
      for (let i = 0; i < some; i++) this.taken.push(chunk[this.#offset + i] as number)
      this.#offset += some
      left -= some
      if (this.#offset === chunk.length) {
        this.chunks.shift()
        this.#offset = 0
      }
    }
  }
}

class ManualFlush implements FlushQueue {
  readonly counters = new Counters()
  outputs: Output[] = []
  add(output: Output): void {
    this.outputs.push(output)
  }
  flush(): void {
    for (const output of this.outputs.splice(0)) output.flush()
  }
}

interface Pair {
  readonly transport: LateTransport
  readonly output: Output
  readonly given: number[]
}

function pair(queue: FlushQueue): Pair {
  const transport = new LateTransport()
  return { transport, output: new Output(transport, queue), given: [] }
}

let counter = 0
function next(): number {
  counter = (counter * 31 + 7) & 255
  return counter
}

function give({ output, given }: Pair, how: 'room' | 'append' | 'refer', bytes: number): void {
  if (how === 'room') {
    const at = output.room(bytes)
    const chunk = output.chunk as Buffer
    for (let i = 0; i < bytes; i++) chunk[at + i] = next()
    given.push(...chunk.subarray(at, at + bytes))
    return
  }
  const piece = Uint8Array.from({ length: bytes }, next)
  given.push(...piece)
  output[how](piece)
}

test('bytes reach the transport in order and unchanged, whenever it takes them and whoever shares the chunks', () => {
  const op = fc.oneof(
    fc.record({
      how: fc.constantFrom('room' as const, 'append' as const, 'refer' as const),
      who: fc.nat(2),
      bytes: fc.oneof(fc.integer({ min: 1, max: 90 }), fc.integer({ min: 400, max: 9000 })),
    }),
    fc.record({
      how: fc.constant('take' as const),
      who: fc.nat(2),
      bytes: fc.oneof(fc.integer({ min: 1, max: 5000 }), fc.constant(1e9)),
    }),
    fc.record({ how: fc.constant('flush' as const), who: fc.nat(2), bytes: fc.constant(0) }),
    fc.record({ how: fc.constant('eager' as const), who: fc.nat(2), bytes: fc.nat(1) }),
  )
  hold(
    fc.property(fc.array(op, { maxLength: 80 }), (ops) => {
      const queue = new ManualFlush()
      const pairs = [pair(queue), pair(queue), pair(queue)]
      for (const { how, who, bytes } of ops) {
        const one = pairs[who] as Pair
        if (how === 'flush') queue.flush()
        else if (how === 'eager') one.transport.eager = bytes === 1
        else if (how === 'take') {
          const pending = one.transport.pending
          one.transport.take(bytes)
          if (pending > 0 && one.transport.pending === 0) one.output.drained()
        } else give(one, how, bytes)
      }
      queue.flush()
      for (const { transport, output, given } of pairs) {
        assert.equal(output.pending, transport.pending)
        transport.take(Number.POSITIVE_INFINITY)
        assert.deepEqual(transport.taken, given)
      }
    }),
    200,
  )
})

test('everything of a turn leaves in one write', () => {
  const queue = new ManualFlush()
  const one = pair(queue)
  for (let i = 0; i < 20; i++) give(one, 'append', 20)
  give(one, 'append', COPY_BYTES_MAX + 1)
  give(one, 'room', 100)
  assert.equal(queue.outputs.length, 1)
  queue.flush()
  assert.equal(one.transport.writes, 1)
  assert.equal(one.transport.chunks.length, 3)
  assert.equal(queue.counters.bytesSent, one.given.length)
  queue.flush()
  assert.equal(one.transport.writes, 1)
})

test('TurnFlushQueue flushes each output once, at the end of the turn', async () => {
  const queue = new TurnFlushQueue(
    new Counters(),
    new Backlog(
      () => Infinity,
      () => {},
    ),
  )
  const pairs = [pair(queue), pair(queue)]
  for (const one of pairs) {
    give(one, 'append', 3)
    give(one, 'append', 4)
    assert.equal(one.transport.writes, 0)
  }
  await new Promise(setImmediate)
  for (const one of pairs) {
    one.transport.take(100)
    assert.deepEqual([one.transport.writes, one.transport.taken], [1, one.given])
  }
})

test('full says when the end of the turn should not be awaited, congested when publishers should', () => {
  const queue = new ManualFlush()
  const { output, transport } = pair(queue)
  output.refer(new Uint8Array(262_144))
  assert.equal(output.full, false)
  output.refer(new Uint8Array(1))
  assert.equal(output.full, true)
  output.flush()
  assert.deepEqual([output.full, output.congested, output.pending], [false, false, 262_145])
  output.refer(new Uint8Array(CONGESTED_BYTES))
  assert.equal(output.congested, true)
  transport.take(262_145)
  assert.equal(output.congested, false)
})

test('a flush that ends a congestion at once says so, since no drain will', async () => {
  const queue = new ManualFlush()
  const { output, transport } = pair(queue)
  let eased = 0
  output.onEased = () => eased++
  transport.eager = true
  output.refer(new Uint8Array(10))
  output.flush()
  await Promise.resolve()
  assert.equal(eased, 0)
  output.refer(new Uint8Array(CONGESTED_BYTES + 1))
  output.flush()
  assert.equal(eased, 0, 'not from within the flush')
  await Promise.resolve()
  assert.equal(eased, 1)
  transport.eager = false
  output.refer(new Uint8Array(CONGESTED_BYTES + 1))
  output.flush()
  await Promise.resolve()
  assert.equal(eased, 1)
})

test('a congestion that ended at once gives no chunk back that was written since', async () => {
  const queue = new ManualFlush()
  const one = pair(queue)
  const eased = Promise.withResolvers<void>()
  // What the connection does then: it says that it was drained, and goes on.
  one.output.onEased = () => {
    one.output.drained()
    eased.resolve()
  }
  one.transport.eager = true
  one.output.refer(new Uint8Array(CONGESTED_BYTES + 1))
  one.output.flush()
  one.transport.eager = false
  one.output.append(Uint8Array.of(1, 1, 1, 1))
  one.output.flush()
  await eased.promise
  const other = pair(queue)
  other.output.append(Uint8Array.of(2, 2, 2, 2))
  other.output.flush()
  one.transport.taken = []
  one.transport.take(Number.POSITIVE_INFINITY)
  assert.deepEqual(one.transport.taken, [1, 1, 1, 1])
})

test('an idle output holds no chunk', () => {
  const queue = new ManualFlush()
  const one = pair(queue)
  one.transport.eager = true
  give(one, 'room', 10)
  assert.notEqual(one.output.chunk, undefined)
  queue.flush()
  assert.equal(one.output.chunk, undefined)
})

test('after close() nothing goes out and nothing is kept', () => {
  const queue = new ManualFlush()
  const one = pair(queue)
  give(one, 'append', 10)
  one.output.close()
  one.output.append(new Uint8Array(1000))
  one.output.append(new Uint8Array(10))
  queue.flush()
  assert.deepEqual([one.transport.writes, one.output.pending], [0, 0])
})
