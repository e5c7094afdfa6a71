/**
 * SIGTERM and SIGINT: the first asks for a graceful stop, the second ends the process at once. A stop that does not end by
 * itself within its grace and a little more is ended too, so that "bounded" does not depend on the code being stopped.
 */
import type { Logger } from '@concordmq/broker'
import { ExitCode, exitCodeOfSignal } from '../exit-codes.ts'

export interface Stopped {
  /** Resolves with the first signal. */
  readonly signal: Promise<'SIGINT' | 'SIGTERM'>
  dispose(): void
}

/** Beyond the grace the broker itself keeps. */
const marginMs = 2_000

export function whenStopped({ logger, graceMs }: { readonly logger: Logger; readonly graceMs: () => number }): Stopped {
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
  const onDefect = (error: unknown) => {
    const message = error instanceof Error ? error.message : String(error)
    const place = error instanceof Error ? error.stack?.split('\n')[1]?.trim() : undefined
    logger.error({ event: 'node.defect', place }, `Internal error, ending: ${message}`)
    process.exit(ExitCode.internal)
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  process.on('uncaughtException', onDefect)
  return {
    signal,
    dispose: () => {
      clearTimeout(backstop)
      process.off('SIGINT', onSignal)
      process.off('SIGTERM', onSignal)
      process.off('uncaughtException', onDefect)
    },
  }
}
