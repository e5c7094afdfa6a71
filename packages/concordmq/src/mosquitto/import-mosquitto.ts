/**
 * `concordmq config import-mosquitto`: a directory for ConcordMQ out of a Mosquitto configuration with its password and ACL
 * files, and a report, line by line, of what could not be carried over and why. What is written has been read back by the
 * same code that `run` uses; nothing of Mosquitto's is changed.
 *
 * Where both cannot be had, clients that Mosquitto would refuse are refused here, too.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { CommandError, configurationError } from '../command-error.ts'
import { tomlValue } from '../config/show.ts'
import { ExitCode } from '../exit-codes.ts'
import { parseToml, tomlKey, tomlString } from '../files/parse-toml.ts'
import { readTextIfPresent } from '../files/read-text.ts'
import { type NewFile, writeAtomically } from '../files/write-atomically.ts'
import { parsePermissionsFile } from '../permissions/permissions-file.ts'
import { recordProblem } from '../users/password-record.ts'
import { formatUser, parseUsersFile } from '../users/users-file.ts'
import { parseAclFile } from './acl-file.ts'
import { type AclRule, type AclRules, aclRules } from './acl-rules.ts'
import { type CarriedListeners, carryListeners, optionOutcome } from './carry-listeners.ts'
import { boolean, carryGlobal, carryLogTypes, type Settings } from './global-options.ts'
import { type Finding, type Findings, noFindings } from './not-carried.ts'
import { parsePasswordFile } from './password-file.ts'
import { type MosquittoConfig, type MosquittoOption, readMosquittoConfig } from './read-config.ts'

export interface ImportOptions {
  readonly directory: string
  readonly force: boolean
}

export interface ImportReport extends Findings {
  readonly files: readonly string[]
  readonly users: number
}

/** Writes the directory; throws a `CommandError` and writes nothing if it cannot be made. */
export function importMosquitto(path: string, { directory, force }: ImportOptions): ImportReport {
  const findings = noFindings()
  const config = readMosquittoConfig(path)
  const settings: Settings = new Map()
  const listeners = carryListeners(config.listeners, settings, findings)
  for (const option of config.idle) {
    const outcome = optionOutcome(option) ?? 'it stands before the first listener, and Mosquitto does nothing with it'
    findings.left.push({ place: option.place, what: shown(option), outcome })
  }
  const access = carryGlobals(config, listeners, settings, findings)
  const users = access.passwordFile === undefined ? new Map<string, string>() : readUsers(access.passwordFile, findings)
  const acl = access.aclFile === undefined ? undefined : readAcl(access.aclFile, findings)
  if (access.allowAnonymous) settings.set('auth.allow-anonymous-login', true)
  for (const { line } of config.bridges) {
    findings.left.push({
      place: line.place,
      what: `connection ${line.value}`,
      outcome: 'bridges are not in this version',
    })
  }
  for (const finding of differences(config)) findings.left.push(finding)
  if (listeners.count === 0) {
    throw configurationError(
      `None of the listeners of ${path} can be carried over`,
      findings.left.map(({ place, what, outcome }) => `${place} ${what}: ${outcome}`).join('\n'),
    )
  }
  const files = filesOf({ directory, path, settings, users, acl })
  write(files, { force })
  return { ...findings, files: files.map((file) => file.path), users: users.size }
}

interface Access {
  readonly allowAnonymous: boolean
  readonly passwordFile: MosquittoOption | undefined
  readonly aclFile: MosquittoOption | undefined
}

/** Global options, and who may log in: as the listeners say, or as all say. */
function carryGlobals(
  { global, listeners }: MosquittoConfig,
  carried: CarriedListeners,
  settings: Settings,
  findings: Findings,
): Access {
  const last = (name: string): MosquittoOption | undefined => global.findLast((option) => option.name === name)
  const types = global.filter(({ name }) => name === 'log_type')
  const level = carryLogTypes(types, settings)
  for (const option of global) {
    const { name, value, place } = option
    if (accessNames.has(name) || persistenceNames.has(name)) continue
    const what = shown(option)
    if (name === 'log_type') {
      if (level !== undefined && option === types.at(-1)) findings.carried.push({ place, what, outcome: level })
      continue
    }
    if (name === 'per_listener_settings' || (!mayRepeat(name) && option !== last(name))) continue
    const outcome = carryGlobal({ name, value, place }, settings)
    if ('carried' in outcome) findings.carried.push({ place, what, outcome: outcome.carried })
    else findings.left.push({ place, what, outcome: outcome.left })
  }
  carryPersistence(global, settings, findings)
  // Ours would cut a client that is silent for hours, as it may be there.
  if (last('max_keepalive') === undefined) settings.set('limits.keep-alive-max', 0)
  // Mosquitto: nobody without a name, unless said otherwise or nothing is configured at all.
  const nothingConfigured =
    listeners.length === 1 && listeners[0]?.line === undefined && listeners[0]?.options.length === 0
  const anonymous = last('allow_anonymous')
  const own = carried.access
  return {
    allowAnonymous:
      own?.allowAnonymous ?? (anonymous === undefined ? nothingConfigured : boolean(anonymous.value) === true),
    passwordFile: own?.passwordFile ?? last('password_file'),
    aclFile: own?.aclFile ?? last('acl_file'),
  }
}

const accessNames: ReadonlySet<string> = new Set(['allow_anonymous', 'password_file', 'acl_file'])
const persistenceNames: ReadonlySet<string> = new Set(['persistence', 'persistence_file', 'persistence_location'])

/** Options of plugins may be given several times; each is told. Of any other the last counts. */
function mayRepeat(name: string): boolean {
  return /^(auth_|plugin)/.test(name)
}

/** The value of a plugin's option may be a password. */
function shown({ name, value }: MosquittoOption): string {
  return /^(auth_opt_|plugin_opt_)/.test(name) ? name : `${name} ${value}`
}

function carryPersistence(global: readonly MosquittoOption[], settings: Settings, { carried, left }: Findings): void {
  const option = global.findLast(({ name }) => name === 'persistence')
  if (option === undefined) return
  const { place, value } = option
  if (boolean(value) === true) {
    left.push({
      place,
      what: 'persistence true',
      outcome:
        'what mosquitto.db holds (sessions, queues, retained messages) is not read; let clients subscribe and publish anew',
    })
  } else {
    settings.set('durability', 'memory')
    carried.push({ place, what: `persistence ${value}`, outcome: 'durability = "memory"' })
  }
}

function readUsers({ value, place }: MosquittoOption, findings: Findings): Map<string, string> {
  const file = readTextIfPresent(value)
  if (file === undefined) throw configurationError(`${place}: the password file ${value} does not exist`)
  const users = parsePasswordFile(file.text, value, findings)
  findings.carried.push({
    place,
    what: `password_file ${value}`,
    outcome: `users.toml, ${users.size} users with their passwords`,
  })
  return users
}

function readAcl({ value, place }: MosquittoOption, findings: Findings): AclRules {
  const file = readTextIfPresent(value)
  if (file === undefined) throw configurationError(`${place}: the ACL file ${value} does not exist`)
  const rules = aclRules(parseAclFile(file.text, value, findings))
  if (rules === undefined) {
    throw configurationError(
      `${place}: the ACL file ${value} has lines whose filters overlap so much that no list of rules says the same`,
      'Simplify it: fewer filters with wildcards of which one allows to read and the other to write',
    )
  }
  for (const { line, reason } of rules.unsaid) {
    findings.left.push({ place: line.place, what: `topic ${line.access} ${line.filter}`, outcome: reason })
  }
  findings.carried.push({ place, what: `acl_file ${value}`, outcome: 'permissions.toml' })
  return rules
}

/** Where our defaults are narrower than Mosquitto's and nothing in the file speaks of it. */
function* differences({ global, listeners }: MosquittoConfig): Iterable<Finding> {
  const says = (name: string): boolean =>
    global.some((option) => option.name === name) ||
    listeners.some(({ options }) => options.some((option) => option.name === name))
  const place = 'not in the file'
  if (!says('max_packet_size')) {
    yield {
      place,
      what: 'max_packet_size',
      outcome: 'packets above 16 MiB are refused: limits.packet-bytes-max takes up to 268435460',
    }
  }
}

interface Contents {
  readonly directory: string
  /** The configuration that was imported. */
  readonly path: string
  readonly settings: Settings
  readonly users: ReadonlyMap<string, string>
  readonly acl: AclRules | undefined
}

function filesOf({ directory, path, settings, users, acl }: Contents): NewFile[] {
  const from = `# Made from ${path} by \`concordmq config import-mosquitto\`\n`
  const files: NewFile[] = [
    { path: join(directory, 'concordmq.toml'), text: from + settingsText(settings), mode: 0o644 },
  ]
  const records = [...users].map(([name, record]) => formatUser(name, record)).join('\n')
  if (users.size > 0) files.push({ path: join(directory, 'users.toml'), text: `${from}${records}`, mode: 0o600 })
  if (acl !== undefined)
    files.push({ path: join(directory, 'permissions.toml'), text: from + permissionsText(acl), mode: 0o644 })
  return files
}

function settingsText(settings: Settings): string {
  const tables = new Map<string, string[]>()
  for (const [path, value] of settings) {
    const dot = path.indexOf('.')
    // Keys without a table come first: behind a header they would belong to it.
    const table = dot === -1 ? '' : path.slice(0, dot)
    const lines = tables.get(table) ?? []
    const list = Array.isArray(value) && value[0] === 'off' ? 'off' : value
    lines.push(`${path.slice(dot + 1)} = ${tomlValue(list)}\n`)
    tables.set(table, lines)
  }
  const top = tables.get('') ?? []
  tables.delete('')
  return top.join('') + [...tables].map(([table, lines]) => `\n[${table}]\n${lines.join('')}`).join('')
}

/** What Mosquitto does not grant is denied; a subscription wider than the rules is granted and narrowed, as there. */
function permissionsText({ users, patterns }: AclRules): string {
  const list = (rules: readonly AclRule[]): string => {
    const lines = rules.map(({ filter, allowed }) => `  { filter = ${tomlString(filter)}, ${rights(allowed)} },\n`)
    return lines.length === 0 ? 'topic = []\n' : `topic = [\n${lines.join('')}]\n`
  }
  const shared = patterns.length === 0 ? '' : 'groups = ["patterns"]\n'
  const own = [...users].map(([name, rules]) => `\n[permissions.${tomlKey(name)}]\n${list(rules)}${shared}`)
  // Somebody without lines of his own must not have the rules of somebody else's table.
  const others = `\n[permissions."*"]\ntopic = []\n${shared}`
  const nobody = users.has('') ? '' : `\n[permissions.""]\ntopic = []\n${shared}`
  const group = patterns.length === 0 ? '' : `\n[groups.patterns]\n${list(patterns)}`
  return `default = "deny"\nwider-subscriptions = "narrow"\n${own.join('')}${nobody}${others}${group}`
}

function rights(allowed: AclRule['allowed']): string {
  if (allowed.length === 0) return 'denied = ["publish", "subscribe"]'
  return `allowed = [${allowed.map((action) => `"${action}"`).join(', ')}]`
}

function write(files: readonly NewFile[], { force }: { readonly force: boolean }): void {
  const there = files.filter(({ path }) => existsSync(path)).map(({ path }) => path)
  if (there.length > 0 && !force) {
    throw new CommandError(ExitCode.cannotCreate, `There is already ${there.join(', ')}; nothing was written`, {
      remedy: 'Give another directory with --output-dir, or --force to replace these files',
    })
  }
  // What cannot be read back is a defect of this command, found before anything is written.
  for (const { path, text } of files) {
    if (path.endsWith('users.toml')) parseUsersFile(text, path, recordProblem)
    else if (path.endsWith('permissions.toml')) parsePermissionsFile(text, path)
    else parseToml(text, path, { hideSource: true })
  }
  writeAtomically(files)
}

/** The report for a person. */
export function reportText({ carried, left, files, users }: ImportReport): string {
  const line = ({ place, what, outcome }: Finding): string => `  ${place}  ${what}\n      ${outcome}\n`
  return [
    carried.length === 0 ? '' : `Carried over:\n${carried.map(line).join('')}\n`,
    left.length === 0
      ? 'Everything could be carried over\n'
      : `Not carried over, or not as it was:\n${left.map(line).join('')}`,
    `\nWrote ${files.join(', ')}${users === 0 ? '' : ` (${users} users)`}\n`,
  ].join('')
}
