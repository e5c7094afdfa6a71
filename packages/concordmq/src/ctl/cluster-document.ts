/**
 * `ctl cluster apply|withdraw|show`: makes a document of operators from a file, has their keys sign it here, and gives the node
 * nothing but what is signed. What a text has wrong is said before anything is signed.
 */
import { basename } from 'node:path'
import process from 'node:process'
import type { AdminDocument, AdminSubject } from '@concordmq/state'
import {
  commandOf,
  type DocumentFile,
  type DocumentsAnswer,
  makeDocument,
  readDocumentFile,
  signDocumentFile,
} from '../administration/document-file.ts'
import { fileOf, nameOf, requireText } from '../administration/ordered-texts.ts'
import { CommandError } from '../command-error.ts'
import { ExitCode } from '../exit-codes.ts'
import { readText } from '../files/read-text.ts'
import { writeAtomically } from '../files/write-atomically.ts'
import { loadKeyFile } from '../identity/secret-key.ts'
import { askNode, type NodeChoice } from './ask-node.ts'
import type { ChangeOrder } from './cluster-change.ts'
import { askAndShow, type Output } from './run.ts'

export interface DocumentOrder extends ChangeOrder {
  /** What the file is, where its name does not say so. */
  readonly as: AdminSubject | undefined
  /** Default: the one behind that in force. */
  readonly version: number | undefined
}

/** Has the text of a file ordered, for all nodes. */
export async function applyFile(choice: NodeChoice & Output, path: string, order: DocumentOrder): Promise<void> {
  const subject = order.as ?? subjectOf(path)
  const { text } = readText(path)
  requireText(subject, { text, name: path })
  await handIn(choice, { subject, text: new TextEncoder().encode(text) }, order)
}

/** Each node's own file counts again. */
export async function withdraw(
  choice: NodeChoice & Output,
  subject: AdminSubject,
  order: Omit<DocumentOrder, 'as'>,
): Promise<void> {
  await handIn(choice, { subject, text: undefined }, order)
}

export async function showText(choice: NodeChoice & Output, subject: AdminSubject): Promise<void> {
  const question = { method: 'GET', path: `/v1/cluster/documents/${subject}` } as const
  await askAndShow(choice, question, (answer) => (answer as { readonly text: string }).text)
}

/** Adds signatures to a document that `--save` wrote, or hands it in; false: the file is another kind of change. */
export function signIfDocument(path: string, operatorKeys: readonly string[]): boolean {
  const file = readDocumentFile(readText(path).text, path)
  if (file !== undefined) save(signAll(file, operatorKeys), path)
  return file !== undefined
}

export async function submitIfDocument(choice: NodeChoice & Output, path: string): Promise<boolean> {
  const file = readDocumentFile(readText(path).text, path)
  if (file !== undefined) await submit(choice, file)
  return file !== undefined
}

async function handIn(
  choice: NodeChoice & Output,
  given: Pick<AdminDocument, 'subject' | 'text'>,
  { version, operatorKeys, save: path }: Omit<DocumentOrder, 'as'>,
): Promise<void> {
  const answer = (await askNode(choice, { method: 'GET', path: '/v1/cluster/documents' })) as DocumentsAnswer
  if (answer.operators.keys.length === 0) {
    throw new CommandError(ExitCode.failed, 'This cluster has no operators: its address book names none', {
      remedy:
        'Copy the file to all nodes and have each read it (`concordmq ctl reload`); make a book with `concordmq address-book … --operators 1` for a new cluster',
    })
  }
  const before = answer.documents.find(({ subject }) => subject === given.subject)?.version ?? 0
  const made = makeDocument(answer, { ...given, version: version ?? before + 1 })
  const file = signAll(made, operatorKeys)
  if (path === undefined) await submit(choice, file)
  else save(file, path)
}

async function submit(choice: NodeChoice & Output, file: DocumentFile): Promise<void> {
  const { document, signatures } = commandOf(file.command)
  const { threshold } = file.operators
  if (signatures.length < threshold) {
    throw new CommandError(
      ExitCode.usage,
      `The document is signed by ${signatures.length} operators, and ${threshold} must sign it`,
      {
        remedy:
          'Give their keys with --operator-key, or --save FILE and have it signed with `concordmq ctl cluster sign`',
      },
    )
  }
  const question = { method: 'POST', path: '/v1/cluster/documents', body: { command: file.command } } as const
  await askAndShow(choice, question, (answer) => {
    const { position } = answer as { readonly position: number }
    return document.text === undefined
      ? `The ${document.subject} of the cluster are withdrawn, from position ${position} on: each node's ${fileOf[document.subject]} counts\n`
      : `The ${nameOf(document)}, are in force on all nodes, from position ${position} on\n`
  })
}

function subjectOf(path: string): AdminSubject {
  const name = basename(path)
  if (/permission/i.test(name)) return 'permissions'
  if (/user/i.test(name)) return 'users'
  throw new CommandError(ExitCode.usage, `The name of ${path} does not say what it is`, {
    remedy: 'Say --as permissions or --as users',
  })
}

function signAll(file: DocumentFile, operatorKeys: readonly string[]): DocumentFile {
  return operatorKeys.reduce((signed, path) => signDocumentFile(signed, loadKeyFile(path).privateKey, path), file)
}

function save(file: DocumentFile, path: string): void {
  const { document, signatures } = commandOf(file.command)
  // Records of passwords may be in it.
  writeAtomically([{ path, text: `${JSON.stringify(file, null, 2)}\n`, mode: 0o600 }])
  process.stdout.write(
    `Wrote ${path}: ${nameOf(document)}, signed by ${signatures.length} of ${file.operators.threshold} operators\n`,
  )
}
