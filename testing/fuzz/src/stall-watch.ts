/**
 * Ends the process when its event loop stands still: a broker that runs in circles would otherwise take the fuzz run with
 * it, and nobody would learn which cases did it. The watch is a thread of its own; main thread and watch share the first
 * and the last seed that are on their way, and a count of turns.
 */
import { writeSync } from 'node:fs'
import { isMainThread, Worker, workerData } from 'node:worker_threads'

/** Places in the shared array. */
const turns = 0
const firstSeed = 1
const lastSeed = 2
const stallMs = 3

export interface StallWatch {
  /** Says that the event loop still turns, and what is on its way. */
  turned(seeds: ReadonlySet<number>): void
  end(): Promise<void>
}

export function watchForStall(afterMs: number = 30_000): StallWatch {
  const shared = new Float64Array(new SharedArrayBuffer(4 * Float64Array.BYTES_PER_ELEMENT))
  shared[stallMs] = afterMs
  const worker = new Worker(new URL(import.meta.url), { workerData: shared, execArgv: [] })
  worker.unref()
  return {
    turned: (seeds) => {
      shared[turns] = (shared[turns] ?? 0) + 1
      shared[firstSeed] = Math.min(...seeds)
      shared[lastSeed] = Math.max(...seeds)
    },
    end: async () => {
      await worker.terminate()
    },
  }
}

export function repeatLine(first: number, last: number): string {
  return `Repeat: node testing/fuzz/src/sockets.ts --seed ${first} --cases ${last - first + 1}`
}

function watch(shared: Float64Array): void {
  const afterMs = shared[stallMs] ?? 0
  let seen = -1
  setInterval(() => {
    if (shared[turns] !== seen) {
      seen = shared[turns] ?? 0
      return
    }
    writeSync(
      2,
      `The event loop stood still for ${afterMs} ms\n${repeatLine(shared[firstSeed] ?? 0, shared[lastSeed] ?? 0)}\n`,
    )
    process.kill(process.pid, 'SIGKILL')
  }, afterMs)
}

if (!isMainThread && workerData instanceof Float64Array) watch(workerData)
