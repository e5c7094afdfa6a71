/**
 * `concordmq ctl …`: a running node on this machine, over its control socket. What FUBAR's users know by shorter names
 * (`account`, `settings`, `state`) is the same commands at the top level.
 */
import type { AdminSubject } from '@concordmq/state'
import { Argument, type Command, InvalidArgumentError, Option } from 'commander'
import { defaultDirectory } from '../config/flags.ts'
import type { Question } from '../ctl/ask-node.ts'

interface NodeFlags {
  readonly directory: string
  readonly controlSocket?: string
  readonly node?: number
  readonly json?: true
}
interface PageFlags extends NodeFlags {
  readonly filter?: string
  readonly page: number
  readonly size: number
}

export function addCtl(program: Command): void {
  const ctl = program.command('ctl').description('look into a running node on this machine, and steer it')
  addState(ctl)
  addClients(ctl)
  addSessions(ctl)
  addRetained(ctl)
  addBans(ctl)
  addAclOfNode(
    ctl
      .command('acl')
      .description(
        'rules for client addresses: let in without credentials, or kept out; what the rules in force allow',
      ),
  )
  addAccount(ctl)
  addSettings(ctl)
  addCluster(ctl)
  withNode(ctl.command('reload'))
    .description('read every file again; an invalid one keeps what it had (also: SIGHUP)')
    .action(async (options: NodeFlags) => (await work()).reload(nodeOf(options)))
  withNode(ctl.command('drain'))
    .description('no new connections, end those that are there spread over a time, then stop the node')
    .option('--over <SECONDS>', 'time over which connections are ended', readSeconds, 30)
    .option(
      '--server-reference <HOST:PORT>',
      'tell 5.0 clients to use this server (0x9C); else the node shuts down (0x8B)',
    )
    .action(async (options: NodeFlags & { readonly over: number; readonly serverReference?: string }) => {
      const { over, serverReference } = options
      await (await work()).drain(nodeOf(options), { over, serverReference })
    })
  withNode(ctl.command('log-level'))
    .description('how much the node logs from now on')
    .argument('<LEVEL>', 'error, warn, info, debug or trace')
    .action(async (level: string, options: NodeFlags) => setSetting('log.level', level, options))
  addTrace(ctl)
  // The same without `ctl`.
  addTrace(program)
  addState(program)
  addAccount(program)
  addSettings(program)
}

function addState(parent: Command): void {
  withNode(parent.command('state'))
    .description('what a running node is and how it does')
    .action((options: NodeFlags) => ask(options, 'GET', '/v1/state', 'showState'))
}

function addClients(ctl: Command): void {
  withPage(ctl.command('clients'), 'whose identifier, user or address contains this')
    .description('connected clients')
    .action((options: PageFlags) => list(options, '/v1/clients', 'showClients'))
  withNode(ctl.command('client'))
    .description('one connected client')
    .argument('<ID>', 'client identifier')
    .action((id: string, options: NodeFlags) =>
      ask(options, 'GET', `/v1/clients/${encodeURIComponent(id)}`, 'showClient'),
    )
  withNode(ctl.command('disconnect'))
    .description('disconnect a client (5.0: reason 0x98); its session stays as it asked')
    .argument('<ID>', 'client identifier')
    .action((id: string, options: NodeFlags) =>
      tell(options, { method: 'DELETE', path: `/v1/clients/${encodeURIComponent(id)}` }, `Disconnected "${id}"\n`),
    )
  withPage(ctl.command('subscriptions'), 'whose filter contains this')
    .description('subscriptions of all sessions')
    .option('--client <ID>', 'of one client')
    .action((options: PageFlags & { readonly client?: string }) =>
      list(options, '/v1/subscriptions', 'showSubscriptions', { client: options.client }),
    )
}

function addCluster(ctl: Command): void {
  const cluster = ctl.command('cluster').description('the cluster, as this node sees it, and changes of it')
  withNode(cluster.command('status'))
    .description('nodes, links, rounds, positions')
    .action((options: NodeFlags) => ask(options, 'GET', '/v1/cluster', 'showCluster'))
  withChange(cluster.command('add'))
    .description('take a node in; it is started with --join, and takes over the state of the others')
    .argument('<ADDR>', 'HOST:PORT at which the others reach it')
    .requiredOption('--key <FILE>', 'its key in PEM, the public one or the private one')
    .action(async (address: string, options: ChangeFlags & { readonly key: string }) => {
      const { changeCluster, readNodeAddress, readNodeKey } = await changes()
      const step = { type: 'add', publicKey: readNodeKey(options.key), address: readNodeAddress(address) } as const
      await changeCluster(nodeOf(options), step, orderOf(options))
    })
  withChange(cluster.command('remove'))
    .description('take a node out, whether it lives or not; it stops')
    .argument('<NODE>', 'its number, key or address, as `status` shows them')
    .action(async (node: string, options: ChangeFlags) =>
      (await changes()).changeCluster(nodeOf(options), { type: 'remove', node }, orderOf(options)),
    )
  withChange(cluster.command('replace'))
    .description('take a node out and another one in under its number; also: give a node another key or address')
    .argument('<NODE>', 'the old one: its number, key or address, as `status` shows them')
    .argument('<ADDR>', 'HOST:PORT at which the others reach the new one')
    .requiredOption('--key <FILE>', 'key of the new one in PEM, the public one or the private one')
    .action(async (node: string, address: string, options: ChangeFlags & { readonly key: string }) => {
      const { changeCluster, readNodeAddress, readNodeKey } = await changes()
      const to = { publicKey: readNodeKey(options.key), address: readNodeAddress(address) }
      await changeCluster(nodeOf(options), { type: 'replace', node, ...to }, orderOf(options))
    })
  withChange(cluster.command('apply'))
    .description('have permissions or users ordered for all nodes, in the place of their own files; operators sign it')
    .argument('<FILE>', 'a permissions.toml or users.toml')
    .addOption(asSubject(new Option('--as <SUBJECT>', 'what the file is, where its name does not say so')))
    .option('--as-version <NUMBER>', 'the version it becomes (default: the one behind that in force)', readVersion)
    .action(async (file: string, options: DocumentFlags) =>
      (await documents()).applyFile(nodeOf(options), file, { ...orderOf(options), ...documentOf(options) }),
    )
  withChange(cluster.command('withdraw'))
    .description("let each node's own file count again; operators sign it")
    .addArgument(asSubject(new Argument('<SUBJECT>', 'permissions or users')))
    .option('--as-version <NUMBER>', 'the version it becomes (default: the one behind that in force)', readVersion)
    .action(async (subject: AdminSubject, options: DocumentFlags) =>
      (await documents()).withdraw(nodeOf(options), subject, { ...orderOf(options), ...documentOf(options) }),
    )
  withNode(cluster.command('show'))
    .description('print the permissions or users that the cluster has, as they were signed')
    .addArgument(asSubject(new Argument('<SUBJECT>', 'permissions or users')))
    .action(async (subject: AdminSubject, options: NodeFlags) => (await documents()).showText(nodeOf(options), subject))
  cluster
    .command('sign')
    .description('sign a change that --save wrote; asks no node')
    .argument('<FILE>', 'the change')
    .requiredOption('--operator-key <FILE>', 'key of an operator in PEM; repeatable', collect, [])
    .action(async (file: string, { operatorKey }: { readonly operatorKey: readonly string[] }) => {
      const isDocument = (await documents()).signIfDocument(file, operatorKey)
      if (!isDocument) (await changes()).signFile(file, operatorKey)
    })
  withNode(cluster.command('submit'))
    .description('hand in a change that enough operators have signed')
    .argument('<FILE>', 'the change')
    .action(async (file: string, options: NodeFlags) => {
      const isDocument = await (await documents()).submitIfDocument(nodeOf(options), file)
      if (!isDocument) await (await changes()).submitFile(nodeOf(options), file)
    })
}

interface DocumentFlags extends ChangeFlags {
  readonly as?: AdminSubject
  readonly asVersion?: number
}

function asSubject<T extends { choices(values: readonly string[]): T }>(named: T): T {
  return named.choices(['permissions', 'users'])
}

function documentOf({ as, asVersion }: DocumentFlags) {
  return { as, version: asVersion }
}

function readVersion(text: string): number {
  const version = Number(text)
  if (!/^[1-9]\d*$/.test(text) || !Number.isSafeInteger(version))
    throw new InvalidArgumentError('Give a number from 1 on.')
  return version
}

async function documents() {
  return import('../ctl/cluster-document.ts')
}

interface ChangeFlags extends NodeFlags {
  readonly operatorKey: readonly string[]
  readonly save?: string
}

function withChange(command: Command): Command {
  return withNode(command)
    .option('--operator-key <FILE>', 'key of an operator in PEM, used here only; repeatable', collect, [])
    .option('--save <FILE>', 'write the change there instead of handing it in, for others to sign')
}

function collect(value: string, before: readonly string[]): string[] {
  return [...before, value]
}

function orderOf({ operatorKey, save }: ChangeFlags) {
  return { operatorKeys: operatorKey, save }
}

async function changes() {
  return import('../ctl/cluster-change.ts')
}

function addSessions(ctl: Command): void {
  const sessions = ctl.command('sessions').description('sessions, with or without a connection')
  withPage(sessions.command('list'), 'whose client identifier contains this')
    .description('list them')
    .option('--offline', 'only those without a connection')
    .action((options: PageFlags & { readonly offline?: true }) =>
      list(options, '/v1/sessions', 'showSessions', { offline: options.offline }),
    )
  withNode(sessions.command('show'))
    .description('one session and its subscriptions')
    .argument('<ID>', 'client identifier')
    .action((id: string, options: NodeFlags) =>
      ask(options, 'GET', `/v1/sessions/${encodeURIComponent(id)}`, 'showSession'),
    )
  withNode(sessions.command('end'))
    .description('end a session for good, its subscriptions and queue with it')
    .argument('<ID>', 'client identifier')
    .action((id: string, options: NodeFlags) =>
      tell(
        options,
        { method: 'DELETE', path: `/v1/sessions/${encodeURIComponent(id)}` },
        `Ended the session of "${id}"\n`,
      ),
    )
}

function addRetained(ctl: Command): void {
  const retained = ctl.command('retained').description('retained messages')
  withPage(retained.command('list'), 'topic filter; # leaves out what begins with $')
    .description('list them; payloads are not shown, a subscription shows those')
    .action((options: PageFlags) => list(options, '/v1/retained', 'showRetained'))
  withNode(retained.command('delete'))
    .description('delete the retained message of one topic')
    .argument('<TOPIC>', 'topic name')
    .action(async (topic: string, options: NodeFlags) => {
      const { query } = await work()
      await tell(
        options,
        { method: 'DELETE', path: `/v1/retained${query({ topic })}` },
        `Deleted the retained message of "${topic}"\n`,
      )
    })
}

interface TestFlags extends NodeFlags {
  readonly clientId: string
  readonly address: string
}

function addAclOfNode(acl: Command): void {
  addAddressRules(acl)
  withNode(acl.command('test'))
    .description('whether a user may do something by the rules in force, and which one decides; status 1: denied')
    .argument('<USER>', 'user name; "" is the anonymous client')
    .addArgument(new Argument('<ACTION>', 'publish or subscribe').choices(['publish', 'subscribe']))
    .argument('<TOPIC>', 'topic name, or for subscribe a topic filter')
    .option('-i, --client-id <ID>', 'client identifier, for rules that depend on it', '')
    .option('--address <ADDRESS>', 'network address of the client, for rules that depend on it', '')
    .action(async (user: string, action: string, topic: string, options: TestFlags) => {
      const { testPermission } = await work()
      const { clientId, address } = options
      await testPermission(nodeOf(options), { user, action, topic, 'client-id': clientId, address })
    })
}

/** Row U16, and its words `true` and `false`. */
export function addAddressRules(acl: Command): void {
  withNode(acl.command('set'))
    .description(
      'a rule for an address or a range, in addresses.toml and in force at once; the narrowest range decides',
    )
    .argument('<ADDRESS>', 'IPv4 or IPv6 address, or a range such as 10.0.0.0/8')
    .addArgument(
      new Argument('<RULE>', 'allow: no credentials needed; deny: closed before any byte').choices([
        'allow',
        'deny',
        'true',
        'false',
      ]),
    )
    .action(async (address: string, word: string, options: NodeFlags) => {
      const rule = word === 'true' ? 'allow' : word === 'false' ? 'deny' : word
      const path = `/v1/acl/${encodeURIComponent(address)}`
      await tell(options, { method: 'PUT', path, body: { rule } }, `${address}: ${rule}, in force now\n`)
    })
  withNode(acl.command('get'))
    .description('the rule of an address or range')
    .argument('<ADDRESS>', 'as it stands in the list')
    .action((address: string, options: NodeFlags) =>
      ask(options, 'GET', `/v1/acl/${encodeURIComponent(address)}`, 'showAddressRule'),
    )
  withPage(acl.command('list').alias('all'), 'whose address contains this')
    .description('list them')
    .action((options: PageFlags) => list(options, '/v1/acl', 'showAddressRules'))
  withNode(acl.command('del'))
    .description('take a rule away: the normal login decides again')
    .argument('<ADDRESS>', 'as it stands in the list')
    .action(async (address: string, options: NodeFlags) => {
      const path = `/v1/acl/${encodeURIComponent(address)}`
      await tell(options, { method: 'DELETE', path }, `Deleted the rule of ${address}\n`)
    })
}

function addTrace(parent: Command): void {
  withNode(parent.command('trace'))
    .description('follow what happens to a client, an address or a topic, as it happens; the node is slower meanwhile')
    .addArgument(new Argument('<KIND>', 'what to follow').choices(['client', 'address', 'topic']))
    .argument('<WHAT>', 'client identifier, network address, or topic filter')
    .option('--for <SECONDS>', 'how long, at most 3600; a "s" behind it is fine', readTraceSeconds, 60)
    .option('--payload', 'show payloads, too')
    .action(
      async (kind: string, value: string, options: NodeFlags & { readonly for: number; readonly payload?: true }) => {
        const { followTrace } = await import('../ctl/trace.ts')
        await followTrace(nodeOf(options), { kind, value, seconds: options.for, payload: options.payload === true })
      },
    )
}

function readTraceSeconds(text: string): number {
  const [, number = ''] = /^([1-9]\d{0,3})s?$/.exec(text) ?? []
  if (number !== '' && Number(number) <= 3_600) return Number(number)
  throw new InvalidArgumentError('It must be a number of seconds from 1 to 3600.')
}

function addBans(ctl: Command): void {
  const bans = ctl.command('bans').description('who is kept out for a while')
  withPage(bans.command('list'), 'whose address or name contains this')
    .description('list them, the oldest first')
    .action((options: PageFlags) => list(options, '/v1/bans', 'showBans'))
  const who = (command: Command): Command =>
    withNode(command)
      .addArgument(new Argument('<KIND>', 'what it is').choices(['address', 'client', 'user']))
      .argument('<WHO>', 'address, client identifier or user name')
  who(bans.command('add'))
    .description('refuse an address, a client identifier or a user; who is connected stays')
    .option('--for <SECONDS>', 'how long; without it, until it is lifted or the node stops', readPositive)
    .action(async (kind: string, value: string, options: NodeFlags & { readonly for?: number }) => {
      const body = { kind: banKind(kind), value, ...(options.for !== undefined && { seconds: options.for }) }
      await tell(options, { method: 'POST', path: '/v1/bans', body }, `Banned ${kind} "${value}"\n`)
    })
  who(bans.command('lift'))
    .description('lift a ban')
    .action(async (kind: string, value: string, options: NodeFlags) => {
      const { query } = await work()
      const path = `/v1/bans${query({ kind: banKind(kind), value })}`
      await tell(options, { method: 'DELETE', path }, `Lifted the ban of ${kind} "${value}"\n`)
    })
}

function banKind(kind: string): string {
  return kind === 'client' ? 'clientId' : kind
}

function addAccount(parent: Command): void {
  const account = parent
    .command('account')
    .description('accounts of a running node, kept in users.toml, in force at once')
  withNode(account.command('set'))
    .description('add an account or give it a new password; asks for the password, or reads a line of standard input')
    .argument('<NAME>', 'user name')
    .option('--password-stdin', 'read the password from standard input, which is also done when it is no terminal')
    .action(async (name: string, options: NodeFlags) => (await work()).setAccount(nodeOf(options), name))
  withNode(account.command('get'))
    .description('whether there is such an account, how its password is kept, how many clients it has connected')
    .argument('<NAME>', 'user name')
    .action((name: string, options: NodeFlags) =>
      ask(options, 'GET', `/v1/accounts/${encodeURIComponent(name)}`, 'showAccount'),
    )
  withPage(account.command('list').alias('all'), 'whose name contains this')
    .description('names, never passwords')
    .action((options: PageFlags) => list(options, '/v1/accounts', 'showAccounts'))
  withNode(account.command('del'))
    .description('delete an account')
    .argument('<NAME>', 'user name')
    .option('--disconnect', 'disconnect its clients, too')
    .action(async (name: string, options: NodeFlags & { readonly disconnect?: true }) => {
      const { query } = await work()
      const path = `/v1/accounts/${encodeURIComponent(name)}${query({ disconnect: options.disconnect })}`
      await tell(options, { method: 'DELETE', path: path }, `Deleted account "${name}"\n`)
    })
}

function addSettings(parent: Command): void {
  const settings = parent.command('settings').description('settings of a running node')
  withNode(settings.command('list'))
    .description('every key, its value, where it comes from, and when a change takes effect')
    .option('--filter <TEXT>', 'keys that contain this')
    .action(async (options: NodeFlags & { readonly filter?: string }) => {
      const { query } = await work()
      await ask(options, 'GET', `/v1/settings${query({ filter: options.filter })}`, 'showSettings')
    })
  withNode(settings.command('get'))
    .description('one key')
    .argument('<KEY>', 'such as limits.packet-bytes-max')
    .action((key: string, options: NodeFlags) =>
      ask(options, 'GET', `/v1/settings/${encodeURIComponent(key)}`, 'showSetting'),
    )
  withNode(settings.command('set'))
    .description('change a value while the node runs; the file stays as it is without --save')
    .argument('<KEY>', 'such as limits.packet-bytes-max')
    .argument('<VALUE>', 'as in the environment: lists with commas')
    .option('--save', 'write it to concordmq.toml, too')
    .action((key: string, value: string, options: NodeFlags & { readonly save?: true }) =>
      setSetting(key, value, options),
    )
  withNode(settings.command('reload'))
    .description('read every file again, as `ctl reload` does')
    .action(async (options: NodeFlags) => (await work()).reload(nodeOf(options)))
}

async function setSetting(key: string, value: string, options: NodeFlags & { readonly save?: true }): Promise<void> {
  const body = { value, ...(options.save === true && { save: true }) }
  const { askAndShow } = await work()
  const { showSet } = await import('../ctl/show.ts')
  await askAndShow(nodeOf(options), { method: 'PUT', path: `/v1/settings/${encodeURIComponent(key)}`, body }, showSet)
}

/** Which node is meant, and how it is shown: the flags of every command here. */
export function withNode(command: Command): Command {
  return command
    .option('-d, --directory <DIR>', 'configuration directory of the node', defaultDirectory)
    .option(
      '--control-socket <PATH>',
      'its control socket (env CONCORDMQ_CONTROL_SOCKET; default: that of the directory)',
    )
    .option('--node <N>', 'its number in the address book, where several share the directory', readNode)
    .option('--json', 'print the answer as JSON')
}

function readNode(text: string): number {
  if (!/^\d{1,2}$/.test(text) || Number(text) > 30) throw new InvalidArgumentError('Give a number from 0 to 30.')
  return Number(text)
}

function withPage(command: Command, filter: string): Command {
  return withNode(command)
    .option('--filter <TEXT>', filter)
    .option('--page <NUMBER>', 'page, from 1', readPositive, 1)
    .option('--size <NUMBER>', 'entries on a page, at most 1000', readPositive, 50)
}

export function nodeOf({ directory, controlSocket, node, json }: NodeFlags) {
  return { directory, controlSocket, node, json: json === true }
}

async function work() {
  return import('../ctl/run.ts')
}

type Renderer = Exclude<keyof typeof import('../ctl/show.ts'), 'default'>

async function ask(options: NodeFlags, method: 'GET', path: string, renderer: Renderer): Promise<void> {
  const { askAndShow } = await work()
  const show = await import('../ctl/show.ts')
  await askAndShow(nodeOf(options), { method, path }, show[renderer])
}

async function list(
  options: PageFlags,
  path: string,
  renderer: Renderer,
  more: Readonly<Record<string, string | boolean | undefined>> = {},
): Promise<void> {
  const { query } = await work()
  const { filter, page, size } = options
  await ask(options, 'GET', path + query({ filter, page, size, ...more }), renderer)
}

async function tell(options: NodeFlags, question: Question, text: string): Promise<void> {
  const { askAndShow } = await work()
  await askAndShow(nodeOf(options), question, () => text)
}

function readPositive(text: string): number {
  if (/^[1-9]\d{0,6}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('It must be a positive number.')
}

function readSeconds(text: string): number {
  if (/^\d{1,4}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('It must be a number of seconds, at most 3600.')
}
