/** Values of flags, checked. */
import { CommandError } from '../command-error.ts'
import { ExitCode } from '../exit-codes.ts'

export function usageError(message: string, remedy: string): CommandError {
  return new CommandError(ExitCode.usage, message, { remedy })
}

/** An integer in a range, or `fallback` if the flag is absent. */
export function integerFlag<T>(
  flag: string,
  text: string | undefined,
  range: readonly [number, number],
  fallback: T,
): number | T {
  if (text === undefined) return fallback
  const value = Number(text)
  if (/^\d+$/.test(text) && value >= range[0] && value <= range[1]) return value
  throw usageError(`Cannot use ${flag} "${text}"`, `Give an integer from ${range[0]} to ${range[1]}`)
}

/** Seconds with a fraction, as milliseconds. */
export function secondsFlag<T>(flag: string, text: string | undefined, fallback: T): number | T {
  if (text === undefined) return fallback
  const value = Number(text)
  if (/^\d*\.?\d+$/.test(text) && value <= 2_000_000) return Math.round(value * 1000)
  throw usageError(`Cannot use ${flag} "${text}"`, 'Give seconds, as 10 or 0.5')
}

export function qosFlag(flag: string, text: string | undefined): 0 | 1 | 2 {
  return integerFlag(flag, text, [0, 2], 0) as 0 | 1 | 2
}
