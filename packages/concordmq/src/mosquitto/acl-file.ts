/**
 * Mosquitto's ACL file, line by line as Mosquitto reads it:
 *
 *   topic [read|write|readwrite|deny] FILTER      before any `user`: for anonymous clients
 *   user NAME                                     the topics that follow are this user's
 *   pattern [read|write|readwrite|deny] FILTER    for everybody, %c the client identifier, %u the user name
 *
 * Mosquitto looks at a client's own lines first and at the patterns after them; in either list a `deny` that matches ends it,
 * and otherwise any line that grants the access does. What is not granted is denied.
 */
import { filterProblem } from '@concordmq/protocol'
import type { Findings } from './not-carried.ts'

export type AclAccess = 'read' | 'write' | 'readwrite' | 'deny'

export interface AclLine {
  readonly access: AclAccess
  readonly filter: string
  readonly place: string
}

export interface AclFile {
  /** By user name; empty: anonymous clients. */
  readonly users: ReadonlyMap<string, readonly AclLine[]>
  readonly patterns: readonly AclLine[]
}

const accesses: readonly string[] = ['read', 'write', 'readwrite', 'deny']

export function parseAclFile(text: string, path: string, { left }: Findings): AclFile {
  const users = new Map<string, AclLine[]>()
  const patterns: AclLine[] = []
  let user = ''
  for (const [i, raw] of text.split('\n').entries()) {
    const line = raw.trimEnd()
    const place = `${path}:${i + 1}`
    if (line === '' || line.startsWith('#')) continue
    const leave = (outcome: string): void => void left.push({ place, what: line, outcome })
    const [keyword = '', ...words] = line.trimStart().split(' ')
    const rest = words.join(' ').trim()
    if (keyword === 'user') {
      user = rest
      if (user === '') leave('no user is named; Mosquitto refuses such a file')
      else if (user === '*') leave('a user of this name would be everybody here; his topics are not carried over')
      else if (!users.has(user)) users.set(user, [])
    } else if (keyword === 'topic' || keyword === 'pattern') {
      const read = readAccess(rest)
      if (typeof read === 'string') {
        leave(read)
        continue
      }
      const entry = { ...read, place }
      if (keyword === 'pattern') patterns.push(entry)
      else if (user === '*') leave('it belongs to the user "*"')
      else {
        const own = users.get(user)
        if (own === undefined) users.set(user, [entry])
        else own.push(entry)
      }
    } else leave(`"${keyword}" is no keyword of an ACL file; Mosquitto refuses such a file`)
  }
  return { users, patterns }
}

/** One word is a filter for both; of several the first says what for. */
function readAccess(rest: string): Pick<AclLine, 'access' | 'filter'> | string {
  const space = rest.indexOf(' ')
  const first = space === -1 ? '' : rest.slice(0, space)
  const filter = space === -1 ? rest : rest.slice(space + 1).trimStart()
  if (filter === '') return 'the topic is missing'
  if (first !== '' && !accesses.includes(first)) return `"${first}" is no access: read, write, readwrite or deny`
  const problem = filterProblem(filter)
  if (problem !== undefined) return `the topic filter is not valid: ${problem.detail}`
  return { access: first === '' ? 'readwrite' : (first as AclAccess), filter }
}
