/**
 * Turns the events of `node:test` into compact progress, full failures and the closing count.
 *
 * Node's own reporters either print every test (thousands of lines) or none, and close with a block; what runs this project
 * reads one last line. A test is counted once: suites are not counted, unless a hook of theirs failed, and a file counts
 * only if it failed as a file (it crashed, hung, or held no test).
 */
import { relative } from 'node:path'
import { inspect } from 'node:util'

/** The part of a `node:test` event this report reads. */
export interface TestEvent {
  readonly type: string
  readonly data: object
}

interface Outcome {
  readonly name: string
  readonly nesting: number
  readonly file?: string | undefined
  readonly skip?: string | boolean | undefined
  readonly todo?: string | boolean | undefined
  readonly line?: number | undefined
  readonly details: { readonly type?: string | undefined; readonly duration_ms: number; readonly error?: unknown }
}

interface FileCount {
  passed: number
  failed: number
  skipped: number
  durationMs: number
  /** What the file wrote; shown only with a failure. */
  output: string
  readonly failures: string[]
}

export interface ReportOptions {
  /** Folder that paths are shown relative to. */
  readonly root: string
  write(text: string): void
  /** Whether a skip in this file counts as a failure. */
  skipIsFailure(file: string): boolean
}

/** Longest output of one file shown with its failures; the end of it, where the trouble usually is. */
const outputCharactersMax = 20_000

export class Report {
  readonly #options: ReportOptions
  readonly #files = new Map<string, FileCount>()
  readonly #skips = new Map<string, number>()
  readonly #failures: string[] = []
  readonly #shown = new Set<string>()

  constructor(options: ReportOptions) {
    this.#options = options
  }

  take(event: TestEvent): void {
    if (event.type === 'test:pass' || event.type === 'test:fail') this.#outcome(event.data as Outcome, event.type)
    else if (event.type === 'test:stdout' || event.type === 'test:stderr') {
      const { file, message } = event.data as { file?: string; message: string }
      const count = this.#file(file)
      count.output = (count.output + message).slice(-outputCharactersMax)
    } else if (event.type === 'test:diagnostic') {
      const { file, message } = event.data as { file?: string; message: string }
      if (!/asynchronous activity after the test ended/u.test(message)) return
      // node:test lets the file pass then; but what failed after its test failed all the same.
      const count = this.#file(file)
      count.failed++
      count.failures.push(`✗ after a test had ended\n  ${message}`)
    } else if (event.type === 'test:summary') {
      const { file, duration_ms } = event.data as { file?: string; duration_ms: number }
      if (file !== undefined) this.#endOfFile(file, duration_ms)
    }
  }

  /** Prints failures in full and, as its last line, the count. True if something ran and nothing failed. */
  end(seconds: number): boolean {
    for (const file of this.#files.keys()) this.#endOfFile(file, undefined)
    const total = { passed: 0, failed: 0, skipped: 0 }
    for (const count of this.#files.values()) {
      total.passed += count.passed
      total.failed += count.failed
      total.skipped += count.skipped
    }
    for (const failure of this.#failures) this.#options.write(`\n${failure}\n`)
    for (const [reason, count] of this.#skips) this.#options.write(`\nSkipped ${count}: ${reason}`)
    if (this.#skips.size > 0) this.#options.write('\n')
    if (total.passed + total.failed + total.skipped === 0)
      this.#options.write('\nNo test ran: no file or name matches.\n')
    const skipped = total.skipped === 0 ? '' : `, ${total.skipped} skipped`
    this.#options.write(`\n${this.#files.size} files in ${seconds.toFixed(1)} s\n`)
    this.#options.write(`${total.passed} passed, ${total.failed} failed${skipped}\n`)
    return total.failed === 0 && total.passed > 0
  }

  #outcome(test: Outcome, type: 'test:pass' | 'test:fail'): void {
    const count = this.#file(test.file)
    if (type === 'test:fail') {
      const kind = failureType(test.details.error)
      if (kind === 'subtestsFailed') return
      count.failed++
      if (kind === 'cancelledByParent') {
        count.failures.push(`✗ ${test.name}: not run, because what is around it failed`)
        return
      }
      count.failures.push(
        describe(
          this.#isWholeFile(test) ? this.#relative(test.name) : test.name,
          this.#place(test),
          test.details.error,
        ),
      )
    } else if (this.#isWholeFile(test)) {
      // node:test reports a file by its own name only when it held no test.
      if (test.skip === undefined) {
        count.failed++
        count.failures.push(`✗ ${this.#relative(test.name)}\n  The file holds no test.`)
      }
    } else if (test.details.type === 'suite') {
      return
    } else if (test.skip !== undefined || test.todo !== undefined) {
      this.#skipped(test, count)
    } else {
      count.passed++
    }
  }

  #skipped(test: Outcome, count: FileCount): void {
    const given = test.skip ?? test.todo
    const reason = typeof given === 'string' && given !== '' ? given : `without a reason, ${test.name}`
    if (this.#options.skipIsFailure(this.#relative(test.file ?? ''))) {
      count.failed++
      count.failures.push(`✗ ${test.name}\n  Skipped where everything must run: ${reason}`)
    } else {
      count.skipped++
      this.#skips.set(reason, (this.#skips.get(reason) ?? 0) + 1)
    }
  }

  #endOfFile(file: string, durationMs: number | undefined): void {
    if (this.#shown.has(file)) return
    this.#shown.add(file)
    const count = this.#file(file)
    const name = this.#relative(file)
    const parts = [`${count.passed} passed`]
    if (count.failed > 0) parts.push(`${count.failed} failed`)
    if (count.skipped > 0) parts.push(`${count.skipped} skipped`)
    if (durationMs !== undefined) parts.push(`${(durationMs / 1000).toFixed(1)} s`)
    this.#options.write(`${count.failed > 0 ? '✗' : '✓'} ${name}  ${parts.join(', ')}\n`)
    if (count.failures.length === 0) return
    this.#failures.push(`── ${name}\n${count.failures.join('\n')}`)
    if (count.output.trim() !== '') this.#failures.push(`── output of ${name}\n${count.output.trimEnd()}`)
  }

  #file(file: string | undefined): FileCount {
    const key = file ?? this.#options.root
    let count = this.#files.get(key)
    if (count === undefined) {
      count = { passed: 0, failed: 0, skipped: 0, durationMs: 0, output: '', failures: [] }
      this.#files.set(key, count)
    }
    return count
  }

  #isWholeFile(test: Outcome): boolean {
    return (
      test.nesting === 0 && test.file !== undefined && (test.name === test.file || test.file.endsWith(`/${test.name}`))
    )
  }

  #place(test: Outcome): string {
    if (test.file === undefined || this.#isWholeFile(test)) return ''
    return `${this.#relative(test.file)}${test.line === undefined ? '' : `:${test.line}`}`
  }

  #relative(file: string): string {
    return relative(this.#options.root, file) || file
  }
}

/** node:test wraps what a test threw; the cause is what its author wants to see, without the runner's own frames. */
function describe(name: string, place: string, error: unknown): string {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error
  const text = typeof cause === 'string' ? cause : inspect(cause, { colors: false, depth: 6 })
  const lines = text.split('\n').filter((line) => !/^\s+at .*node:internal\//u.test(line))
  return `✗ ${name}${place === '' ? '' : `  (${place})`}\n${lines.map((line) => `  ${line}`).join('\n')}`
}

function failureType(error: unknown): unknown {
  return error instanceof Error && 'failureType' in error ? error.failureType : undefined
}
