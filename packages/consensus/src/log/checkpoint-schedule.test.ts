import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Reader } from '../bytes/reader.ts'
import { Writer } from '../bytes/writer.ts'
import { constantsFor } from '../model/constants.ts'
import { CheckpointSchedule } from './checkpoint-schedule.ts'

const constants = constantsFor(4, { checkpointSteps: 100, checkpointBytes: 5000 })
const ongoing = { epochEnds: false }

describe('CheckpointSchedule', () => {
  it('is due after enough steps, if anything was emitted', () => {
    const schedule = new CheckpointSchedule(constants)
    assert.equal(schedule.due(100, ongoing), false)
    schedule.emitted(10)
    assert.equal(schedule.due(99, ongoing), false)
    assert.equal(schedule.due(100, ongoing), true)
    schedule.taken(100)
    assert.equal(schedule.due(300, ongoing), false)
    assert.equal(schedule.lastStep, 100)
  })

  it('is due after enough bytes', () => {
    const schedule = new CheckpointSchedule(constants)
    schedule.emitted(4999)
    assert.equal(schedule.due(3, ongoing), false)
    schedule.emitted(1)
    assert.equal(schedule.due(3, ongoing), true)
  })

  it('is due on request, but 16 steps after the last one at the earliest (H13 of the review)', () => {
    const schedule = new CheckpointSchedule(constants)
    schedule.taken(50)
    schedule.request()
    assert.equal(schedule.due(65, ongoing), false)
    assert.equal(schedule.due(66, ongoing), true)
    schedule.taken(66)
    assert.equal(schedule.due(90, ongoing), false)
  })

  it('is due at the end of an epoch', () => {
    assert.equal(new CheckpointSchedule(constants).due(1, { epochEnds: true }), true)
  })

  it('goes on from its snapshot', () => {
    const schedule = new CheckpointSchedule(constants)
    schedule.taken(50)
    schedule.emitted(123)
    schedule.request()
    const writer = new Writer()
    schedule.write(writer)
    const copy = new CheckpointSchedule(constants)
    const reader = new Reader(writer.take())
    copy.read(reader)
    assert.ok(reader.end())
    assert.equal(copy.lastStep, 50)
    assert.equal(copy.due(66, ongoing), true)
    copy.emitted(4877)
    assert.equal(copy.due(51, ongoing), true)
  })
})
