/**
 * A reporter for `node --test` that writes one line of JSON for each test: what `coverage.ts --results` reads. Suites are
 * written too, since a title of a suite may cite a statement; a suite passes only if everything in it did.
 *
 * `node --test --test-reporter=./testing/conformance/src/results-reporter.ts --test-reporter-destination=.out/results.jsonl`
 */
import { relative } from 'node:path'
import type { TestEvent } from 'node:test/reporters'

// biome-ignore lint/style/noDefaultExport: the form that node --test asks of a reporter
export default async function* results(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  for await (const event of events) {
    if (event.type !== 'test:pass' && event.type !== 'test:fail') continue
    const { name, file, skip, todo } = event.data
    // `skip` and `todo` are true, a reason or an empty reason; absent they are undefined.
    const left = (skip !== undefined && skip !== false) || (todo !== undefined && todo !== false)
    const status = left ? 'skipped' : event.type === 'test:pass' ? 'passed' : 'failed'
    yield `${JSON.stringify({ file: relative(process.cwd(), file ?? ''), title: name, status })}\n`
  }
}
