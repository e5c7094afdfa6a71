/** Lets an answer go that waited for the disk. A fault in one must not keep the others. */
import type { Outcome } from '@concordmq/state'
import type { Logger } from '../telemetry/logger.ts'

export function releaseAnswer(done: (outcome: Outcome) => void, outcome: Outcome, logger: Logger): void {
  try {
    done(outcome)
  } catch (error) {
    logger.error(
      { event: 'journal.fault', error: error instanceof Error ? (error.stack ?? error.message) : String(error) },
      'A fault in the broker while it answered',
    )
  }
}
