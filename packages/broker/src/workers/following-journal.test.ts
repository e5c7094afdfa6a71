import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { Machine, machineSettings } from '@concordmq/state'
import { silentLogger } from '../telemetry/logger.ts'
import { FollowingJournal } from './following-journal.ts'
import { DiskReader, DiskWriter, shareDisk } from './shared-disk.ts'

const ignored = {
  published() {},
  queued() {},
  deliver() {},
  connectionEnded() {},
  sessionEnded() {},
  dropped() {},
}

/** A journal that follows, with the end of the thread that writes. */
function follow() {
  const buffer = shareDisk()
  const machine = new Machine(machineSettings({ hashing: false, durable: true, replicated: true, threads: true }))
  const writer = new DiskWriter(buffer, () => {})
  const journal = new FollowingJournal(machine, new DiskReader(buffer), silentLogger)
  let position = 0
  const released: number[] = []
  return {
    ...{ machine, writer, journal, released },
    /** A durable change, whose answer waits. */
    change: (): number => {
      machine.apply({ type: 'start', node: 0, incarnation: ++position }, position, position, ignored)
      journal.changed()
      const at = position
      journal.whenKept(() => released.push(at), { type: 'done' })
      return at
    },
    end: () => {
      writer.close()
      return journal.close()
    },
  }
}

async function until(holds: () => boolean): Promise<void> {
  for (let turns = 0; !holds(); turns++) {
    assert.ok(turns < 10_000, holds.toString())
    await turn()
  }
}

suite('FollowingJournal', () => {
  test('lets answers go as far as the log has come, in their order', async () => {
    const { change, writer, released, end } = follow()
    for (let i = 0; i < 3; i++) change()
    await turn()
    assert.deepEqual(released, [])
    writer.logged(2)
    await until(() => released.length > 0)
    assert.deepEqual(released, [1, 2])
    writer.logged(7)
    await until(() => released.length > 2)
    assert.deepEqual(released, [1, 2, 3])
    await end()
  })

  test('lets an answer go at once that comes after the log', async () => {
    const { change, writer, released, end } = follow()
    change()
    change()
    await turn()
    // Something else is waited for when the log is ahead of the next change.
    writer.logged(1)
    await until(() => released.length === 1)
    writer.logged(3)
    await until(() => released.length === 2)
    change()
    await turn()
    await turn()
    assert.deepEqual(released, [1, 2, 3])
    await end()
  })

  test('tells the thread that writes what is waited for, and takes its word for trouble', async () => {
    const { change, writer, journal, end } = follow()
    let asked = 0
    writer.onWanted(() => asked++)
    change()
    await until(() => asked === 1)
    assert.equal(writer.wanted, 1)
    change()
    await until(() => asked === 2)
    assert.equal(writer.wanted, 2)
    writer.setTrouble(true)
    assert.equal(journal.trouble, true)
    writer.setTrouble(false)
    assert.equal(journal.trouble, false)
    await end()
  })

  test('a fault in one answer does not keep the next', async () => {
    const { journal, change, writer, released, end } = follow()
    journal.whenKept(
      () => {
        throw new Error('a fault')
      },
      { type: 'done' },
    )
    change()
    await turn()
    writer.logged(1)
    await until(() => released.length === 1)
    await end()
  })
})
