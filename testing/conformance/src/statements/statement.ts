/**
 * The form of the manifest. A statement is one numbered MUST of a standard; the gist is ours, the number is theirs. Which
 * tests hold it is not written here: tests name the statements they hold in their titles, and `coverage.ts` puts the two
 * together, so the manifest cannot claim a test that is gone.
 */

export interface Statement {
  /** `MQTT-3.1.0-2` for 5.0, `MQTT3-3.1.0-2` for 3.1.1, where the same number often means something else. */
  readonly id: string
  readonly gist: string
  /** Whom it binds. `both` counts for a server. */
  readonly binds: 'server' | 'client' | 'both'
  /** Why no test can hold it. Absent: tests hold it by their titles. */
  readonly reason?: string
}

/**
 * What the standard numbers in one section: 1 to `highest` without `gaps`. Written down apart from the statements, so that
 * a statement that was forgotten is noticed.
 */
export interface Section {
  readonly section: string
  readonly highest: number
  /** Numbers up to `highest` that the standard does not have. */
  readonly gaps?: readonly number[]
}

export interface Manifest {
  readonly version: '3.1.1' | '5.0'
  readonly prefix: 'MQTT3-' | 'MQTT-'
  readonly sections: readonly Section[]
  readonly statements: readonly Statement[]
}

/** Every id that the sections say the standard has, in their order. */
export function idsOf(manifest: Manifest): string[] {
  const ids: string[] = []
  for (const { section, highest, gaps = [] } of manifest.sections) {
    for (let number = 1; number <= highest; number++) {
      if (!gaps.includes(number)) ids.push(`${manifest.prefix}${section}-${number}`)
    }
  }
  return ids
}

/** `both('MQTT-1.5.4-1', 'gist')` and its like keep the tables to one line a statement. */
export function server(id: string, gist: string, reason?: string): Statement {
  return reason === undefined ? { id, gist, binds: 'server' } : { id, gist, binds: 'server', reason }
}

export function client(id: string, gist: string): Statement {
  return { id, gist, binds: 'client' }
}

export function both(id: string, gist: string, reason?: string): Statement {
  return reason === undefined ? { id, gist, binds: 'both' } : { id, gist, binds: 'both', reason }
}
