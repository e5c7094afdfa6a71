import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { FairOrderOracle } from '../../testing/oracle/fair-order-oracle.ts'
import { type ReportStream, reportStream } from '../../testing/report-stream.ts'
import { Reader } from '../bytes/reader.ts'
import { Writer } from '../bytes/writer.ts'
import type { BlockName } from '../model/block.ts'
import type { Epoch } from '../model/epoch.ts'
import { fairEpoch } from './fair-order.testkit.ts'
import { type Emission, FairOrder } from './fair-order.ts'

/** Small windows, so that a short run passes all of them. */
const small = { voidRounds: 24, patienceSteps: 4, reportAgeRounds: 16, reportAheadRounds: 3 }
const seeds = Array.from({ length: 30 }, (_, seed) => seed)

const nameOf = ({ author, round, digest }: BlockName): string => `${author}/${round}/${digest.join()}`

function feed(order: FairOrder, stream: ReportStream, from = 0, to = stream.steps.length): Emission[][] {
  const emitted: Emission[][] = []
  for (let step = from + 1; step <= to; step++) {
    const { blocks, jailed } = stream.steps[step - 1] as ReportStream['steps'][number]
    for (const block of blocks) order.evidence(block, step)
    emitted.push([...order.step(step).emissions])
    for (const author of jailed) order.jail(author)
  }
  return emitted
}

/** Every step by the fair order and by the oracle, which must agree. */
function compare(epoch: Epoch, stream: ReportStream): { oracle: FairOrderOracle; emissions: Emission[]; cuts: number } {
  const order = new FairOrder(epoch, 7)
  const oracle = new FairOrderOracle(epoch, 7)
  const emissions: Emission[] = []
  let cuts = 0
  for (const [at, { blocks, jailed }] of stream.steps.entries()) {
    const step = at + 1
    for (const block of blocks) {
      order.evidence(block, step)
      oracle.evidence(block, step)
    }
    const result = order.step(step)
    cuts += result.cuts
    emissions.push(...result.emissions)
    const expected = oracle.fairOrder(step)
    assert.deepEqual(
      result.emissions.map((emission) => [nameOf(emission), emission.consensusUs, emission.superseded]),
      expected.map(({ name, consensusUs, superseded }) => [nameOf(name), consensusUs, superseded]),
      `step ${step}`,
    )
    assert.equal(cuts, oracle.cuts, `cuts of step ${step}`)
    for (const author of jailed) {
      order.jail(author)
      oracle.jail(author)
    }
  }
  return { oracle, emissions, cuts }
}

describe('FairOrder', () => {
  for (const n of [1, 2, 3, 4, 5, 7, 10]) {
    it(`orders random reports with up to f liars as section 8 says, word for word (n=${n})`, () => {
      const met = { cuts: 0, cycles: 0, void: 0 }
      for (const seed of seeds.slice(0, n > 5 ? 10 : 30)) {
        const epoch = fairEpoch(n, small)
        const stream = reportStream(epoch, { seed, rounds: 60, turbulent: seed % 2 === 1 })
        const { emissions, cuts, oracle } = compare(epoch, stream)
        assert.ok(emissions.length > 0, `seed ${seed}`)
        met.cuts += cuts
        met.cycles += oracle.cycles.length
        met.void +=
          stream.steps.flatMap(({ blocks }) => blocks).filter(({ messageCount }) => messageCount > 0).length -
          emissions.length
      }
      // A clean run would show little: there were cuts, cycles and units that died.
      assert.ok(met.void > 0)
      if (n > 3) assert.ok(met.cuts > 0 && met.cycles > 0, JSON.stringify(met))
    })
  }

  it('puts nothing before what every correct node received earlier, but in a cycle (F1), and times decide there (F2)', () => {
    let pairs = 0
    for (const n of [4, 7]) {
      for (const seed of seeds.slice(0, n > 5 ? 4 : 20)) {
        const epoch = fairEpoch(n, { ...small, voidRounds: 200, reportAgeRounds: 150 })
        const stream = reportStream(epoch, { seed, rounds: 50, turbulent: false })
        const { oracle, emissions, cuts } = compare(epoch, stream)
        if (cuts === 0) pairs += checkFairness(stream, emissions, oracle.cycles)
      }
    }
    assert.ok(pairs > 5000, `${pairs} pairs that all correct nodes saw alike`)
  })

  it('gives every unit a time between two that correct nodes have', () => {
    for (const seed of seeds.slice(0, 20)) {
      const epoch = fairEpoch(4, { ...small, voidRounds: 200, reportAgeRounds: 150 })
      const stream = reportStream(epoch, { seed, rounds: 50, turbulent: false })
      const correct = stream.received.filter((_, node) => !stream.liars.includes(node))
      const timesOf = new Map<string, number[]>()
      for (const { unit, timeUs } of correct.flat()) {
        timesOf.set(nameOf(unit), [...(timesOf.get(nameOf(unit)) ?? []), timeUs])
      }
      let last = 0
      for (const emission of feed(new FairOrder(epoch, 0), stream).flat()) {
        const times = timesOf.get(nameOf(emission)) ?? []
        const least = Math.min(...times)
        const most = Math.max(...times)
        assert.ok(emission.consensusUs >= least && emission.consensusUs >= last, `seed ${seed}`)
        if (emission.consensusUs > last) assert.ok(emission.consensusUs <= most, `seed ${seed}`)
        last = emission.consensusUs
      }
    }
  })

  it('goes on from its snapshot exactly as without it, and equal states write equal bytes', () => {
    for (const n of [1, 4, 7]) {
      for (const seed of seeds) {
        const epoch = fairEpoch(n, small)
        const stream = reportStream(epoch, { seed, rounds: 60, turbulent: true })
        const whole = feed(new FairOrder(epoch, 0), stream)
        const cut = 1 + (seed % 60)
        const first = new FairOrder(epoch, 0)
        feed(first, stream, 0, cut)
        const bytes = written(first)
        const second = new FairOrder(epoch, 0)
        const reader = new Reader(bytes)
        second.read(reader)
        assert.ok(reader.end(), reader.problem)
        assert.deepEqual(written(second), bytes)
        assert.deepEqual(feed(second, stream, cut), whole.slice(cut), `n ${n} seed ${seed}`)
        feed(first, stream, cut)
        assert.deepEqual(written(second), written(first))
      }
    }
  })

  it('refuses a snapshot that is cut or damaged, without throwing', () => {
    const epoch = fairEpoch(4, small)
    const stream = reportStream(epoch, { seed: 3, rounds: 30, turbulent: true })
    const order = new FairOrder(epoch, 0)
    feed(order, stream, 0, 20)
    const bytes = written(order)
    for (let at = 0; at < bytes.length; at += 7) {
      const reader = new Reader(bytes.subarray(0, at))
      new FairOrder(epoch, 0).read(reader)
      assert.equal(reader.end(), false)
      const damaged = bytes.slice()
      damaged[at] = (damaged[at] as number) ^ 0xff
      new FairOrder(epoch, 0).read(new Reader(damaged))
    }
  })
})

function written(order: FairOrder): Uint8Array {
  const writer = new Writer()
  order.write(writer)
  return writer.take()
}

/** Judges the order by what really arrived. Returns how many pairs all correct nodes received in one order. */
function checkFairness(stream: ReportStream, emissions: readonly Emission[], cycles: readonly BlockName[][]): number {
  const correct = stream.received.filter((_, node) => !stream.liars.includes(node))
  const places = correct.map(
    (arrivals) => new Map(arrivals.map(({ unit, timeUs }, place) => [nameOf(unit), { place, timeUs }])),
  )
  const cycleOf = new Map(cycles.flatMap((members, cycle) => members.map((unit) => [nameOf(unit), cycle])))
  const names = emissions.map(nameOf).filter((name) => places.every((known) => known.has(name)))
  let pairs = 0
  for (const [at, later] of names.entries()) {
    // Whether any unit behind this one, within a window, should have come first.
    for (const earlier of names.slice(at + 1, at + 60)) {
      const seen = places.map((known) => [known.get(earlier), known.get(later)] as const)
      const first = seen.every(([a, b]) => (a?.place as number) < (b?.place as number))
      if (seen.every(([a, b]) => (a?.place as number) > (b?.place as number))) pairs++
      const sameCycle = cycleOf.has(later) && cycleOf.get(later) === cycleOf.get(earlier)
      assert.ok(!first || sameCycle, `F1: ${earlier} stands behind ${later}`)
      const lastEarlier = Math.max(...seen.map(([a]) => a?.timeUs as number))
      const firstLater = Math.min(...seen.map(([, b]) => b?.timeUs as number))
      assert.ok(lastEarlier >= firstLater, `F2: ${earlier} stands behind ${later}`)
    }
  }
  return pairs
}
