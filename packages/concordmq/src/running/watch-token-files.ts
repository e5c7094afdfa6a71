/**
 * Reads the keys of tokens again when one of their files changes: whoever issues tokens replaces keys on his own clock, and a
 * node that is not told would refuse everybody. Looked at at intervals, since what the system says of changed files differs with
 * the file system, and a file that is replaced through a link (as Kubernetes mounts secrets) is said nothing of at all.
 */
import { statSync } from 'node:fs'
import type { Logger } from '@concordmq/broker'
import type { Reload } from './reload.ts'
import { tokenFiles } from './token-files.ts'

const intervalMs = 1_000

/** Ends with the returned function. */
export function watchTokenFiles(reload: Reload, logger: Logger): () => void {
  let before = stateOf(reload)
  const look = () => {
    const now = stateOf(reload)
    if (now === before) return
    before = now
    logger.info({ event: 'tokens.changed' }, 'a file with keys of tokens has changed')
    // A file that is half written is refused, and read again when the rest is there.
    reload.requestAccess('tokens').catch(() => {})
  }
  const timer = setInterval(look, intervalMs)
  timer.unref()
  return () => clearInterval(timer)
}

/** Which files there are and what the system says of each. */
function stateOf({ current }: Reload): string {
  const files = tokenFiles(current.settings)
  if (files.length === 0) return ''
  return JSON.stringify(
    files.map((path) => {
      const stat = statSync(path, { throwIfNoEntry: false })
      return [path, stat?.ino, stat?.size, stat?.mtimeMs]
    }),
  )
}
