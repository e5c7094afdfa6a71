/**
 * The environment as a layer of configuration: `CONCORDMQ_…` for every key, FoxMQ's own names, and the plain words of
 * `RUST_LOG`. An unknown `CONCORDMQ_…` name is refused like an unknown key, except those that a container orchestrator
 * sets for a service called "concordmq". `.env` files are not read.
 */

import type { Assignment } from './assignment.ts'
import type { Key } from './key-types.ts'
import { allPaths, keys, type Path, variableOf } from './keys.ts'
import { didYouMean } from './suggest.ts'

/** Names of other programs' making, and ours that are not configuration keys. */
const aliases: Readonly<Record<string, Path>> = {
  SECRET_KEY: 'secret-key',
  SECRET_KEY_FILE: 'secret-key-file',
  CLUSTER_CERT: 'cluster.cert',
  CLUSTER_ROOT_CERT: 'cluster.root-cert',
  CLUSTER_ACCEPT_PEER_WITH_CERT: 'cluster.accept-peer-with-cert',
}

/** `CONCORDMQ_SERVICE_HOST`, `CONCORDMQ_PORT_1883_TCP_ADDR`, …: Kubernetes and Docker links. */
const serviceLink =
  /^CONCORDMQ(_[A-Z0-9_]+)?_(SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$|^CONCORDMQ_PORT$/

/** Variables that `pub`, `sub` and the tests read. */
const ofOtherCommands = /^CONCORDMQ_(USERNAME|PASSWORD|CLIENT_[A-Z0-9_]+|TEST_[A-Z0-9_]+)$/

interface Findings {
  readonly problems: string[]
  readonly notices: string[]
}

/** Assignments in order of strength: RUST_LOG, FoxMQ's names, ours. */
export function readEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
  { problems, notices }: Findings,
): Assignment[] {
  const base = process.cwd()
  const variables = new Map<string, Path>([
    ...Object.entries(aliases),
    ...allPaths.map((path): [string, Path] => [variableOf(path), path]),
  ])
  const found: Assignment[] = []
  const level = readRustLog(environment.RUST_LOG, notices)
  if (level !== undefined) found.push({ path: 'log.level', value: level, origin: 'RUST_LOG', base })
  for (const [variable, path] of variables) {
    const text = environment[variable]
    // An empty variable is an unset one: that is how shells and compose files switch one off.
    if (text !== undefined && text !== '')
      found.push({ path, value: fromText(keys[path], text), origin: variable, base })
  }
  for (const name of Object.keys(environment)) {
    if (!name.startsWith('CONCORDMQ_') || variables.has(name) || serviceLink.test(name) || ofOtherCommands.test(name))
      continue
    problems.push(`${name} in the environment: no such variable${didYouMean(name, variables.keys())}`)
  }
  return found
}

/** Text as the value its form means; text that does not fit stays text and fails the check with the rule. */
export function fromText(key: Key<unknown>, text: string): unknown {
  switch (key.form) {
    case 'boolean':
      if (/^(true|1|yes|on)$/i.test(text)) return true
      return /^(false|0|no|off)$/i.test(text) ? false : text
    case 'integer':
      return /^-?\d{1,15}$/.test(text) ? Number(text) : text
    case 'list':
    case 'paths':
      return text.split(',').map((part) => part.trim())
    default:
      return text
  }
}

const levels = ['error', 'warn', 'info', 'debug', 'trace']

/** Only the plain words of RUST_LOG mean something here; per-module directives are named as ignored. */
function readRustLog(text: string | undefined, notices: string[]): string | undefined {
  if (text === undefined || text === '') return undefined
  const parts = text.split(',').map((part) => part.trim().toLowerCase())
  const level = parts.find((part) => levels.includes(part))
  if (parts.some((part) => !levels.includes(part))) {
    notices.push(`RUST_LOG: only a plain level (${levels.join(', ')}) is understood; the rest of "${text}" is ignored`)
  }
  return level
}
