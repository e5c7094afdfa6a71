import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as after, setImmediate as turn } from 'node:timers/promises'
import { Machine, machineSettings } from '@concordmq/state'
import type { Files } from '../model/files.ts'
import { silentLogger } from '../telemetry/logger.ts'
import { DiskJournal } from './disk-journal.ts'
import { MemoryFiles } from './memory-files.testkit.ts'
import { MemoryStore } from './memory-store.ts'
import { SegmentLog } from './segment-log.ts'

test('DiskJournal writes one group at a time, also when its timer and a request are due in one turn', async () => {
  let writing = 0
  let most = 0
  const memory = new MemoryFiles()
  const slow: Files = {
    list: (directory) => memory.list(directory),
    read: (path) => memory.read(path),
    readPart: (...part) => memory.readPart(...part),
    rename: (from, to) => memory.rename(from, to),
    remove: (path) => memory.remove(path),
    syncDirectory: async () => {},
    open: async (path) => {
      const file = await memory.open(path)
      return {
        ...file,
        write: async (bytes, position) => {
          most = Math.max(most, ++writing)
          for (let turns = 0; turns < 5; turns++) await turn()
          await file.write(bytes, position)
          writing--
        },
      }
    },
  }
  const where = { files: slow, directory: 'd', segmentBytes: 1 << 20, lastNumber: 0, lastEnd: 0 }
  const log = new SegmentLog({ ...where, sync: false, onTrouble: () => {} }, [])
  const machine = new Machine(machineSettings({ durable: true }))
  const parts = { machine, log, store: new MemoryStore(), logger: silentLogger, reserved: 0 }
  const journal = new DiskJournal(parts)
  const kept = new Promise((resolve) => {
    setTimeout(() => {
      journal.reserve(1)
      journal.whenKept(resolve, { type: 'done' })
    }, 20)
  })
  journal.changed()
  // Both timers are due now.
  const untilMs = performance.now() + 40
  while (performance.now() < untilMs);
  await kept
  await after(0)
  await journal.close()
  assert.equal(most, 1)
})
