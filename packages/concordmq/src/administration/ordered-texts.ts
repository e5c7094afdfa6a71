/**
 * Documents of operators as the program reads them: the text of `permissions.toml` or `users.toml`, in the place of each node's own
 * file. While there is one, that file is left aside; when it is withdrawn, the file counts again.
 */
import type { AdminDocuments } from '@concordmq/broker'
import type { AdminSubject } from '@concordmq/state'
import { parsePermissionsFile } from '../permissions/permissions-file.ts'
import { recordProblem } from '../users/password-record.ts'
import { parseUsersFile } from '../users/users-file.ts'

/** A text with the name under which messages speak of it. */
export interface SourceText {
  readonly text: string
  readonly name: string
}

export type OrderedTexts = Readonly<Partial<Record<AdminSubject, SourceText>>>

/** The file that a document stands for. */
export const fileOf: Readonly<Record<AdminSubject, string>> = {
  permissions: 'permissions.toml',
  users: 'users.toml',
}

/** The texts that are in force. */
export function orderedTexts(documents: AdminDocuments): OrderedTexts {
  const texts: { -readonly [P in AdminSubject]?: SourceText } = {}
  for (const [subject, { document }] of documents) {
    const { version, text } = document
    if (text !== undefined) texts[subject] = { text: Buffer.from(text).toString(), name: nameOf({ subject, version }) }
  }
  return texts
}

/** How messages call a document. */
export function nameOf({ subject, version }: { readonly subject: AdminSubject; readonly version: number }): string {
  return `${subject} of the cluster, version ${version}`
}

/** Throws a `CommandError` that lists every problem of a text. */
export function requireText(subject: AdminSubject, { text, name }: SourceText): void {
  if (subject === 'permissions') parsePermissionsFile(text, name)
  else parseUsersFile(text, name, recordProblem)
}
