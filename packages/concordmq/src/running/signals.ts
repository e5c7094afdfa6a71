/**
 * SIGTERM and SIGINT: the first asks for a graceful stop, the second ends the process at once. A stop that does not end by
 * itself within its grace and a little more is ended too, so that "bounded" does not depend on the code being stopped.
 *
 * The handlers of SIGTERM and SIGINT stay when all has stopped: a signal that comes while the process clears up must not end
 * it before what it does at its exit.
 *
 * SIGHUP is what a daemon reads its files again on; for a node that belongs to a terminal it is the end of that terminal.
 */
import type { Logger } from '@concordmq/broker'
import { ExitCode, exitCodeOfSignal } from '../exit-codes.ts'

export interface Stopped {
  /** Resolves with the first signal. */
  readonly signal: Promise<'SIGINT' | 'SIGTERM'>
  /** Asks for the graceful stop, as the first SIGTERM does. */
  request(): void
  /** The graceful stop has ended, or there was nothing to stop. */
  done(): void
}

/** Beyond the grace the broker itself keeps. */
const marginMs = 2_000

export interface StopOptions {
  readonly logger: Logger
  readonly graceMs: () => number
  /** Whether SIGHUP stops, too. */
  readonly hangupStops: boolean
}

export function whenStopped({ logger, graceMs, hangupStops }: StopOptions): Stopped {
  let stopping = false
  let backstop: NodeJS.Timeout | undefined
  let resolve: (signal: 'SIGINT' | 'SIGTERM') => void = () => {}
  const signal = new Promise<'SIGINT' | 'SIGTERM'>((settle) => {
    resolve = settle
  })
  const onSignal = (name: 'SIGINT' | 'SIGTERM') => {
    if (stopping) process.exit(exitCodeOfSignal(name))
    stopping = true
    backstop = setTimeout(() => {
      logger.error({ event: 'node.stop_overdue' }, 'the graceful stop did not end in time; ending now')
      process.exit(ExitCode.internal)
    }, graceMs() + marginMs)
    backstop.unref()
    resolve(name)
  }
  // Terminal and shell may both send it, so a second one means nothing.
  const onHangup = () => {
    if (!stopping) onSignal('SIGTERM')
  }
  const onDefect = (error: unknown) => {
    const message = error instanceof Error ? error.message : String(error)
    const place = error instanceof Error ? error.stack?.split('\n')[1]?.trim() : undefined
    logger.error({ event: 'node.defect', place }, `Internal error, ending: ${message}`)
    process.exit(ExitCode.internal)
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  if (hangupStops) process.on('SIGHUP', onHangup)
  process.on('uncaughtException', onDefect)
  return {
    signal,
    request: () => {
      if (!stopping) onSignal('SIGTERM')
    },
    done: () => {
      stopping = true
      clearTimeout(backstop)
      process.off('uncaughtException', onDefect)
    },
  }
}
