import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { type Command, type Effects, Machine, machineSettings, type PlacedMessage } from '@concordmq/state'
import { MemoryJournal } from '../storage/journal.ts'
import { LocalSequencer } from './local-sequencer.ts'

const start = { type: 'start', node: 0, incarnation: 1 } as const
const message = (topic: string, more: object = {}) =>
  ({
    type: 'publish',
    message: { topic, payload: new Uint8Array(0), qos: 0, retain: false, publisher: '', ...more },
  }) as const satisfies Command

function setUp(t: TestContext) {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_000_000 })
  const published: PlacedMessage[] = []
  const log: [number, number, string][] = []
  const effects: Effects = {
    published: (placed) => {
      published.push(placed)
      onPublished(placed)
    },
    queued() {},
    deliver() {},
    connectionEnded() {},
    sessionEnded() {},
    dropped() {},
  }
  let onPublished: (placed: PlacedMessage) => void = () => {}
  const machine = new Machine(machineSettings())
  const journal = new MemoryJournal((position, timeUs, command) => {
    log.push([position, timeUs, command.type])
  })
  const sequencer = new LocalSequencer(machine, effects, journal)
  sequencer.submit(start)
  return { sequencer, machine, published, log, onPublish: (visit: typeof onPublished) => (onPublished = visit) }
}

test('a command is applied, logged and answered before submit() returns, at the next position', (t) => {
  const { sequencer, published, log } = setUp(t)
  let outcome = ''
  sequencer.submit(message('a'), (done) => (outcome = done.type))
  assert.equal(outcome, 'published')
  assert.deepEqual(
    published.map(({ position, timeUs }) => [position, timeUs]),
    [[2, 1_000_000_000]],
  )
  sequencer.take(10)
  sequencer.submit(message('b'))
  assert.deepEqual(
    log.map(([position, , type]) => [position, type]),
    [
      [1, 'start'],
      [2, 'publish'],
      [13, 'publish'],
    ],
  )
})

test('a command that an effect leads to has its place after the one being applied', (t) => {
  const { sequencer, published, onPublish } = setUp(t)
  const order: string[] = []
  onPublish((placed) => {
    if (placed.message.topic !== 'first') return
    sequencer.submit(message('second'), () => order.push('second answered'))
    order.push('effect over')
  })
  sequencer.submit(message('first'), () => order.push('first answered'))
  assert.deepEqual(order, ['effect over', 'first answered', 'second answered'])
  assert.deepEqual(
    published.map(({ message: { topic }, position }) => [topic, position]),
    [
      ['first', 2],
      ['second', 3],
    ],
  )
})

test('its time never goes back, although the clock does', (t) => {
  const { sequencer } = setUp(t)
  const before = sequencer.nowUs()
  t.mock.timers.setTime(500)
  assert.equal(sequencer.nowUs(), before)
  t.mock.timers.setTime(2_000_000)
  assert.equal(sequencer.nowUs(), 2_000_000_000)
})

test('a deadline that passes while nothing happens is followed by a tick, one per deadline, however far away', (t) => {
  const { sequencer, machine, log } = setUp(t)
  sequencer.submit(message('r1', { retain: true, payload: Uint8Array.of(1), expirySeconds: 5 }))
  sequencer.submit(message('r2', { retain: true, payload: Uint8Array.of(1), expirySeconds: 2 }))
  sequencer.submit(message('r3', { retain: true, payload: Uint8Array.of(1), expirySeconds: 1_000 }))
  const ticks = () => log.filter(([, , type]) => type === 'tick').length
  t.mock.timers.tick(1_999)
  assert.deepEqual([ticks(), machine.retained.count], [0, 3])
  t.mock.timers.tick(1)
  assert.deepEqual([ticks(), machine.retained.count], [1, 2])
  t.mock.timers.tick(3_000)
  assert.deepEqual([ticks(), machine.retained.count], [2, 1])
  for (let i = 0; i < 20; i++) t.mock.timers.tick(60_000)
  assert.deepEqual([ticks(), machine.retained.count], [3, 0])
})

test('after close() no deadline is watched', (t) => {
  const { sequencer, log } = setUp(t)
  sequencer.submit(message('r', { retain: true, payload: Uint8Array.of(1), expirySeconds: 5 }))
  sequencer.close()
  sequencer.submit(message('s', { retain: true, payload: Uint8Array.of(1), expirySeconds: 1 }))
  const before = log.length
  t.mock.timers.tick(60_000)
  assert.equal(log.length, before)
})
