/** What the process uses, read when somebody shows it. */
import { readdirSync } from 'node:fs'
import type { ProcessGauges } from './sys-topics.ts'

export function processGauges(): ProcessGauges {
  const { heapUsed, rss } = process.memoryUsage()
  return { heapBytes: heapUsed, residentBytes: rss, threads: threads() }
}

/** Linux lists them; elsewhere the one that runs JavaScript is all that is known. */
function threads(): number {
  try {
    return readdirSync('/proc/self/task').length
  } catch {
    return 1
  }
}
