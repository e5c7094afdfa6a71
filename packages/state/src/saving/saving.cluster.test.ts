import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { at, ClusterHarness } from '../../testing/cluster-harness.ts'
import { Player, settingsOf, steps } from '../../testing/command-sequences.ts'
import { Disk } from '../../testing/disk.ts'
import { tracingEffects } from '../../testing/harness.ts'
import { Machine } from '../machine.ts'
import { machineSettings } from '../settings.ts'

test('in a cluster the disk has the whole state: a recovered machine hashes like the others, and goes on like them', () => {
  const moments = fc.array(fc.record({ save: fc.nat(4), commit: fc.nat(2) }), { minLength: 10, maxLength: 10 })
  fc.assert(
    fc.property(settingsOf, steps, moments, fc.nat(100), (given, sequence, how, percent) => {
      const settings = machineSettings({ ...given, hashing: true, durable: true, replicated: true })
      const disk = new Disk()
      const machine = new Machine(settings)
      const player = new Player()
      const lines: string[] = []
      machine.apply({ type: 'start', node: 0, incarnation: 1 }, 1, 0, tracingEffects(lines))
      const uncommitted: ReturnType<Machine['takeSave']>[] = []
      const crashAt = Math.floor((sequence.length * percent) / 101)
      let other: Machine | undefined
      const otherLines: string[] = []
      for (const [i, step] of sequence.entries()) {
        const { save, commit } = how[i % how.length] as (typeof how)[number]
        const command = player.command(step, machine)
        machine.apply(command, i + 2, player.timeUs, tracingEffects(lines))
        other?.apply(command, i + 2, player.timeUs, tracingEffects(otherLines))
        if (i > crashAt) continue
        disk.log(machine.takeDelta())
        if (save === 0) uncommitted.push(machine.takeSave())
        const first = commit === 0 ? uncommitted.shift() : undefined
        if (first !== undefined) {
          disk.apply(first)
          machine.saved(first)
          disk.cutLog(i % 2)
        }
        if (i !== crashAt) continue
        const recovered = disk.recover(settings)
        if (!(recovered instanceof Machine)) assert.fail(recovered.malformed)
        other = recovered
        // The clock alone may be behind: a command that changed nothing is applied again.
        if (recovered.position === machine.position) assert.deepEqual(recovered.hash(), machine.hash())
        lines.length = 0
      }
      assert.ok(other !== undefined)
      if (other.position === machine.position) assert.deepEqual(other.hash(), machine.hash())
      assert.deepEqual(otherLines, lines)
    }),
    { numRuns: 150 },
  )
})

test('what is held of a node, and how long it has been silent, is on disk', () => {
  const h = new ClusterHarness({ durable: true })
  const disk = new Disk()
  h.start(0)
  h.order(0, h.bundle(1, 1, h.connect(at(0, 1), 'transient')))
  h.order(0, h.bundle(1, 3, h.publish('held')))
  h.unit([0])
  disk.log(h.machine.takeDelta())
  const recovered = disk.recover(h.settings)
  if (!(recovered instanceof Machine)) assert.fail(recovered.malformed)
  assert.deepEqual(recovered.hash(), h.machine.hash())
  h.machine = recovered
  assert.deepEqual(h.order(0, h.bundle(1, 2, h.publish('first'))), [
    'published first 3.0 by -',
    'published held 3.1 by -',
  ])
})
