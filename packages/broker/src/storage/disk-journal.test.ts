import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as after, setImmediate as turn } from 'node:timers/promises'
import { type Command, type Effects, Machine, machineSettings, type Outcome, type Save } from '@concordmq/state'
import type { Files } from '../model/files.ts'
import { silentLogger } from '../telemetry/logger.ts'
import { DiskJournal } from './disk-journal.ts'
import { MemoryFiles } from './memory-files.testkit.ts'
import { MemoryStore } from './memory-store.ts'
import { SegmentLog } from './segment-log.ts'

const NOTHING: Effects = {
  published() {},
  queued() {},
  deliver() {},
  connectionEnded() {},
  sessionEnded() {},
  dropped() {},
}

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

for (const { name, stays, savesMin, savesMax } of [
  {
    name: 'is told every few thousand messages that stay',
    stays: true,
    savesMin: 5,
    savesMax: Number.POSITIVE_INFINITY,
  },
  {
    name: 'is not told of messages that connected clients settle all the time',
    stays: false,
    savesMin: 0,
    savesMax: 1,
  },
]) {
  test(`the state store ${name}`, async () => {
    const machine = new Machine(machineSettings({ durable: true, hashing: false, queueMessagesMax: 100_000 }))
    const connection = { node: 0, incarnation: 1, counter: 1 }
    const client = { connection, clientId: 'c' }
    let position = 0
    const apply = (command: Command): void => void machine.apply(command, ++position, 0, NOTHING)
    apply({ type: 'start', node: 0, incarnation: 1 })
    const session = {
      principal: '',
      version: 4,
      cleanStart: false,
      sessionExpirySeconds: 99,
      receiveMaximum: 65_535,
    } as const
    apply({ type: 'connect', ...client, ...session })
    const options = { qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0, subscriptionId: 0 } as const
    apply({ type: 'subscribe', ...client, subscriptions: [{ filter: 't', ...options }] })
    let saves = 0
    const store = new (class extends MemoryStore {
      override async commit(save: Save): Promise<void> {
        saves++
        await super.commit(save)
      }
    })()
    const where = { files: new MemoryFiles(), directory: 'd', segmentBytes: 1 << 20, lastNumber: 0, lastEnd: 0 }
    const log = new SegmentLog({ ...where, sync: false, onTrouble: () => {} }, [])
    const journal = new DiskJournal({ machine, log, store, logger: silentLogger, reserved: 0 })
    const begunMs = performance.now()
    const give = async (count: number): Promise<void> => {
      const payloads = Array.from({ length: count }, () => new Uint8Array(1))
      apply({ type: 'publishRun', head: { topic: 't', qos: 1, retain: false, publisher: '' }, payloads })
      await new Promise<Outcome>((resolve) => journal.whenKept(resolve, { type: 'done' }))
    }
    for (let i = 0; i < 5; i++) await give(1000)
    for (let settled = 0; settled < 40_000; settled += 1000) {
      await give(1000)
      const settlements = [{ q: settled, count: 1000, outcome: 'acked' }] as const
      if (!stays) apply({ type: 'acknowledge', ...client, settlements })
    }
    const taken = saves
    const seconds = (performance.now() - begunMs) / 1000
    await journal.close()
    assert.ok(taken >= savesMin && taken <= savesMax + Math.floor(seconds), `${taken} saves in ${seconds} s`)
  })
}
