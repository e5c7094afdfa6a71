/**
 * What a short command reports about its work: plain sentences on standard error, or log lines when `--log` asks for a
 * format, as FoxMQ takes the flag on every command. Results a script wants go to standard output by themselves.
 */
import type { LogFormat } from '../log/entry.ts'
import { openLog } from '../log/log.ts'

export type Say = (message: string, level?: 'info' | 'warn') => void

export async function openSay(format: LogFormat | undefined): Promise<Say> {
  if (format === undefined) {
    return (message, level = 'info') =>
      void process.stderr.write(level === 'warn' ? `Warning: ${message}\n` : `${message}\n`)
  }
  const log = await openLog({ format, level: 'info', sink: process.stderr, colour: process.stderr.isTTY === true })
  const logger = log.logger('concordmq::command')
  return (message, level = 'info') => logger[level]({ event: 'command.report' }, message)
}
