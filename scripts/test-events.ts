/**
 * A reporter for `node --test-reporter`: writes what the report needs as one line of JSON per event. It runs inside the process
 * of the test file, where errors are still errors; what leaves is text.
 */
import { inspect } from 'node:util'
import type { TestEvent } from './test-report.ts'

interface NodeEvent {
  readonly type: string
  readonly data: {
    readonly name?: string
    readonly line?: number
    readonly message?: string
    readonly skip?: string | boolean
    readonly todo?: string | boolean
    readonly details?: { readonly type?: string; readonly error?: unknown }
  }
}

// Node takes a reporter by its default export.
// biome-ignore lint/style/noDefaultExport: see above
export default async function* events(source: AsyncIterable<NodeEvent>): AsyncGenerator<string> {
  for await (const { type, data } of source) {
    if (type === 'test:pass' || type === 'test:fail') {
      const error = data.details?.error
      yield line({
        type: type === 'test:pass' ? 'pass' : 'fail',
        name: data.name ?? '',
        suite: data.details?.type === 'suite',
        ...(data.line === undefined ? {} : { line: data.line }),
        ...skipOf(data.skip ?? data.todo),
        ...(error === undefined ? {} : { failureType: failureType(error), text: textOf(error) }),
      })
    } else if (type === 'test:dequeue') yield line({ type: 'start', name: data.name ?? '' })
    else if (type === 'test:diagnostic' && /asynchronous activity after the test ended/u.test(data.message ?? '')) {
      yield line({ type: 'late', text: data.message ?? '' })
    }
  }
}

function line(event: TestEvent): string {
  return `${JSON.stringify(event)}\n`
}

function skipOf(given: string | boolean | undefined): { skip?: string } {
  if (given === undefined || given === false) return {}
  return { skip: typeof given === 'string' ? given : '' }
}

/** node:test wraps what a test threw; the cause is what its author wants to see, without the runner's own frames. */
function textOf(error: unknown): string {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error
  const text = typeof cause === 'string' ? cause : inspect(cause, { colors: false, depth: 6 })
  return text
    .split('\n')
    .filter((part) => !/^\s+at .*node:internal\//u.test(part))
    .join('\n')
}

function failureType(error: unknown): string {
  return error instanceof Error && 'failureType' in error ? String(error.failureType) : ''
}
