/** Documents of operators: which are in force on this node, and handing in another one that is signed. No key comes this way. */
import { createHash } from 'node:crypto'
import type { AdminDocuments, Administration, Consensus } from '@concordmq/broker'
import { ADMIN_SUBJECTS } from '@concordmq/state'
import { commandOf, type DocumentAnswer, type DocumentsAnswer } from '../administration/document-file.ts'
import { nameOf, requireText } from '../administration/ordered-texts.ts'
import { CommandError, errorCode } from '../command-error.ts'
import { ControlError } from './control-error.ts'
import type { ControlHandler, ControlledNode } from './controlled-node.ts'
import { readBody } from './read-body.ts'

export const listDocuments: ControlHandler = (_request, node): DocumentsAnswer => {
  const { cluster, administration } = clusterOf(node)
  const { hash, operators } = cluster.genesis
  return {
    network: hexOf(hash),
    operators: { threshold: operators.threshold, keys: operators.keys.map(hexOf) },
    documents: documentsOf(administration.documents),
  }
}

/** The text in force, as operators signed it. */
export const showDocument: ControlHandler = ({ names: [name = ''] }, node) => {
  const { administration } = clusterOf(node)
  const subject = ADMIN_SUBJECTS.find((one) => one === name)
  const document = subject === undefined ? undefined : administration.documents.get(subject)?.document
  if (document?.text === undefined)
    throw new ControlError(404, `The cluster has no ${name} of its own: each node's file counts`)
  return { subject, version: document.version, text: Buffer.from(document.text).toString() }
}

/** Has a signed document ordered; answers when it is in force here. */
export const applyDocument: ControlHandler = async ({ body }, node) => {
  const { administration } = clusterOf(node)
  const { command = '' } = readBody(body, { command: 'text' })
  try {
    const { document, signatures } = commandOf(command)
    const { subject, version, text } = document
    // Nodes would have to grant nobody anything.
    if (text !== undefined) requireText(subject, { text: Buffer.from(text).toString(), name: nameOf(document) })
    const { position } = await administration.apply(document, signatures)
    node.logger.info({ event: 'cluster.document', subject, version, position }, `${nameOf(document)} came into force`)
    return { subject, version, position }
  } catch (error) {
    if (error instanceof CommandError) throw new ControlError(400, error.message, error.remedy)
    if (!(error instanceof Error) || !errorCode(error)?.startsWith('CMQ_CLUSTER_CHANGE')) throw error
    throw new ControlError(409, error.message)
  }
}

/** What is shown of documents, in the order of their subjects. */
export function documentsOf(documents: AdminDocuments): readonly DocumentAnswer[] {
  return ADMIN_SUBJECTS.flatMap((subject) => {
    const record = documents.get(subject)
    if (record === undefined) return []
    const { document, signatures, position, timeUs } = record
    const { version, text } = document
    const digest = text === undefined ? null : createHash('sha256').update(text).digest('hex')
    return [
      {
        ...{ subject, version, withdrawn: text === undefined, digest, bytes: text?.length ?? 0, position, timeUs },
        operators: signatures.map(({ operator }) => operator),
      },
    ]
  })
}

function clusterOf({ cluster, broker }: ControlledNode): {
  readonly cluster: Consensus
  readonly administration: Administration
} {
  const { administration } = broker
  if (cluster === undefined || administration === undefined)
    throw new ControlError(409, 'This node orders alone: there is no cluster')
  return { cluster, administration }
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}
