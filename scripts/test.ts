/**
 * `npm test`: runs every test of the workspace and ends with one line, `N passed, N failed`.
 *
 *   npm test                        everything
 *   npm test -- codec retained      files whose path contains one of the words
 *   npm test -- --name 'QoS 2'      tests whose name matches, in all files
 *   npm test -- --quick             without the files named *.slow.test.ts
 *
 * One process per file, two at a time, slow files first so that they do not trail behind. The processes are started here
 * and not by `run()` of `node:test`, which ends a file that takes too long with SIGTERM: a test in an endless loop never
 * hears it, and the run would never end. A run in which no test ran is a failure, and so is a file without a test: a typing
 * error must not look like success.
 *
 * Files named *.last.test.ts come when all others are done, one at a time: they look at what those left in the folder
 * `CONCORDMQ_TEST_RECORD_DIR`. `CONCORDMQ_TEST_REQUIRE_INTEROP=1` makes a skipped test of `testing/interop` a failure, for a
 * machine that is meant to have every program.
 */
import { spawn } from 'node:child_process'
import { existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { Report, type TestEvent } from './test-report.ts'

/** A hanging file must end the run with a name, not the machine's patience. */
const fileSecondsMax = 120
const slowFileSecondsMax = 240
const lanes = 2
/** Output of one file shown with its failures: the end of it, where the trouble usually is. */
const outputCharactersMax = 20_000

const { values: options, positionals: words } = parseArgs({
  allowPositionals: true,
  options: { name: { type: 'string', multiple: true, default: [] }, quick: { type: 'boolean', default: false } },
})

const root = fileURLToPath(new URL('..', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'concordmq-test-'))
const recordFolder = join(folder, 'recorded')
mkdirSync(recordFolder)
const interopRequired = process.env['CONCORDMQ_TEST_REQUIRE_INTEROP'] === '1'
const started = performance.now()
const report = new Report({
  write: (text) => process.stdout.write(text),
  skipIsFailure: (file) => interopRequired && file.startsWith('testing/interop/'),
  byName: options.name.length > 0,
})

const selected = testFiles().filter((file) => words.length === 0 || words.some((word) => file.includes(word)))
const slow = selected.filter(isSlow)
const last = selected.filter(isLast)
const quick = selected.filter((file) => !isSlow(file) && !isLast(file))
if (options.quick && slow.length > 0) process.stdout.write(`Left out by --quick: ${slow.join(', ')}\n`)
const waiting = options.quick ? quick : [...slow, ...quick]
await Promise.all(Array.from({ length: lanes }, lane))
waiting.push(...last)
await lane()
rmSync(folder, { recursive: true })
process.exitCode = report.end((performance.now() - started) / 1000) ? 0 : 1

/** Paths relative to the root, sorted. */
function testFiles(): string[] {
  const patterns = [
    'packages/*/{src,bin}/**/*.test.ts',
    'plugins/*/src/**/*.test.ts',
    '{testing,scripts,bench,examples}/**/*.test.ts',
  ]
  return globSync(patterns, { cwd: root, exclude: (path) => path.includes('node_modules') }).sort()
}

function isSlow(file: string): boolean {
  return file.endsWith('.slow.test.ts')
}

function isLast(file: string): boolean {
  return file.endsWith('.last.test.ts')
}

/** What test files are told: where they may record, and whether every test of the workspace runs. */
function testEnvironment(): NodeJS.ProcessEnv {
  const whole = words.length === 0 && options.name.length === 0 && !options.quick
  return {
    ...process.env,
    CONCORDMQ_TEST_RECORD_DIR: recordFolder,
    CONCORDMQ_TEST_WHOLE_RUN: whole ? '1' : '0',
    // Hundreds of processes load the same sources, and stripping their types is half of what that takes.
    NODE_COMPILE_CACHE: join(folder, 'compiled'),
  }
}

async function lane(): Promise<void> {
  for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) await runFile(file)
}

async function runFile(file: string): Promise<void> {
  const begun = performance.now()
  const eventFile = join(folder, file.replaceAll('/', '_'))
  const reporter = new URL('test-events.ts', import.meta.url).href
  const names = options.name.map((name) => `--test-name-pattern=${name}`)
  const child = spawn(
    process.execPath,
    [
      '--test',
      '--test-isolation=none',
      `--test-reporter=${reporter}`,
      `--test-reporter-destination=${eventFile}`,
      ...names,
      file,
    ],
    // A process group of its own, so that what a hanging test has started goes with it.
    { cwd: root, env: testEnvironment(), stdio: ['ignore', 'pipe', 'pipe'], detached: true },
  )
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-outputCharactersMax)
    })
  }
  const secondsMax = isSlow(file) ? slowFileSecondsMax : fileSecondsMax
  let killedAfter: number | undefined
  const timer = setTimeout(() => {
    killedAfter = secondsMax
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
  }, secondsMax * 1000)
  const { promise, resolve, reject } = Promise.withResolvers<number | null>()
  child.on('error', reject)
  child.on('exit', resolve)
  const code = await promise
  clearTimeout(timer)
  const seconds = (performance.now() - begun) / 1000
  report.file(file, readEvents(eventFile), {
    code,
    seconds,
    output,
    ...(killedAfter === undefined ? {} : { killedAfter }),
  })
}

/** A killed process may leave its last line unfinished. */
function readEvents(path: string): TestEvent[] {
  if (!existsSync(path)) return []
  const lines = readFileSync(path, 'utf8').split('\n').slice(0, -1)
  return lines.map((line) => JSON.parse(line) as TestEvent)
}
