/**
 * Makes `docs/performance.md` and its charts from the raw samples in `bench/results/figures.json`.
 *
 *   node bench/page.ts
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { readResults } from './figures/samples.ts'
import { pageOf } from './page/page.ts'

const docs = fileURLToPath(new URL('../docs/', import.meta.url))
const results = readResults(fileURLToPath(new URL('results/figures.json', import.meta.url)))
// A chart that is no more must not stay behind.
rmSync(join(docs, 'performance'), { recursive: true, force: true })
for (const [path, content] of pageOf(results)) {
  mkdirSync(dirname(join(docs, path)), { recursive: true })
  writeFileSync(join(docs, path), content)
}
