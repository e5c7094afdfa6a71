/**
 * `ctl cluster add|remove|replace|sign|submit`: makes a change of the cluster from what a running node says, has operators' keys
 * sign it here, and gives the node nothing but what is signed: keys of operators never leave this process.
 */
import { createPublicKey, type KeyObject } from 'node:crypto'
import process from 'node:process'
import { CommandError } from '../command-error.ts'
import { formatAddress, parseAddress } from '../config/host-port.ts'
import { ExitCode } from '../exit-codes.ts'
import { readText } from '../files/read-text.ts'
import { writeAtomically } from '../files/write-atomically.ts'
import { loadKeyFile, requireP256 } from '../identity/secret-key.ts'
import {
  type ChangeFile,
  changeOf,
  type EpochAnswer,
  makeChange,
  readChangeFile,
  type Step,
  signChange,
} from '../membership/change.ts'
import { askNode, type NodeChoice } from './ask-node.ts'
import { askAndShow, type Output } from './run.ts'

/** What a command line says of a change. */
export interface ChangeOrder {
  /** Files with keys of operators. */
  readonly operatorKeys: readonly string[]
  /** Where the change is written instead of being handed in. */
  readonly save: string | undefined
}

export async function changeCluster(choice: NodeChoice & Output, step: Step, order: ChangeOrder): Promise<void> {
  const answer = (await askNode(choice, { method: 'GET', path: '/v1/cluster/epoch' })) as EpochAnswer
  if (answer.operators.keys.length === 0) {
    throw new CommandError(ExitCode.failed, 'This cluster has no operators: its address book names none', {
      remedy:
        'Nobody can change it while it runs; make a book with `concordmq address-book … --operators 1` for a new one',
    })
  }
  const file = signAll(makeChange(answer, step), order.operatorKeys)
  if (order.save === undefined) await submit(choice, file)
  else save(file, order.save)
}

/** Adds signatures to a file; asks no node. */
export function signFile(path: string, operatorKeys: readonly string[]): void {
  save(signAll(readChangeFile(readText(path).text, path), operatorKeys), path)
}

export async function submitFile(choice: NodeChoice & Output, path: string): Promise<void> {
  await submit(choice, readChangeFile(readText(path).text, path))
}

/** The key of a node in PEM, its public one or the private one that it belongs to. */
export function readNodeKey(path: string): KeyObject {
  const { text } = readText(path)
  if (/PRIVATE KEY/.test(text)) return loadKeyFile(path).publicKey
  let key: KeyObject
  try {
    key = createPublicKey(text)
  } catch {
    throw new CommandError(ExitCode.usage, `${path} is no key in PEM`)
  }
  return requireP256(key, path)
}

/** The address of a node, in its canonical form. */
export function readNodeAddress(text: string): string {
  const parsed = parseAddress(text, { portMin: 1 })
  if ('problem' in parsed) throw new CommandError(ExitCode.usage, `Address "${text}": ${parsed.problem}`)
  return formatAddress(parsed.address)
}

function signAll(file: ChangeFile, operatorKeys: readonly string[]): ChangeFile {
  return operatorKeys.reduce((signed, path) => signChange(signed, loadKeyFile(path).privateKey, path), file)
}

function save(file: ChangeFile, path: string): void {
  writeAtomically([{ path, text: `${JSON.stringify(file, undefined, 2)}\n`, mode: 0o644 }])
  const { signatures, number } = changeOf(file)
  process.stdout.write(
    `Wrote ${path}: the change to epoch ${number}, signed by ${signatures.length} of ${file.operators.threshold} operators\n`,
  )
}

async function submit(choice: NodeChoice & Output, file: ChangeFile): Promise<void> {
  const { length } = changeOf(file).signatures
  if (length < file.operators.threshold) {
    throw new CommandError(
      ExitCode.usage,
      `The change is signed by ${length} operators, and ${file.operators.threshold} must sign it`,
      {
        remedy:
          'Give their keys with --operator-key, or --save FILE and have it signed with `concordmq ctl cluster sign`',
      },
    )
  }
  const question = { method: 'POST', path: '/v1/cluster/changes', body: { change: file.change } } as const
  await askAndShow(choice, question, (answer) => {
    const { epoch, nodes } = answer as { readonly epoch: number; readonly nodes: number }
    const failing = Math.floor((nodes - 1) / 3)
    return `Epoch ${epoch} began: ${nodes} nodes, of which ${failing} may fail\n`
  })
}
