/**
 * `npm test`: runs every test of the workspace and ends with one line, `N passed, N failed`.
 *
 *   npm test                        everything
 *   npm test -- codec retained      files whose path contains one of the words
 *   npm test -- --name 'QoS 2'      tests whose name matches, in all files
 *   npm test -- --quick             without the files named *.slow.test.ts
 *
 * It drives `node:test` in one process per file, two at a time, slow files first so that they do not trail behind, and
 * files named *.last.test.ts at the end: they look at what the others recorded in `CONCORDMQ_TEST_RECORD_DIR`. A run
 * in which no test ran is a failure, and so is a file without a test: a typing error must not look like success. Coverage
 * is left to `node --test --experimental-test-coverage`.
 */
import { globSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { run } from 'node:test'
import { parseArgs } from 'node:util'
import { Report } from './test-report.ts'

/** A hanging file must end the run with a name, not the machine's patience. */
const fileTimeoutMs = 120_000
const slowFileTimeoutMs = 240_000
const concurrency = 2

const { values: options, positionals: words } = parseArgs({
  allowPositionals: true,
  options: { name: { type: 'string', multiple: true }, quick: { type: 'boolean', default: false } },
})

const root = new URL('..', import.meta.url).pathname
process.chdir(root)
const started = performance.now()
const report = new Report({
  root,
  write: (text) => process.stdout.write(text),
  skipIsFailure: (file) => process.env['CONCORDMQ_REQUIRE_INTEROP'] === '1' && file.startsWith('testing/interop/'),
})

const selected = testFiles().filter((file) => words.length === 0 || words.some((word) => file.includes(word)))
const last = selected.filter(isLast)
const slow = selected.filter(isSlow)
const quick = selected.filter((file) => !isSlow(file) && !isLast(file))
const recordings = mkdtempSync(join(tmpdir(), 'concordmq-recordings-'))
if (last.length > 0) process.env['CONCORDMQ_TEST_RECORD_DIR'] = recordings
if (words.length === 0 && options.name === undefined) process.env['CONCORDMQ_TEST_WHOLE_RUN'] = '1'
if (options.quick && slow.length > 0) process.stdout.write(`Left out by --quick: ${slow.join(', ')}\n`)

if (options.quick || slow.length === 0) await runFiles(quick, { lanes: concurrency, timeoutMs: fileTimeoutMs })
else {
  // A slow file holds one lane; half of the quick ones go beside it in the other, the rest in both.
  const half = Math.ceil(quick.length / 2)
  await Promise.all([
    runFiles(slow, { lanes: 1, timeoutMs: slowFileTimeoutMs }),
    runFiles(quick.slice(0, half), { lanes: 1, timeoutMs: fileTimeoutMs }),
  ])
  await runFiles(quick.slice(half), { lanes: concurrency, timeoutMs: fileTimeoutMs })
}
await runFiles(last, { lanes: 1, timeoutMs: fileTimeoutMs })
rmSync(recordings, { recursive: true })
process.exitCode = report.end((performance.now() - started) / 1000) ? 0 : 1

/** Paths relative to the root, sorted. */
function testFiles(): string[] {
  return globSync(
    ['packages/*/{src,bin}/**/*.test.ts', 'plugins/*/src/**/*.test.ts', '{testing,scripts,bench}/**/*.test.ts'],
    {
      exclude: (path) => path.includes('node_modules'),
    },
  ).sort()
}

function isSlow(file: string): boolean {
  return file.endsWith('.slow.test.ts')
}

function isLast(file: string): boolean {
  return file.endsWith('.last.test.ts')
}

async function runFiles(
  files: readonly string[],
  limits: { readonly lanes: number; readonly timeoutMs: number },
): Promise<void> {
  if (files.length === 0) return
  const stream = run({
    files: files.map((file) => root + file),
    concurrency: limits.lanes,
    timeout: limits.timeoutMs,
    ...(options.name === undefined ? {} : { testNamePatterns: options.name.map((name) => new RegExp(name, 'u')) }),
  })
  for await (const event of stream) report.take(event)
}
