import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { ours, type Results, readResults, type Sample } from '../figures/samples.ts'
import { pageOf } from './page.ts'

const docs = fileURLToPath(new URL('../../docs/', import.meta.url))
const results = readResults(fileURLToPath(new URL('../results/figures.json', import.meta.url)))

test('docs/performance.md and its charts are what the samples give', () => {
  const page = pageOf(results)
  for (const [path, content] of page) {
    assert.ok(existsSync(join(docs, path)), `docs/${path} is missing: node bench/page.ts`)
    assert.equal(readFileSync(join(docs, path), 'utf8'), content, `docs/${path} differs: node bench/page.ts`)
  }
  const charts = readdirSync(join(docs, 'performance')).map((name) => `performance/${name}`)
  assert.deepEqual(
    charts.filter((path) => !page.has(path)),
    [],
  )
})

function one(broker: string, round: number, rate: number, cpu: number): Sample {
  return {
    scenario: '1:1, QoS 1',
    round,
    broker,
    commit: 'abc',
    report: { recv_per_s: rate, 'broker.cpu_s_per_mmsg': cpu, exit: 0 },
  }
}

function resultsOf(samples: readonly Sample[]): Results {
  return { date: '', commit: '', machine: '', versions: {}, settings: {}, notMeasured: ['surgemq'], rows: [], samples }
}

test('the page says MISSED where a ratio to the fastest peer is below its bar, and what was not measured', () => {
  const text = pageOf(
    resultsOf([
      ...[one(ours, 0, 1_200, 1), one('FlashMQ', 0, 1_000, 2), one('mosquitto', 0, 100, 9)],
      ...[one(ours, 1, 2_400, 1), one('FlashMQ', 1, 2_000, 2), one('mosquitto', 1, 100, 9)],
    ]),
  ).get('performance.md')
  assert.match(text ?? '', /msg\/s 1\.20 × FlashMQ, ≥ 1\.3 \*\*MISSED\*\*/u)
  assert.match(text ?? '', /CPU 0\.50 × FlashMQ, ≤ 0\.8(?! \*\*)/u)
  assert.match(text ?? '', /Not measured: surgemq/u)
})

test('the page counts a loss of ours as missed, however fast it was', () => {
  const lossy = { ...one(ours, 0, 9_000, 0.1), report: { recv_per_s: 9_000, lost: 3, exit: 2 } }
  assert.match(pageOf(resultsOf([lossy])).get('performance.md') ?? '', /3 lost, 0 out of order.*MISSED/u)
})
