/** What an import reports: each line of the old configuration, and what became of it. */

/** Where something stands: `mosquitto.conf:12`. */
export type Place = string

export interface Finding {
  readonly place: Place
  /** What stands there, secrets left out. */
  readonly what: string
  /** What became of it, or why nothing did. */
  readonly outcome: string
}

/** Collected while a configuration is read, in the order of its lines. */
export interface Findings {
  /** Carried over, with what it is called now. */
  readonly carried: Finding[]
  /** Not carried over, with the reason. */
  readonly left: Finding[]
}

export function noFindings(): Findings {
  return { carried: [], left: [] }
}
