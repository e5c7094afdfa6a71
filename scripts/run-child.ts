/** Runs a program to its end and gives its exit code with all it printed, both streams in the order in which they came. */
import { type SpawnOptionsWithoutStdio, spawn } from 'node:child_process'

export interface ChildEnd {
  /** Null if a signal ended it. */
  readonly code: number | null
  readonly output: string
}

/** Rejects if the program cannot be started. Its standard input is empty. */
export async function runChild(
  program: string,
  args: readonly string[],
  options: Omit<SpawnOptionsWithoutStdio, 'stdio'> = {},
): Promise<ChildEnd> {
  const child = spawn(program, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
  const chunks: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => chunks.push(chunk))
  const { promise, resolve, reject } = Promise.withResolvers<number | null>()
  child.on('error', reject)
  child.on('close', resolve)
  return { code: await promise, output: Buffer.concat(chunks).toString() }
}
