/**
 * Mosquitto's password file: `NAME:RECORD` a line. Its records go into `users.toml` as they are: the broker checks them (see
 * `mosquitto-records.ts` there), and each user gets an Argon2id record whenever he gets a new password.
 */
import { recordProblem } from '../users/password-record.ts'
import { userNameProblem } from '../users/users-file.ts'
import type { Findings } from './not-carried.ts'

export function parsePasswordFile(text: string, path: string, { left }: Findings): Map<string, string> {
  const users = new Map<string, string>()
  for (const [i, raw] of text.split('\n').entries()) {
    const line = raw.trimEnd()
    if (line === '' || line.startsWith('#')) continue
    const place = `${path}:${i + 1}`
    const colon = line.indexOf(':')
    const name = colon === -1 ? line : line.slice(0, colon)
    const record = colon === -1 ? '' : line.slice(colon + 1).trim()
    // A record, or a password in clear text, is never shown.
    const leave = (outcome: string): void => void left.push({ place, what: `user "${name}"`, outcome })
    const problem = userNameProblem(name)
    if (problem !== undefined) leave(problem)
    else if (record === '') leave('he has no password; give him one with `concordmq user add`')
    else if (!record.startsWith('$')) leave('his password is in clear text; run mosquitto_passwd -U on the file first')
    else {
      const wrong = recordProblem(record)
      if (wrong !== undefined) leave(`his record cannot be checked: ${wrong}`)
      else if (users.has(name)) leave('he stands in the file twice; Mosquitto takes the last, and so does this')
      if (wrong === undefined) users.set(name, record)
    }
  }
  return users
}
