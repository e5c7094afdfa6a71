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

test('a state that a snapshot replaced is on disk whole, with nothing left of the one before', () => {
  const behind = new ClusterHarness({ durable: true })
  const ahead = new ClusterHarness({ durable: true })
  const disk = new Disk()
  for (const h of [behind, ahead]) {
    h.start(0)
    h.order(0, h.bundle(1, 1, h.connect(at(0, 1), 'a', { expiry: 100 }), h.subscribe(at(0, 1), 'a', '#')))
    for (let i = 2; i < 8; i++) h.order(0, h.bundle(1, i, h.publish(`t/${i}`, { qos: 1 })))
  }
  behind.order(0, behind.bundle(1, 8, behind.connect(at(0, 2), 'gone', { expiry: 100 })))
  const save = () => {
    disk.log(behind.machine.takeDelta())
    const taken = behind.machine.takeSave()
    disk.apply(taken)
    behind.machine.saved(taken)
  }
  save()
  behind.order(0, behind.bundle(1, 9, behind.publish('unsaved', { qos: 1 })))
  disk.log(behind.machine.takeDelta())
  const acks = [0, 1, 2].map((q) => ({ q, outcome: 'acked' as const }))
  ahead.order(0, ahead.bundle(1, 8, { type: 'acknowledge', connection: at(0, 1), clientId: 'a', settlements: acks }))
  for (let i = 9; i < 30; i++) ahead.order(0, ahead.bundle(1, i, ahead.publish(`u/${i}`, { qos: 1, retain: true })))
  const restored = Machine.restore(ahead.machine.snapshot(), ahead.settings)
  if (!(restored instanceof Machine)) assert.fail(restored.malformed)
  behind.machine.replaceBy(restored)
  const check = () => {
    const recovered = disk.recover(behind.settings)
    if (!(recovered instanceof Machine)) assert.fail(recovered.malformed)
    assert.deepEqual(recovered.hash(), ahead.machine.hash())
    assert.deepEqual([...recovered.sessions.keys()], ['a'])
  }
  disk.log(behind.machine.takeDelta())
  check()
  save()
  check()
})
