/** What all proofs with real processes share: a folder, a deadline, a verdict. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface Verdict {
  /** In words; none: it is proven. */
  readonly violations: readonly string[]
  readonly figures: Readonly<Record<string, number>>
}

export interface Folder extends AsyncDisposable {
  readonly path: string
}

/** Removed at the end. */
export async function folder(): Promise<Folder> {
  const path = await mkdtemp(join(tmpdir(), 'concordmq-live-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true, maxRetries: 5 }) }
}

/** Waits for all; rejects with what `state` says when it takes too long. */
export async function finished(all: readonly Promise<unknown>[], withinMs: number, state: () => string): Promise<void> {
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error(`Not finished after ${withinMs} ms\n${state()}`)), withinMs)
  try {
    await Promise.race([Promise.all(all), promise])
  } finally {
    clearTimeout(timer)
  }
}
