import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Follower } from '../../testing/follower.ts'
import { arrival, type Case, eachCase, randomGraph } from '../../testing/random-graph.ts'
import { Reader } from '../bytes/reader.ts'
import { Writer } from '../bytes/writer.ts'
import { Committer } from './committer.ts'

function snapshotOf({ committer }: Follower): Uint8Array {
  const writer = new Writer()
  committer.write(writer)
  return writer.take()
}

/** A run over a random graph, with the snapshot after each step. */
function recordedRun({ drawing, shape, random }: Case) {
  const blocks = randomGraph(drawing, { ...shape, rounds: 24 }, random)
  const snapshots: Uint8Array[] = []
  const follower = new Follower(drawing, (stepped) => snapshots.push(snapshotOf(stepped)))
  follower.receive(...arrival(blocks, random))
  return { blocks, snapshots, steps: follower.told }
}

test('a node that begins with a snapshot goes on as the one that made it, and makes the same snapshots', () => {
  let resumed = 0
  eachCase(40, (tried) => {
    const { blocks, snapshots, steps } = recordedRun(tried)
    for (let i = 0; i < 3; i++) {
      const at = tried.random.below(snapshots.length + 1) - 1
      const snapshot = snapshots[at]
      if (snapshot === undefined) continue
      const reader = new Reader(snapshot)
      const made: Uint8Array[] = []
      const late = Follower.restored(tried.drawing, reader, (stepped) => made.push(snapshotOf(stepped)))
      assert.ok(reader.end(), reader.problem)
      assert.deepEqual(snapshotOf(late), snapshot)
      late.receive(...arrival(blocks, tried.random))
      assert.deepEqual(late.told, steps.slice(at + 1))
      assert.deepEqual(made, snapshots.slice(at + 1))
      resumed += made.length
    }
  })
  assert.ok(resumed > 100, `${resumed} steps`)
})

test('a snapshot with a byte more or less is refused, and one with a changed byte is refused or says exactly that', () => {
  eachCase(10, (tried) => {
    const { drawing, random } = tried
    const snapshot = recordedRun(tried).snapshots.at(-1)
    if (snapshot === undefined) return
    const read = (bytes: Uint8Array) => {
      const reader = new Reader(bytes)
      const { committer } = Committer.read(reader, drawing.epoch, drawing.domain)
      return reader.end() ? committer : undefined
    }
    assert.equal(read(snapshot.subarray(0, random.below(snapshot.length))), undefined)
    assert.equal(read(Uint8Array.of(...snapshot, 0)), undefined)
    for (let i = 0; i < 50; i++) {
      const changed: Uint8Array = snapshot.slice()
      // Not the first eight bytes: a snapshot of another step has other rounds, and may be as good.
      changed[8 + random.below(snapshot.length - 8)] = random.below(256)
      const writer = new Writer()
      read(changed)?.write(writer)
      if (writer.length > 0) assert.deepEqual(writer.take(), changed)
    }
  })
})
