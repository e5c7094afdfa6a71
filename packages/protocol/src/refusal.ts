/**
 * What the protocol refuses, as a value: nothing a remote party sends makes this package throw.
 */

/** A refused input: the 5.0 reason code that fits, the statement of the standard it breaks, and what was seen. */
export interface Refusal {
  readonly refused: true
  /** A 5.0 reason code, 0x80 or above, in every version; the conversation maps it to what the version can say. */
  readonly reasonCode: number
  /** Number of the statement, as `MQTT-3.3.1-4` (5.0) or `MQTT3-3.3.1-4` (3.1.1); a section where no statement has a number. */
  readonly statement: string
  /** What was seen, for the log: value and rule, no payload and no credential. */
  readonly detail: string
  /** Protocol level of a CONNECT that was refused after its level had been read. */
  readonly level?: number
}

/** Makes a refusal. */
export function refuse(reasonCode: number, statement: string, detail: string): Refusal {
  return { refused: true, reasonCode, statement, detail }
}

/** Whether a result is a refusal. */
export function isRefusal(x: unknown): x is Refusal {
  return typeof x === 'object' && x !== null && 'refused' in x && x.refused === true
}
