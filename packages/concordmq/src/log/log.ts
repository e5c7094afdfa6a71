/**
 * The program's log in four formats (row F26). One front turns a logger call into an `Entry`; a format turns the entry into
 * a line. `json` goes through pino and `pretty` through pino-pretty; `full` and `compact` are lines of our own, in the
 * manner of FoxMQ, because a pino transport would cost ten times as much per line.
 *
 * Values come from remote parties too (client identifiers, topics): every string is quoted where it could break a line.
 */
import type { LogFields, Logger } from '@concordmq/broker'
import { type Format, type LogFormat, type LogLevel, logLevels, type Sink } from './entry.ts'
import { formatCompact, formatFull } from './text-formats.ts'

export interface Log {
  /** A logger whose lines carry this target. */
  logger(target: string): Logger
  /** Changes the level of all loggers at once. */
  setLevel(level: LogLevel): void
  /** Changes the format of all loggers, once what it needs is loaded. */
  setFormat(format: LogFormat): Promise<void>
}

export interface LogOptions {
  readonly format: LogFormat
  readonly level: LogLevel
  readonly sink: Sink
  /** Whether levels are coloured. */
  readonly colour: boolean
}

/** Opens the log; loads only what the chosen format needs. */
export async function openLog({ format, level, sink, colour }: LogOptions): Promise<Log> {
  let inForce = format
  let write = await openFormat(format, sink, colour)
  let threshold = logLevels.indexOf(level)
  const logger = (target: string): Logger => {
    const log = (at: LogLevel, fields: LogFields, message: string) => {
      if (logLevels.indexOf(at) <= threshold)
        write({ time: new Date(), level: at, target, message, fields: plain(fields) })
    }
    return {
      error: (fields, message) => log('error', fields, message),
      warn: (fields, message) => log('warn', fields, message),
      info: (fields, message) => log('info', fields, message),
      debug: (fields, message) => log('debug', fields, message),
      get debugEnabled() {
        return threshold >= logLevels.indexOf('debug')
      },
    }
  }
  return {
    logger,
    setLevel: (next) => {
      threshold = logLevels.indexOf(next)
    },
    setFormat: async (next) => {
      if (next === inForce) return
      const opened = await openFormat(next, sink, colour)
      inForce = next
      write = opened
    },
  }
}

async function openFormat(format: LogFormat, sink: Sink, colour: boolean): Promise<Format> {
  switch (format) {
    case 'full':
      return (entry) => sink.write(formatFull(entry, colour))
    case 'compact':
      return (entry) => sink.write(formatCompact(entry, colour))
    case 'json':
      return (await import('./pino-formats.ts')).jsonFormat(sink)
    case 'pretty':
      return (await import('./pino-formats.ts')).prettyFormat(sink, colour)
  }
}

/** Errors as their messages and bytes as their number, so that no format prints a stack trace or a payload. */
function plain(fields: LogFields): Record<string, unknown> {
  const result: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined) continue
    if (value instanceof Error) result[name] = value.message
    else if (value instanceof Uint8Array) result[name] = `(${value.length} bytes)`
    else if (typeof value === 'bigint') result[name] = String(value)
    else result[name] = value
  }
  return result
}
