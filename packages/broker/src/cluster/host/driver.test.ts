import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Effect, Input, OrderedBatch } from '@concordmq/consensus'
import type { OrderedApplication } from '../../model/ordered-log.ts'
import { MemoryFiles } from '../../storage/memory-files.testkit.ts'
import { recordingLogger } from '../cluster.testkit.ts'
import { FrameType } from '../links/frames.ts'
import { Verifier } from './cryptography.ts'
import { Driver } from './driver.ts'

/** A driver of an engine that answers its inputs with these effects; `done` lists what they led to. */
function drive(answers: Partial<Record<Input['type'], readonly Effect[]>>): { driver: Driver; done: string[] } {
  const done: string[] = []
  const application = {
    nextPosition: 0,
    ordered: () => done.push('application'),
  } as unknown as OrderedApplication
  const driver = new Driver({
    engine: { step: ({ type }) => answers[type] ?? [] },
    wal: {
      append: (records, barrier) => done.push(`log ${records.length} records, barrier ${barrier}`),
      read: () => Promise.resolve(undefined),
      forget: (below) => done.push(`forget ${below}`),
    },
    verifier: new Verifier(),
    application,
    files: new MemoryFiles(),
    directory: '/node',
    logger: recordingLogger([]),
    nowUs: () => 1_700_000_000_000_000,
    members: () => assert.fail('nobody is named'),
    epochBegan: () => {},
    statusChanged: () => {},
    emitted: () => {},
    certified: () => {},
    failed: (error) => assert.fail(error),
  })
  driver.links = {
    send: (to, frame) => done.push(`frame ${frame[0]} to ${to}`),
    flush: () => done.push('flush'),
    drop: () => {},
  }
  return { driver, done }
}

const batch = { messages: [{ position: 0 }] } as unknown as OrderedBatch
const record = { kind: 1, mark: 1, bytes: new Uint8Array(8) }
const block = Uint8Array.of(FrameType.block, 0, 0, 0, 0)
const status = Uint8Array.of(2, 0, 0, 0, 0)
const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('Driver gives the log its records before the application gets what was ordered, and in their order', () => {
  const { driver, done } = drive({
    timer: [
      { type: 'emit', batch },
      { type: 'persist', records: [record], barrier: 1 },
      { type: 'forget', below: 1 },
      { type: 'persist', records: [record, record] },
    ],
  })
  driver.input({ type: 'timer', nowUs: 0 })
  assert.deepEqual(done, ['log 1 records, barrier 1', 'log 2 records, barrier undefined', 'application', 'forget 1'])
})

test('Driver writes an own block at once, before the application gets what it decided', () => {
  const { driver, done } = drive({
    durable: [
      { type: 'send', to: 'all', frame: block },
      { type: 'emit', batch },
    ],
  })
  driver.input({ type: 'durable', barrier: 1, nowUs: 0 })
  assert.deepEqual(done, [`frame ${FrameType.block} to all`, 'flush', 'application'])
})

test('Driver writes other frames once at the end of the turn, and wakes up for nothing else', async () => {
  const { driver, done } = drive({ rtt: [{ type: 'send', to: 1, frame: status }] })
  driver.input({ type: 'rtt', peer: 1, rttUs: 100 })
  driver.input({ type: 'rtt', peer: 1, rttUs: 100 })
  driver.input({ type: 'timer', nowUs: 0 })
  assert.deepEqual(done, ['frame 2 to 1', 'frame 2 to 1'])
  await nextTurn()
  assert.deepEqual(done.slice(2), ['flush'])
  driver.input({ type: 'timer', nowUs: 0 })
  await nextTurn()
  assert.equal(done.length, 3)
})

test('Driver carries nothing out once it is stopped', () => {
  const { driver, done } = drive({ timer: [{ type: 'persist', records: [record] }] })
  driver.stop()
  driver.input({ type: 'timer', nowUs: 0 })
  assert.deepEqual(done, [])
})
