/**
 * Loaded into a broker's process before its program (`--import`), so that a test can ask the process what it holds while the
 * program runs exactly as its users run it. It speaks only when asked, over the channel to its parent, and keeps neither the
 * channel nor the process alive.
 */
import { readdirSync } from 'node:fs'
import process from 'node:process'

export interface Footprint {
  /** After a forced collection; equal to what is in use if the process was not started with `--expose-gc`. */
  readonly heapBytes: number
  readonly externalBytes: number
  readonly residentBytes: number
  /** Timers, sockets, servers and the like that the event loop knows; the least of some readings, for timers come and go. */
  readonly handles: number
  /** Open file descriptors; 0 where the system does not list them. */
  readonly files: number
  /** User and system time of all threads. */
  readonly cpuSeconds: number
}

export interface FootprintRequest {
  readonly footprint: 'collected' | 'asIs'
}

const readings = 5
const readingGapMs = 20

async function footprint(request: FootprintRequest): Promise<Footprint> {
  let handles = process.getActiveResourcesInfo().length
  if (request.footprint === 'collected') {
    // More than once: what a finalizer lets go is garbage only after it ran.
    for (let round = 0; round < readings; round++) {
      if (round < 2) globalThis.gc?.()
      await new Promise((resolve) => setTimeout(resolve, readingGapMs))
      // Without the timer that has just fired here.
      handles = Math.min(handles, process.getActiveResourcesInfo().length)
    }
  }
  const { heapUsed, external, rss } = process.memoryUsage()
  const { user, system } = process.cpuUsage()
  return {
    heapBytes: heapUsed,
    externalBytes: external,
    residentBytes: rss,
    handles,
    files: openFiles(),
    cpuSeconds: (user + system) / 1e6,
  }
}

function openFiles(): number {
  try {
    return readdirSync('/proc/self/fd').length
  } catch {
    return 0
  }
}

process.on('message', (request) => {
  if (typeof request !== 'object' || request === null || !('footprint' in request)) return
  void footprint(request as FootprintRequest).then((answer) => process.send?.(answer))
})
process.channel?.unref()
