/** The broker's log as an interface: the program puts pino behind it, an embedder whatever it likes. */

/** Structured fields of a line; `event` is a stable name such as `session.takeover`. Never payloads, never credentials. */
export interface LogFields {
  readonly event: string
  readonly [key: string]: unknown
}

export interface Logger {
  /** Someone must act. */
  error(fields: LogFields, message: string): void
  /** A peer misbehaves or a maximum was hit. */
  warn(fields: LogFields, message: string): void
  /** The node changed state. */
  info(fields: LogFields, message: string): void
  /** Life of a connection. */
  debug(fields: LogFields, message: string): void
  /** Whether `debug` lines go anywhere, so that nothing is put together in vain. */
  readonly debugEnabled: boolean
}

/** Says nothing. */
export const silentLogger: Logger = {
  error() {},
  warn() {},
  info() {},
  debug() {},
  debugEnabled: false,
}
