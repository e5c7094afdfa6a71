/** Machines that apply the same commands where one of them alone is written to disk: the threads of one broker. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Player, settingsOf, steps } from '../../testing/command-sequences.ts'
import { Disk } from '../../testing/disk.ts'
import { Harness, tracingEffects } from '../../testing/harness.ts'
import { compareText } from '../encoding/text-order.ts'
import { Machine } from '../machine.ts'
import { machineSettings } from '../settings.ts'
import type { PassedSave } from './save.ts'

/** Where the message of every entry lies: chunk and slot, undefined for those that no save has had. */
function placesOf(machine: Machine): unknown {
  return [...machine.sessions.values()]
    .sort((a, b) => compareText(a.clientId, b.clientId))
    .map(({ clientId, queue }) => [
      clientId,
      queue.base,
      queue.next,
      [...queue.from(0)].map(({ q, placed, chunk, slot }) => [
        q,
        placed === undefined ? chunk : placed.chunk?.id,
        placed === undefined ? slot : placed.chunk && placed.slot,
      ]),
    ])
}

test('messages lie in the same chunks for who writes and who does not, whenever each of them is told of the disk', () => {
  const how = fc.array(
    fc.record({
      log: fc.nat(2),
      pass: fc.nat(4),
      save: fc.nat(7),
      commit: fc.nat(3),
      saved: fc.nat(3),
      restart: fc.nat(30),
    }),
    { minLength: 20, maxLength: 20 },
  )
  fc.assert(
    fc.property(settingsOf, steps, how, (given, sequence, moments) => {
      const settings = machineSettings({ ...given, hashing: false, durable: true, replicated: true, threads: true })
      const disk = new Disk()
      const effects = tracingEffects([])
      const player = new Player()
      let writer = new Machine(settings)
      let follower = new Machine(settings)
      let saves: { readonly save: ReturnType<Machine['takeSave']>; readonly passed: PassedSave }[] = []
      let committed: PassedSave[] = []
      let incarnation = 0
      let position = 0
      const start = (): void => {
        const command = { type: 'start', node: 0, incarnation: ++incarnation } as const
        for (const machine of [writer, follower]) machine.apply(command, position, player.timeUs, effects)
      }
      start()
      for (const [i, step] of sequence.entries()) {
        const { log, pass, save, commit, saved, restart } = moments[i % moments.length] as (typeof moments)[number]
        const command = player.command(step, writer)
        position++
        writer.apply(command, position, player.timeUs, effects)
        follower.apply(command, position, player.timeUs, effects)
        if (log > 0) disk.log(writer.takeDelta())
        if (pass > 0) follower.passedLogged(follower.passDelta(), () => {})
        if (save === 0) {
          disk.log(writer.takeDelta())
          follower.passDelta()
          saves.push({ save: writer.takeSave(), passed: follower.passSave() })
          assert.equal(saves.at(-1)?.save.position, saves.at(-1)?.passed.position)
        }
        const first = commit === 0 ? saves.shift() : undefined
        if (first !== undefined) {
          disk.apply(first.save)
          writer.saved(first.save)
          committed.push(first.passed)
          disk.cutLog(0)
        }
        for (const id of commit === 1 && saves.length === 0 ? writer.sparseChunks(3) : []) {
          assert.equal(writer.shrinkChunk(id, disk.content(id)), undefined)
        }
        if (saved === 0) for (const one of committed.splice(0)) follower.saved(one)
        assert.deepEqual(placesOf(follower), placesOf(writer))
        assert.equal(follower.durableVersion === 0, writer.durableVersion === 0)
        if (restart > 0) continue
        disk.log(writer.takeDelta())
        const again = [disk.recover(settings), disk.recover(settings)]
        for (const machine of again) if (!(machine instanceof Machine)) assert.fail(machine.malformed)
        ;[writer, follower] = again as [Machine, Machine]
        saves = []
        committed = []
        start()
      }
    }),
    { numRuns: 200 },
  )
})

test('a message that left all queues and came back lies in the same slot, whoever was told of it in between', () => {
  const settings = { hashing: false, durable: true, replicated: true, threads: true }
  const machines = [new Harness(settings), new Harness(settings)] as const
  const both = (act: (h: Harness) => void): void => machines.forEach(act)
  const [writer, follower] = machines
  both((h) => {
    for (const clientId of ['a', 'b', 'c']) {
      h.connect(clientId, { expiry: 1000 })
      if (clientId !== 'c') h.subscribe(clientId, clientId, { qos: 1 })
    }
    h.publish('a', { qos: 1, retain: true })
  })
  writer.machine.takeDelta()
  both((h) => h.connect('a', { cleanStart: true }))
  follower.machine.passDelta()
  both((h) => {
    h.publish('b', { qos: 1 })
    h.subscribe('c', 'a', { qos: 1 })
  })
  writer.machine.takeDelta()
  follower.machine.passDelta()
  writer.machine.takeSave()
  follower.machine.passSave()
  assert.deepEqual(placesOf(follower.machine), placesOf(writer.machine))
})

test('a machine that is not written lets go of messages that another has put on disk', () => {
  const settings = { hashing: false, durable: true, replicated: true, threads: true }
  const [writer, follower] = [new Harness(settings), new Harness(settings)]
  for (const h of [writer, follower]) {
    h.connect('a', { expiry: 1000 })
    h.subscribe('a', 'x/#', { qos: 1 })
    h.disconnect('a', { sentBelow: 0 })
    for (let i = 0; i < 10; i++) h.publish('x/y', { qos: 1 })
  }
  const entry = () => follower.machine.session('a')?.queue.entry(3)
  writer.machine.takeDelta()
  follower.machine.passDelta()
  const save = writer.machine.takeSave()
  const passed = follower.machine.passSave()
  assert.ok(entry()?.placed !== undefined, 'not on disk yet')
  writer.machine.saved(save)
  follower.machine.saved(passed)
  assert.equal(entry()?.placed, undefined)
  assert.deepEqual([entry()?.chunk, entry()?.slot], [save.contents[0]?.chunk, 3])
})

test('a thread waits for the disk before it sends, and is told of bundles without anything to write', () => {
  const h = new Harness({ hashing: false, durable: true, replicated: true, threads: true })
  h.connect('a', { expiry: 1000 })
  h.subscribe('a', 'x', { qos: 1 })
  h.publish('x', { qos: 1 })
  const queue = h.machine.session('a')?.queue
  assert.equal(queue?.sendableBelow, 0)
  const bounds = h.machine.passDelta()
  assert.equal(queue?.sendableBelow, 0)
  const visited: string[] = []
  h.machine.passedLogged(bounds, ({ clientId }) => visited.push(clientId))
  assert.equal(queue?.sendableBelow, 1)
  assert.deepEqual(visited, ['a'])
  assert.equal(h.machine.hasUnlogged, false)
})
