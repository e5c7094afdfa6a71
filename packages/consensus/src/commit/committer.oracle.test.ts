/**
 * The committer against the commit rule as it is written, on random graphs with forkers; and parts of a graph against the whole.
 * `CONCORDMQ_TEST_SEEDS` runs more graphs than CI does.
 */
import assert from 'node:assert/strict'
import process from 'node:process'
import { test } from 'node:test'
import { Drawing } from '../../testing/drawn-graph.ts'
import { Follower } from '../../testing/follower.ts'
import { CommitOracle } from '../../testing/oracle/commit-rule.ts'
import { closedPart, type GraphShape, randomGraph } from '../../testing/random-graph.ts'
import { Seeded } from '../../testing/seeded.ts'

const seeds = Number(process.env['CONCORDMQ_TEST_SEEDS'] ?? 60)
const sizes = [4, 4, 4, 5, 7]

interface Case {
  readonly seed: number
  readonly random: Seeded
  readonly drawing: Drawing
  readonly shape: GraphShape
}

function caseOf(seed: number): Case {
  const random = new Seeded(seed)
  const n = random.pick(sizes)
  const keepRounds = random.pick([8, 12, 100])
  const drawing = new Drawing(n, {
    windowRounds: 4,
    goodRoundsMin: random.pick([1, 2, 3]),
    keepRounds,
    voidRounds: keepRounds - 2,
    reportAgeRounds: 4,
  })
  const shape = {
    rounds: 8 + random.below(n === 7 ? 8 : 18),
    forkers: random.below(drawing.epoch.f + 1),
    versionsMax: 1 + random.below(3),
    silentPercent: random.pick([0, 10, 50]),
    sparsePercent: random.pick([0, 50, 100]),
  }
  return { seed, random, drawing, shape }
}

function eachCase(body: (tried: Case) => void): void {
  for (let seed = 1; seed <= seeds; seed++) {
    try {
      body(caseOf(seed))
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error })
    }
  }
}

test('committer decides what section 7 says of the same blocks, whatever the order of their arrival', () => {
  let steps = 0
  eachCase(({ random, drawing, shape }) => {
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
  eachCase(({ random, drawing, shape }) => {
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

/** An order in which blocks may come: roughly by round, now and then long before their parents. */
function arrival<T extends { readonly round: number }>(blocks: readonly T[], random: Seeded): T[] {
  const late = random.pick([0, 1, 4, 10])
  const keyed = blocks.map((block) => ({ block, at: block.round * 10 + random.below(10 * late + 1) }))
  return keyed.sort((a, b) => a.at - b.at).map(({ block }) => block)
}
