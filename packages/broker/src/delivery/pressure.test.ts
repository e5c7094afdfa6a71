import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { OutboundWindow } from '@concordmq/state'
import { Counters } from '../telemetry/counters.ts'
import { Outbox } from './outbox.ts'
import { CONGESTED_BYTES, Output } from './output.ts'
import { HOLD_MS_MAX, OWED_MS_MAX, Pressure, type Publisher } from './pressure.ts'

class Reader implements Publisher {
  pressure = 0
  paused = false
  pauseReading(): void {
    assert.equal(this.paused, false)
    this.paused = true
  }
  resumeReading(): void {
    assert.equal(this.paused, true)
    this.paused = false
  }
}

/** An outbox whose socket has taken nothing of more than it should hold. */
function congested(): { readonly outbox: Outbox; readonly ease: () => void } {
  const transport = { pending: CONGESTED_BYTES + 1, write() {} }
  const counters = new Counters()
  const output = new Output(transport, { counters, add() {} })
  const limits = { queueMessagesMax: 9, queueBytesMax: 9, queueFull: 'disconnect' } as const
  const outbox = new Outbox(output, new OutboundWindow(9), 1e9, limits, counters, { overflow() {}, sharedSettled() {} })
  return { outbox, ease: () => (transport.pending = 0) }
}

function setUp(t: TestContext): {
  readonly pressure: Pressure
  readonly pass: (ms: number) => void
  readonly jump: (ms: number) => void
} {
  t.mock.timers.enable({ apis: ['setInterval'] })
  let now = 1_000
  const pressure = new Pressure(() => now)
  return {
    pressure,
    jump: (ms) => {
      now += ms
      t.mock.timers.tick(25)
    },
    pass: (ms) => {
      for (let i = 0; i < ms; i += 5) {
        now += 5
        t.mock.timers.tick(5)
      }
    },
  }
}

test('a publisher is not read while its subscriber is congested, and again when it has caught up', (t) => {
  const { pressure, pass } = setUp(t)
  const reader = new Reader()
  const { outbox, ease } = congested()
  pressure.hold(outbox, reader)
  pressure.hold(outbox, reader)
  assert.deepEqual([reader.paused, reader.pressure], [true, 1])
  pass(50)
  assert.equal(reader.paused, true)
  ease()
  pressure.release(outbox)
  assert.deepEqual([reader.paused, reader.pressure, outbox.slow, outbox.congestedSinceMs], [false, 0, false, 0])
})

test('a publisher is not read while any of its subscribers is congested', (t) => {
  const { pressure } = setUp(t)
  const reader = new Reader()
  const a = congested()
  const b = congested()
  pressure.hold(a.outbox, reader)
  pressure.hold(b.outbox, reader)
  pressure.release(a.outbox)
  assert.equal(reader.paused, true)
  pressure.release(b.outbox)
  assert.equal(reader.paused, false)
})

test('a reader that stops holds publishers for HOLD_MS_MAX, then counts as slow until it has caught up', (t) => {
  const { pressure, pass } = setUp(t)
  const readers = [new Reader(), new Reader()]
  const { outbox } = congested()
  for (const reader of readers) pressure.hold(outbox, reader)
  pass(HOLD_MS_MAX - 5)
  assert.deepEqual(
    readers.map(({ paused }) => paused),
    [true, true],
  )
  pass(30)
  assert.deepEqual(
    readers.map(({ paused }) => paused),
    [false, false],
  )
  assert.equal(outbox.slow, true)
  pressure.release(outbox)
  assert.equal(outbox.slow, false)
})

test('time in which this process stood still is not held against a subscriber', (t) => {
  const { pressure, pass, jump } = setUp(t)
  const reader = new Reader()
  const { outbox } = congested()
  pressure.hold(outbox, reader)
  jump(5_000)
  assert.deepEqual([reader.paused, outbox.slow], [true, false])
  pass(HOLD_MS_MAX)
  assert.deepEqual([reader.paused, outbox.slow], [false, true])
})

test('a congestion that ended without a word is noticed by the next check', (t) => {
  const { pressure, pass } = setUp(t)
  const reader = new Reader()
  const { outbox, ease } = congested()
  pressure.hold(outbox, reader)
  ease()
  pass(30)
  assert.deepEqual([reader.paused, outbox.slow], [false, false])
})

test('a publisher that is gone is forgotten, and nothing ticks for nobody', (t) => {
  const { pressure, pass } = setUp(t)
  const gone = new Reader()
  const other = new Reader()
  const { outbox } = congested()
  pressure.hold(outbox, gone)
  pressure.forget(gone)
  assert.deepEqual([gone.pressure, outbox.congestedSinceMs], [0, 0])
  pass(200)
  assert.equal(outbox.slow, false)
  const goes = new Reader()
  pressure.hold(outbox, goes)
  pressure.hold(outbox, other)
  pressure.forget(goes)
  pressure.forget(new Reader())
  assert.equal(other.paused, true)
  pressure.release(outbox)
  assert.equal(other.paused, false)
})

test('a subscriber that only ever takes a little is not waited for more than a second, and then a tenth of the time', (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] })
  let now = 1_000
  let exceeded = 0
  const pressure = new Pressure(() => now, { bytesPerSecondMin: () => 1_000_000, exceeded: () => exceeded++ })
  const reader = new Reader()
  const { outbox, take } = draining()
  let heldMs = 0
  const cycle = (bytes: number): void => {
    pressure.hold(outbox, reader)
    if (!reader.paused) {
      now += 50
      pressure.release(outbox)
      return
    }
    now += 50
    heldMs += 50
    take(bytes)
    pressure.release(outbox)
  }
  for (let i = 0; i < 400; i++) cycle(100)
  // 400 times 50 ms passed; a second was lent, and a tenth of the rest.
  assert.ok(heldMs >= OWED_MS_MAX && heldMs <= OWED_MS_MAX + 0.15 * 400 * 50, `${heldMs} ms`)
  assert.ok(exceeded > 300)

  // One that takes what it should is waited for as long as it likes.
  const good = draining()
  for (let i = 0; i < 400; i++) {
    pressure.hold(good.outbox, reader)
    assert.equal(reader.paused, true)
    now += 50
    good.take(60_000)
    pressure.release(good.outbox)
  }
  pressure.close()
})

/** A congested outbox whose socket takes bytes while as many are written. */
function draining() {
  const { outbox } = congested()
  const take = (bytes: number): void => {
    outbox.output.written += bytes
  }
  return { outbox, take }
}
