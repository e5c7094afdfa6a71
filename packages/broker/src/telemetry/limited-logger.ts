/**
 * A log that a remote party cannot fill. Lines of one event may come in a burst and then at a slow pace; what is left out is
 * counted, and the count is written as a line of its own once the pace allows it, or at the latest ten seconds after. Debug
 * lines pass: whoever turned them on wants them all.
 *
 * Absent: a limit per client. Names of events are the code's own and few; names of clients are the attacker's.
 */
import type { LimitCounters } from './limit-counters.ts'
import type { LogFields, Logger } from './logger.ts'

/** Lines of one event at once, and a second after that. */
export const LINES_BURST = 100
export const LINES_PER_SECOND = 10
const SUMMARY_MS = 10_000

type Level = 'error' | 'warn' | 'info'

class Pace {
  tokens = LINES_BURST
  atMs: number
  /** Lines left out since the last summary. */
  suppressed = 0

  constructor(nowMs: number) {
    this.atMs = nowMs
  }
}

export class LimitedLogger implements Logger {
  readonly #logger: Logger
  readonly #counters: LimitCounters
  readonly #nowMs: () => number
  readonly #paces = new Map<string, Pace>()
  #timer: NodeJS.Timeout | undefined

  constructor(logger: Logger, counters: LimitCounters, nowMs: () => number) {
    this.#logger = logger
    this.#counters = counters
    this.#nowMs = nowMs
  }

  get debugEnabled(): boolean {
    return this.#logger.debugEnabled
  }

  error(fields: LogFields, message: string): void {
    this.#log('error', fields, message)
  }

  warn(fields: LogFields, message: string): void {
    this.#log('warn', fields, message)
  }

  info(fields: LogFields, message: string): void {
    this.#log('info', fields, message)
  }

  debug(fields: LogFields, message: string): void {
    this.#logger.debug(fields, message)
  }

  /** Says what was left out until now, and stops the timer. */
  close(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    for (const [event, pace] of this.#paces) this.#summarise(event, pace)
  }

  #log(level: Level, fields: LogFields, message: string): void {
    const now = this.#nowMs()
    let pace = this.#paces.get(fields.event)
    if (pace === undefined) {
      pace = new Pace(now)
      this.#paces.set(fields.event, pace)
    }
    pace.tokens = Math.min(LINES_BURST, pace.tokens + ((now - pace.atMs) * LINES_PER_SECOND) / 1_000)
    pace.atMs = now
    if (pace.tokens < 1) {
      pace.suppressed++
      this.#counters.logLines++
      this.#timer ??= setTimeout(() => this.close(), SUMMARY_MS).unref()
      return
    }
    pace.tokens--
    this.#summarise(fields.event, pace)
    this.#logger[level](fields, message)
  }

  #summarise(event: string, pace: Pace): void {
    if (pace.suppressed === 0) return
    const { suppressed } = pace
    pace.suppressed = 0
    this.#logger.warn(
      { event: 'log.suppressed', of: event, lines: suppressed },
      `Left out ${suppressed} lines of ${event}`,
    )
  }
}
