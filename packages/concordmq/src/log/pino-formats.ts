/**
 * `json` through pino with FoxMQ's keys, one object per line:
 *
 *     {"level":"INFO","timestamp":"…","target":"concordmq::broker","fields":{"message":"listening …","listen_addr":"…"}}
 *
 * and `pretty`, several lines per entry, through pino-pretty.
 */
import { pino } from 'pino'
import type { Entry, Format, Sink } from './entry.ts'

export function jsonFormat(sink: Sink): Format {
  const log = pino(
    {
      base: null,
      level: 'trace',
      // The entry brings its own time, so that all formats agree on it.
      timestamp: false,
      formatters: { level: (label) => ({ level: label.toUpperCase() }) },
    },
    { write: (line: string) => void sink.write(line) },
  )
  return (entry: Entry) => {
    log[entry.level]({
      timestamp: entry.time.toISOString(),
      target: entry.target,
      fields: { message: entry.message, ...entry.fields },
    })
  }
}

export async function prettyFormat(sink: Sink, colour: boolean): Promise<Format> {
  const { prettyFactory } = await import('pino-pretty')
  const pretty = prettyFactory({
    colorize: colour,
    translateTime: 'UTC:yyyy-mm-dd HH:MM:ss.l',
    customLevels: '',
    ignore: 'target',
  })
  const numbers = { trace: 10, debug: 20, info: 30, warn: 40, error: 50 } as const
  return ({ time, level, target, message, fields }) => {
    const line = JSON.stringify({ level: numbers[level], time: time.getTime(), name: target, msg: message, ...fields })
    sink.write(pretty(line) ?? `${line}\n`)
  }
}
