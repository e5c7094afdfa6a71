/** A log line before it is formatted, and the words for format and level. */

export const logFormats = ['full', 'compact', 'pretty', 'json'] as const
export type LogFormat = (typeof logFormats)[number]
export const logLevels = ['error', 'warn', 'info', 'debug', 'trace'] as const
export type LogLevel = (typeof logLevels)[number]

export interface Entry {
  readonly time: Date
  readonly level: LogLevel
  /** Which part speaks: `concordmq::broker`. */
  readonly target: string
  readonly message: string
  readonly fields: Readonly<Record<string, unknown>>
}

/** Takes finished entries; one per format. */
export type Format = (entry: Entry) => void

export interface Sink {
  write(text: string): unknown
}
