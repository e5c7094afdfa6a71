/**
 * Turns the events of test files into compact progress, full failures and the closing count.
 *
 * Node's own reporters either print every test (thousands of lines) or none, and close with a block; what runs this project
 * reads one last line. A test is counted once: suites are not counted, unless a hook of theirs failed, and a file counts
 * only if it failed as a file: it crashed, hung, or held no test.
 */

/** What happened in the process of a test file, as `test-events.ts` writes it. */
export type TestEvent =
  | { readonly type: 'start'; readonly name: string }
  | { readonly type: 'late'; readonly text: string }
  | {
      readonly type: 'pass' | 'fail'
      readonly name: string
      readonly suite: boolean
      readonly line?: number
      /** The reason, if the test was skipped or is still to be written. */
      readonly skip?: string
      readonly failureType?: string
      readonly text?: string
    }

/** How the process of a test file ended. */
export interface FileEnd {
  readonly code: number | null
  readonly seconds: number
  /** Seconds after which it was killed; undefined if it ended by itself. */
  readonly killedAfter?: number
  /** What it wrote; shown only with a failure. */
  readonly output: string
}

export interface ReportOptions {
  write(text: string): void
  /** Whether a skip in this file counts as a failure. */
  skipIsFailure(file: string): boolean
  /** Whether tests are chosen by name, so that a file may come to none. */
  readonly byName: boolean
}

interface Count {
  passed: number
  failed: number
  skipped: number
}

export class Report {
  readonly #options: ReportOptions
  readonly #total: Count = { passed: 0, failed: 0, skipped: 0 }
  readonly #skips = new Map<string, number>()
  readonly #failures: string[] = []
  #files = 0

  constructor(options: ReportOptions) {
    this.#options = options
  }

  /** Takes one finished file and prints its line. */
  file(name: string, events: readonly TestEvent[], end: FileEnd): void {
    this.#files++
    const count: Count = { passed: 0, failed: 0, skipped: 0 }
    const failures: string[] = []
    for (const event of events) this.#take(name, event, count, failures)
    const problem = problemOf(end, count, this.#options.byName, unfinishedOf(events))
    if (problem !== undefined) {
      count.failed++
      failures.push(`✗ ${name}\n  ${problem}`)
    }
    this.#total.passed += count.passed
    this.#total.failed += count.failed
    this.#total.skipped += count.skipped
    const parts = [`${count.passed} passed`]
    if (count.failed > 0) parts.push(`${count.failed} failed`)
    if (count.skipped > 0) parts.push(`${count.skipped} skipped`)
    this.#options.write(`${count.failed > 0 ? '✗' : '✓'} ${name}  ${parts.join(', ')}, ${end.seconds.toFixed(1)} s\n`)
    if (failures.length === 0) return
    this.#failures.push(`── ${name}\n${failures.join('\n')}`)
    if (end.output.trim() !== '') this.#failures.push(`── output of ${name}\n${end.output.trimEnd()}`)
  }

  /** Prints failures in full and, as its last line, the count. True if something passed and nothing failed. */
  end(seconds: number): boolean {
    const { passed, failed, skipped } = this.#total
    for (const failure of this.#failures) this.#options.write(`\n${failure}\n`)
    for (const [reason, count] of this.#skips) this.#options.write(`\nSkipped ${count}: ${reason}`)
    if (this.#skips.size > 0) this.#options.write('\n')
    if (passed + failed + skipped === 0) this.#options.write('\nNo test ran: no file or name matches.\n')
    this.#options.write(
      `\n${this.#files} files in ${seconds.toFixed(1)} s${skipped === 0 ? '' : `, ${skipped} skipped`}\n`,
    )
    this.#options.write(`${passed} passed, ${failed} failed\n`)
    return failed === 0 && passed > 0
  }

  #take(file: string, event: TestEvent, count: Count, failures: string[]): void {
    if (event.type === 'start') return
    if (event.type === 'late') {
      // node:test lets the file pass then; but what failed after its test failed all the same.
      count.failed++
      failures.push(`✗ after a test had ended\n  ${event.text}`)
    } else if (event.type === 'fail') {
      if (event.failureType === 'subtestsFailed') return
      count.failed++
      const place = event.line === undefined ? '' : `  (${file}:${event.line})`
      const text = event.failureType === 'cancelledByParent' ? 'not run: what is around it failed' : (event.text ?? '')
      failures.push(`✗ ${event.name}${place}\n${text.replaceAll(/^/gmu, '  ')}`)
    } else if (event.skip !== undefined) this.#skipped(file, event.name, event.skip, count, failures)
    // node:test reports a file by its own name when it holds no test.
    else if (!event.suite && event.name !== file && !event.name.endsWith(`/${file}`)) count.passed++
  }

  #skipped(file: string, name: string, given: string, count: Count, failures: string[]): void {
    const reason = given === '' ? `without a reason, ${name}` : given
    if (this.#options.skipIsFailure(file)) {
      count.failed++
      failures.push(`✗ ${name}\n  Skipped where everything must run: ${reason}`)
    } else {
      count.skipped++
      this.#skips.set(reason, (this.#skips.get(reason) ?? 0) + 1)
    }
  }
}

/** Why a file failed as a file, over and above its tests. */
function problemOf(end: FileEnd, count: Count, byName: boolean, unfinished: readonly string[]): string | undefined {
  if (end.killedAfter !== undefined) {
    const where = unfinished.length === 0 ? '' : `; unfinished: ${unfinished.join(', ')}`
    return `Killed after ${end.killedAfter} s${where}`
  }
  if (count.failed > 0) return undefined
  if (end.code !== 0) return `The process ended with ${end.code}`
  if (count.passed + count.skipped === 0 && !byName) return 'The file holds no test.'
  return undefined
}

function unfinishedOf(events: readonly TestEvent[]): string[] {
  const open: string[] = []
  for (const event of events) {
    if (event.type === 'start') open.push(event.name)
    else if (event.type !== 'late' && open.includes(event.name)) open.splice(open.lastIndexOf(event.name), 1)
  }
  return open
}
