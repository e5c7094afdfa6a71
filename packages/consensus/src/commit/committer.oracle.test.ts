/**
 * The committer against the commit rule as it is written, on random graphs with forkers; and parts of a graph against the whole.
 * `CONCORDMQ_TEST_SEEDS` runs more graphs than CI does.
 */
import assert from 'node:assert/strict'
import process from 'node:process'
import { test } from 'node:test'
import { Follower } from '../../testing/follower.ts'
import { CommitOracle } from '../../testing/oracle/commit-rule.ts'
import { arrival, closedPart, eachCase, randomGraph } from '../../testing/random-graph.ts'

const seeds = Number(process.env['CONCORDMQ_TEST_SEEDS'] ?? 60)

test('committer decides what section 7 says of the same blocks, whatever the order of their arrival', () => {
  let steps = 0
  eachCase(seeds, ({ random, drawing, shape }) => {
    const blocks = randomGraph(drawing, shape, random)
    const expected = new CommitOracle(drawing.epoch, drawing.domain, blocks).steps()
    const follower = new Follower(drawing)
    follower.receive(...arrival(blocks, random))
    assert.deepEqual(follower.told, expected)
    steps += expected.length
  })
  assert.ok(steps > seeds * 2, `${steps} steps in ${seeds} graphs`)
})

test('decisions of a closed part of the graph never contradict those of the whole', () => {
  let steps = 0
  eachCase(seeds, ({ random, drawing, shape }) => {
    const blocks = randomGraph(drawing, shape, random)
    const whole = new CommitOracle(drawing.epoch, drawing.domain, blocks).steps()
    for (let i = 0; i < 4; i++) {
      const part = closedPart(blocks, random)
      const follower = new Follower(drawing)
      follower.receive(...arrival(part, random))
      assert.deepEqual(follower.told, new CommitOracle(drawing.epoch, drawing.domain, part).steps())
      assert.deepEqual(follower.told, whole.slice(0, follower.told.length))
      steps += follower.told.length
    }
  })
  assert.ok(steps > seeds, `${steps} steps`)
})
