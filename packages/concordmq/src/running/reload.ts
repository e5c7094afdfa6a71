/**
 * Everything that can be read again, by SIGHUP, by `concordmq ctl reload`, and one value by `ctl settings set`.
 *
 * Each file is taken whole or left: what is wrong with one is told and changes nothing, and does not keep the others out (a
 * broken certificate must not keep a new password out). Connected clients stay. Changes come one at a time, in order; of
 * requests that wait one reading serves all, since it reads everything. Those that come during the start wait until the
 * node serves.
 *
 * A value set at run time is in no file. The next reading of the files ends it, and says so: what a file says must be what
 * is in force after "read the file again".
 */
import { isDeepStrictEqual } from 'node:util'
import type { AccessOptions, AdminDocuments, Broker, ListenerHandle, Logger, TlsMaterial } from '@concordmq/broker'
import type { AdminSubject } from '@concordmq/state'
import { fileOf, type OrderedTexts, orderedTexts } from '../administration/ordered-texts.ts'
import type { Assignment } from '../config/assignment.ts'
import { changeWords } from '../config/key-types.ts'
import { allPaths, keys, type Path } from '../config/keys.ts'
import { type Configuration, withAssignment } from '../config/settings.ts'
import type { Log } from '../log/log.ts'
import { type AccessPart, accessParts, readPermissions } from './access-parts.ts'
import { type Plan, prepareUsers } from './plan.ts'
import { prepareTls } from './tls.ts'

export interface ReloadContext {
  readonly log: Log
  readonly load: () => Configuration
  readonly broker: Broker
  /** Those that are open. */
  readonly listeners: readonly ListenerHandle[]
  /** Hands the broker what it can take over while running; throws and changes nothing if it refuses. */
  readonly reconfigure: (configuration: Configuration) => void
  /** Whether SIGHUP asks for it. */
  readonly onHangup: boolean
}

export interface ChangedKey {
  readonly path: Path
  /** Never a secret's. */
  readonly from: unknown
  readonly to: unknown
  /** `now`, `new connections`, `restart`, or `refused` where the file that goes with it was. */
  readonly effect: string
}

export interface PartReport {
  readonly part: string
  readonly outcome: 'changed' | 'unchanged' | 'refused'
  /** Why it was refused. */
  readonly reason?: string
  readonly keys?: readonly ChangedKey[]
}

export interface ReloadReport {
  readonly parts: readonly PartReport[]
  /** Keys whose value in the files waits for the next start. */
  readonly waiting: readonly Path[]
}

export interface SetOptions {
  readonly save: ((next: Configuration) => Promise<string>) | undefined
}

export interface SetReport extends ChangedKey {
  readonly saved?: string
}

export interface Reload {
  /** The node serves: what was asked for meanwhile is done now. */
  begin(): void
  /** From now on nothing is read again. */
  close(): void
  /** Reads everything again, after what is under way. */
  request(): Promise<ReloadReport>
  /** Reads one of `accessParts` alone; rejects with the reason if it is refused. */
  requestAccess(name: AccessPart['name']): Promise<void>
  /** Reads the users file alone; rejects with the reason if it is refused. */
  requestUsers(): Promise<void>
  /**
   * Sets one value at run time; rejects with the reason, and then nothing has changed. `save` is called with what comes of
   * it before it is in force, and resolves with the file it was written to.
   */
  set(assignment: Assignment, options: SetOptions): Promise<SetReport>
  /**
   * Takes over what operators say for the whole cluster, at once: what follows in the order goes by it. A text that this program
   * cannot use grants nobody anything, on all nodes that run this program alike.
   */
  order(documents: AdminDocuments): void
  /** What of it is in force, in the place of files. */
  readonly ordered: OrderedTexts
  /** What the files, flags and settings at run time say; keys that need a restart may differ from what is in force. */
  readonly current: Configuration
  /** What the node started with. */
  readonly started: Configuration
}

export function openReload(plan: Plan, context: ReloadContext): Reload {
  const logger = context.log.logger('concordmq::reload')
  const node = new ReloadedNode(plan, context, logger)
  const { promise: serving, resolve: begin } = Promise.withResolvers<void>()
  let tail: Promise<unknown> = serving
  let next: Promise<ReloadReport> | undefined
  let closed = false
  const inTurn = <T>(act: () => Promise<T>): Promise<T> => {
    const turn = tail.then(() => {
      if (closed) throw new Error('The node is stopping')
      return act()
    })
    tail = turn.catch(() => {})
    return turn
  }
  const request = (): Promise<ReloadReport> => {
    next ??= inTurn(() => {
      next = undefined
      return node.readAll()
    })
    return next
  }
  // What a signal asks for is told by the log.
  if (context.onHangup) process.on('SIGHUP', () => void request().catch(() => {}))
  return {
    begin,
    close: () => {
      closed = true
    },
    request,
    requestAccess: (name) =>
      inTurn(async () => {
        const part = accessParts.find((one) => one.name === name)
        if (part !== undefined) await node.readPart(part)
      }),
    requestUsers: () =>
      inTurn(async () => {
        node.readUsers(node.current)
      }),
    set: (assignment, options) => inTurn(() => node.set(assignment, options)),
    order: (documents) => node.order(documents),
    get ordered() {
      return node.ordered
    },
    get current() {
      return node.current
    },
    started: plan.configuration,
  }
}

/** What is in force where a text of operators cannot be used. */
const nothingGranted: Readonly<Record<AdminSubject, AccessOptions>> = {
  permissions: { permissions: { default: 'deny' } },
  users: { users: new Map(), scramRecords: undefined, allowAnonymous: false },
}

class ReloadedNode {
  readonly #plan: Plan
  readonly #context: ReloadContext
  readonly #logger: Logger
  #current: Configuration
  #access: AccessOptions
  #material: TlsMaterial | undefined
  #ordered: OrderedTexts = {}

  constructor(plan: Plan, context: ReloadContext, logger: Logger) {
    this.#plan = plan
    this.#context = context
    this.#logger = logger
    this.#current = plan.configuration
    this.#access = plan.access
    this.#material = plan.tls
  }

  get current(): Configuration {
    return this.#current
  }

  get ordered(): OrderedTexts {
    return this.#ordered
  }

  order(documents: AdminDocuments): void {
    const before = this.#ordered
    this.#ordered = orderedTexts(documents)
    for (const subject of ['permissions', 'users'] as const) {
      if (before[subject]?.name !== this.#ordered[subject]?.name) this.#orderOne(subject)
    }
  }

  #orderOne(subject: AdminSubject): void {
    const name = this.#ordered[subject]?.name
    const what = name ?? `${fileOf[subject]} of this node`
    try {
      if (subject === 'users') this.#orderUsers()
      else this.#takeAccess(readPermissions(this.#current, this.#logger, this.#ordered))
      const aside = name === undefined ? '' : `; ${fileOf[subject]} of this node is left aside`
      this.#logger.info({ event: 'documents.in_force', subject, source: what }, `in force: ${what}${aside}`)
    } catch (error) {
      this.#takeAccess(nothingGranted[subject])
      this.#logger.error(
        { event: 'documents.unusable', subject, source: what, reason: error },
        `cannot use ${what}: ${subject === 'users' ? 'nobody can log in' : 'nobody may do anything'}`,
      )
    }
  }

  /** Whoever is no user any more is disconnected here: no node has to be told to do so. */
  #orderUsers(): void {
    const before = namesOf(this.#access)
    this.readUsers(this.#current)
    const now = namesOf(this.#access)
    const gone = new Set([...before].filter((name) => !now.has(name)))
    if (gone.size === 0) return
    // This is within a command of the order: connections end behind it.
    queueMicrotask(() => {
      const { broker } = this.#context
      const theirs = [...broker.clients()].filter(({ username }) => username !== undefined && gone.has(username))
      for (const { clientId } of theirs) broker.disconnectClient(clientId)
      this.#logger.info(
        { event: 'documents.users_gone', users: gone.size, disconnected: theirs.length },
        `users are gone: ${gone.size}; clients of them that were disconnected: ${theirs.length}`,
      )
    })
  }

  async readAll(): Promise<ReloadReport> {
    const { load } = this.#context
    const before = this.#current
    let keysChanged: readonly ChangedKey[] = []
    const configuration = await this.#attempt('configuration', async () => {
      const read = load()
      keysChanged = changedKeys(before, read)
      await this.#apply(read)
      this.#current = read
      return keysChanged.length > 0
    })
    const users = await this.#attempt('users', () => this.readUsers(this.#current))
    const access: PartReport[] = []
    for (const part of accessParts) {
      access.push(await this.#attempt(part.name, () => this.#readAccess(part, this.#current)))
    }
    const certificates =
      this.#plan.tls === undefined
        ? []
        : [await this.#attempt('certificates', () => this.#readCertificates(this.#current))]
    keysChanged = keysChanged.map((key) => {
      const owner = accessParts.findIndex(({ owns }) => key.path.startsWith(owns))
      const part =
        access[owner] ??
        (key.path.startsWith('auth.') ? users : key.path.startsWith('tls.') ? certificates[0] : undefined)
      return part?.outcome === 'refused' && key.effect !== 'restart' ? { ...key, effect: 'refused' } : key
    })
    const waiting = waitingKeys(this.#plan.configuration, this.#current)
    for (const { path, from, to, effect } of keysChanged) {
      this.#logger.info({ event: 'reload.key', key: path, from, to, effect }, `${path} has changed (${effect})`)
    }
    if (waiting.length > 0)
      this.#logger.warn({ event: 'reload.waiting', keys: waiting }, 'these changes take effect at the next start')
    return { parts: [{ ...configuration, keys: keysChanged }, users, ...access, ...certificates], waiting }
  }

  /** Whether anything changed; throws and changes nothing if a file is refused. */
  readUsers(configuration: Configuration): boolean {
    const { users: ordered } = this.#ordered
    const awaited = (this.#plan.cluster?.book.operators.keys.length ?? 0) > 0
    return this.#takeAccess(prepareUsers(configuration, this.#logger, { starting: false, awaited, ordered }))
  }

  /** One part alone, as its own reading of the files; what is wrong is logged and thrown. */
  async readPart(part: AccessPart): Promise<void> {
    const { outcome, reason } = await this.#attempt(part.name, () => this.#readAccess(part, this.#current))
    if (outcome === 'refused') throw new Error(reason)
  }

  async #readAccess(part: AccessPart, configuration: Configuration): Promise<boolean> {
    return this.#takeAccess(await part.read(configuration, this.#logger, this.#ordered))
  }

  /** Options from one file take the place of what that file said before; the others stay. */
  #takeAccess(options: AccessOptions): boolean {
    const access = { ...this.#access, ...options }
    if (isDeepStrictEqual(access, this.#access)) return false
    this.#context.broker.reloadAccess(access)
    this.#access = access
    return true
  }

  async set(assignment: Assignment, { save }: SetOptions): Promise<SetReport> {
    const { path } = assignment
    const next = withAssignment(this.#current, assignment)
    const changed: ChangedKey = {
      path,
      from: this.#current.settings[path],
      to: next.settings[path],
      effect: changeWords[keys[path].change],
    }
    const saved = await save?.(next)
    if (path.startsWith('auth.')) this.readUsers(next)
    for (const part of accessParts) if (path.startsWith(part.owns)) await this.#readAccess(part, next)
    if (path.startsWith('tls.') && this.#plan.tls !== undefined) await this.#readCertificates(next)
    await this.#apply(next)
    this.#current = next
    const { from, to, effect } = changed
    this.#logger.info({ event: 'settings.set', key: path, from, to, effect }, `${path} was set at run time (${effect})`)
    return { ...changed, ...(saved !== undefined && { saved }) }
  }

  async #apply(next: Configuration): Promise<void> {
    const { log, reconfigure } = this.#context
    reconfigure(next)
    log.setLevel(next.settings['log.level'])
    await log.setFormat(next.settings['log.format'])
  }

  async #readCertificates(configuration: Configuration): Promise<boolean> {
    // Only the TLS files are live; which listeners exist and what they are called was decided at the start.
    const material = await prepareTls(configuration, this.#plan.key, { logger: this.#logger, writeFiles: true })
    if (isDeepStrictEqual(material, this.#material)) return false
    for (const listener of this.#context.listeners) {
      if (listener.kind === 'tls' || listener.kind === 'wss') await listener.reloadTls(material)
    }
    this.#material = material
    return true
  }

  /** `act` says whether anything changed. */
  async #attempt(part: string, act: () => boolean | Promise<boolean>): Promise<PartReport> {
    try {
      const changed = await act()
      this.#logger.info({ event: 'reload.done', part }, `read ${part} again`)
      return { part, outcome: changed ? 'changed' : 'unchanged' }
    } catch (error) {
      this.#logger.error({ event: 'reload.refused', part, reason: error }, `keeping the old ${part}`)
      return { part, outcome: 'refused', reason: error instanceof Error ? error.message : String(error) }
    }
  }
}

function namesOf({ users, scramRecords }: AccessOptions): ReadonlySet<string> {
  return new Set([...(users?.keys() ?? []), ...(scramRecords?.keys() ?? [])])
}

function changedKeys(before: Configuration, after: Configuration): ChangedKey[] {
  return allPaths
    .filter((path) => !isDeepStrictEqual(before.settings[path], after.settings[path]))
    .map((path) => {
      const { change, ...key }: { readonly change: keyof typeof changeWords; readonly secret?: true } = keys[path]
      const shown = (value: unknown): unknown => (key.secret && value !== undefined ? '(hidden)' : (value ?? null))
      return {
        path,
        from: shown(before.settings[path]),
        to: shown(after.settings[path]),
        effect: changeWords[change],
      }
    })
}

function waitingKeys(started: Configuration, current: Configuration): Path[] {
  return allPaths.filter(
    (path) => keys[path].change === 'restart' && !isDeepStrictEqual(started.settings[path], current.settings[path]),
  )
}
