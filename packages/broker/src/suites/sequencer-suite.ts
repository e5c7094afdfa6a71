/** What a sequencer must do, whoever wrote it: places ascend, answers come in the order of the calls, time never goes back. */
import assert from 'node:assert/strict'
import { type Command, type Effects, Machine, machineSettings, type PlacedMessage } from '@concordmq/state'
import type { Sequencer, SequencerFactory } from '../model/sequencer.ts'
import { MemoryJournal } from '../storage/journal.ts'
import type { Case } from './cases.ts'

function publish(topic: string, more: object = {}): Command {
  return {
    type: 'publish',
    message: { topic, payload: new Uint8Array(1), qos: 0, retain: false, publisher: '', ...more },
  }
}

/** Where the machine stands when the sequencer gets it. */
const FIRST = 1000

interface Rig {
  readonly sequencer: Sequencer
  readonly published: readonly PlacedMessage[]
  readonly journal: readonly (readonly [position: number, timeUs: number, type: Command['type']])[]
  readonly machine: Machine
  /** Submits and waits for the answer. */
  readonly settled: (command: Command) => Promise<unknown>
}

export function sequencerSuite(make: SequencerFactory): readonly Case[] {
  async function withRig(use: (rig: Rig) => Promise<void>): Promise<void> {
    const published: PlacedMessage[] = []
    const journal: [number, number, Command['type']][] = []
    const effects: Effects = {
      published: (placed) => published.push(placed),
      queued() {},
      deliver() {},
      connectionEnded() {},
      sessionEnded() {},
      dropped() {},
    }
    const machine = new Machine(machineSettings())
    const sequencer = make({
      machine,
      effects,
      journal: new MemoryJournal((position, timeUs, command) => journal.push([position, timeUs, command.type])),
      position: FIRST,
    })
    const settled = (command: Command): Promise<unknown> => new Promise((resolve) => sequencer.submit(command, resolve))
    try {
      await settled({ type: 'start', node: 0, incarnation: 1 })
      await use({ sequencer, published, journal, machine, settled })
    } finally {
      sequencer.close()
    }
  }
  return [
    {
      name: 'sequencer applies commands in the order of the calls, and answers in that order',
      run: () =>
        withRig(async ({ sequencer, published, settled }) => {
          const answered: number[] = []
          for (let i = 0; i < 100; i++) sequencer.submit(publish(`t/${i}`), () => answered.push(i))
          await settled(publish('last'))
          const wanted = Array.from({ length: 100 }, (_, i) => i)
          assert.deepEqual(answered, wanted)
          assert.deepEqual(
            published.map(({ message }) => message.topic),
            [...wanted.map((i) => `t/${i}`), 'last'],
          )
        }),
    },
    {
      name: 'sequencer gives ascending positions, and none that was taken',
      run: () =>
        withRig(async ({ sequencer, published, settled }) => {
          await settled(publish('a'))
          sequencer.take(10)
          await settled(publish('b'))
          assert.ok((published[0]?.position ?? 0) > FIRST, 'above where the machine stood')
          const [a, b] = published.map(({ position }) => position) as [number, number]
          assert.ok(b - a > 10, `${a} and ${b} leave no room for ten between them`)
        }),
    },
    {
      name: 'sequencer writes a command to the journal before it is applied, at its own place and time',
      run: () =>
        withRig(async ({ journal, published, settled }) => {
          await settled(publish('a'))
          const [, position, timeUs] = [0, ...(journal.find(([, , type]) => type === 'publish') ?? [])]
          assert.deepEqual([published[0]?.position, published[0]?.timeUs], [position, timeUs])
        }),
    },
    {
      name: 'sequencer answers a malformed command with an outcome and goes on',
      run: () =>
        withRig(async ({ settled }) => {
          assert.equal(((await settled(publish('a/#'))) as { type: string }).type, 'malformed')
          assert.equal(((await settled(publish('a'))) as { type: string }).type, 'published')
        }),
    },
    {
      name: 'sequencer time never goes back and is never before that of a command',
      run: () =>
        withRig(async ({ sequencer, journal, settled }) => {
          let before = 0
          for (let i = 0; i < 20; i++) {
            await settled(publish('a'))
            const now = sequencer.nowUs()
            assert.ok(now >= before && now >= (journal.at(-1)?.[1] ?? 0))
            before = now
          }
          assert.ok(Number.isSafeInteger(before) && before > 1e15, 'microseconds since 1970')
        }),
    },
    {
      name: 'sequencer moves time on when a deadline of the machine passes and nothing else happens',
      run: () =>
        withRig(async ({ machine, settled }) => {
          await settled(publish('r', { retain: true, expirySeconds: 1 }))
          assert.equal(machine.retained.count, 1)
          const until = AbortSignal.timeout(10_000)
          while (machine.retained.count > 0) {
            until.throwIfAborted()
            await new Promise((resolve) => setTimeout(resolve, 50))
          }
        }),
    },
  ]
}
