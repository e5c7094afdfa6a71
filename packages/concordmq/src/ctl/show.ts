/** What each command of `ctl` prints for a person; `--json` prints the answer as it came. */
import type { Ban, ClientDetail, RetainedInfo, SessionInfo, SubscriptionInfo } from '@concordmq/broker'
import type { DocumentAnswer } from '../administration/document-file.ts'
import { fileOf } from '../administration/ordered-texts.ts'
import type { ReloadReport } from '../running/reload.ts'
import { bytesText, type Column, durationText, formatPairs, formatTable, grouped } from '../terminal/table.ts'

interface Page<T> {
  readonly items: readonly T[]
  readonly page: number
  readonly size: number
  readonly more: boolean
  readonly total?: number
}

function page<T>({ items, page: number, size, more, total }: Page<T>, what: string, columns: readonly Column<T>[]) {
  if (items.length === 0) return number === 1 ? `No ${what}\n` : `No more ${what}\n`
  const first = (number - 1) * size + 1
  const range = `${grouped(first)} to ${grouped(first + items.length - 1)}${total === undefined ? '' : ` of ${grouped(total)}`}`
  const next = more ? `; --page ${number + 1} shows the next` : ''
  return formatTable(items, columns) + (more || number > 1 ? `\n${range}${next}\n` : '')
}

const since = (ms: number): string => durationText((Date.now() - ms) / 1_000)
const yes = (value: boolean): string => (value ? 'yes' : 'no')

export interface StateAnswer {
  readonly name: string
  readonly description: string
  readonly version: string
  readonly listeners: readonly { readonly transport: string; readonly address: string; readonly connections: number }[]
  readonly routes: number
  readonly memory_mb: number
  readonly load: number
  readonly pid: number
  readonly ready: boolean
  readonly uptime_seconds: number
  readonly directory: string
  readonly clients: number
  readonly sessions: number
  readonly connections: number
  readonly subscriptions: number
  readonly retainedMessages: number
  readonly queuedMessages: number
  readonly queuedBytes: number
}

export function showState(answer: unknown): string {
  const state = answer as StateAnswer
  return (
    formatPairs({
      Node: state.name,
      Version: state.version,
      Running: `${durationText(state.uptime_seconds)}, process ${state.pid}, ${state.ready ? 'ready' : 'not ready'}`,
      Directory: state.directory,
      Memory: `${state.memory_mb} MiB`,
      Load: `${(state.load * 100).toFixed(1)} %`,
      Clients: `${grouped(state.clients)} connected, ${grouped(state.sessions)} sessions`,
      Subscriptions: grouped(state.subscriptions),
      Retained: grouped(state.retainedMessages),
      Queued: `${grouped(state.queuedMessages)} messages, ${bytesText(state.queuedBytes)}`,
    }) +
    '\n' +
    formatTable(state.listeners, [
      { head: 'LISTENER', cell: ({ transport }) => transport },
      { head: 'ADDRESS', cell: ({ address }) => address },
      { head: 'CLIENTS', cell: ({ connections }) => grouped(connections), right: true },
    ])
  )
}

interface ClusterAnswer {
  readonly mode: string
  readonly network?: string
  readonly node?: number
  readonly transports?: readonly string[]
  readonly addresses?: readonly string[]
  readonly epoch?: number
  readonly round?: number
  readonly nextStep?: number
  readonly position?: number
  readonly checkpointStep?: number
  readonly fairCuts?: number
  readonly queuedMessages?: number
  readonly queuedBytes?: number
  readonly documents?: readonly DocumentAnswer[]
  readonly nodes: readonly ClusterNodeAnswer[]
}
interface ClusterNodeAnswer {
  readonly node: number
  readonly keyId: string
  readonly address: string | null
  readonly self: boolean
  readonly up?: boolean
  readonly jailed?: boolean
  readonly demoted?: boolean
  readonly transport?: string | null
  readonly version?: string | null
  readonly rttUs?: number
}

export function showCluster(answer: unknown): string {
  const cluster = answer as ClusterAnswer
  if (cluster.mode === 'none') return 'This node orders alone: there is no cluster\n'
  return (
    formatPairs({
      Cluster: `"${cluster.network}", epoch ${cluster.epoch}, ${cluster.mode}`,
      'This node': `${(cluster.node ?? -1) < 0 ? 'not in the book yet' : cluster.node}, over ${cluster.transports?.join(' and ').toUpperCase()} on ${cluster.addresses?.join(', ')}`,
      Position: grouped(cluster.position ?? 0),
      Round: `${grouped(cluster.round ?? 0)}, next step ${grouped(cluster.nextStep ?? 0)}`,
      Checkpoint: `step ${grouped(cluster.checkpointStep ?? 0)}`,
      'Fair cuts': grouped(cluster.fairCuts ?? 0),
      Permissions: documentText(cluster, 'permissions'),
      Users: documentText(cluster, 'users'),
      Waiting: `${grouped(cluster.queuedMessages ?? 0)} messages, ${bytesText(cluster.queuedBytes ?? 0)}`,
    }) +
    '\n' +
    formatTable(cluster.nodes, [
      { head: 'NODE', cell: ({ node, self }) => `${node}${self ? ' (this)' : ''}`, right: true },
      { head: 'KEY', cell: ({ keyId }) => keyId },
      { head: 'ADDRESS', cell: ({ address }) => address ?? '-' },
      { head: 'LINK', cell: linkState },
      { head: 'OVER', cell: ({ transport }) => transport?.toUpperCase() ?? '-' },
      { head: 'RTT', cell: ({ rttUs }) => (rttUs ? `${(rttUs / 1_000).toFixed(1)} ms` : '-'), right: true },
      { head: 'VERSION', cell: ({ version }) => version || '-' },
    ])
  )
}

function documentText({ documents = [] }: ClusterAnswer, subject: DocumentAnswer['subject']): string {
  const found = documents.find((one) => one.subject === subject)
  if (found === undefined) return `${fileOf[subject]} of each node`
  const { version, withdrawn, digest, position, operators } = found
  const what = withdrawn ? `withdrawn, ${fileOf[subject]} of each node` : `SHA-256 ${(digest ?? '').slice(0, 16)}`
  const names = `${operators.length === 1 ? 'operator' : 'operators'} ${operators.join(', ')}`
  return `version ${version}, ${what}, since position ${grouped(position)}, by ${names}`
}

function linkState({ self, up, jailed, demoted }: ClusterNodeAnswer): string {
  const state = self ? 'self' : up ? 'up' : 'down'
  return `${state}${jailed ? ', jailed' : demoted ? ', demoted' : ''}`
}

export function showClients(answer: unknown): string {
  return page(answer as Page<ClientDetail>, 'clients', [
    { head: 'CLIENT', cell: ({ clientId }) => clientId },
    { head: 'USER', cell: ({ username }) => username || '-' },
    { head: 'ADDRESS', cell: ({ remoteAddress }) => remoteAddress || '-' },
    { head: 'MQTT', cell: ({ protocol }) => protocol },
    { head: 'OVER', cell: ({ listener }) => listener },
    { head: 'FOR', cell: ({ connectedAtMs }) => since(connectedAtMs) },
    { head: 'SUBS', cell: ({ subscriptions }) => grouped(subscriptions), right: true },
    { head: 'INFLIGHT', cell: ({ inflight }) => grouped(inflight), right: true },
    { head: 'QUEUED', cell: ({ queuedMessages }) => grouped(queuedMessages), right: true },
  ])
}

export function showClient(answer: unknown): string {
  const client = answer as ClientDetail
  return formatPairs({
    Client: client.clientId,
    User: client.username || '(anonymous)',
    Protocol: `MQTT ${client.protocol}`,
    Connection: `${client.remoteAddress}${client.remotePort === 0 ? '' : ` port ${client.remotePort}`}, ${client.listener}${client.encrypted ? ', encrypted' : ''}`,
    'Connected for': since(client.connectedAtMs),
    'Keep alive': client.keepAliveSeconds === 0 ? 'none' : `${client.keepAliveSeconds} s`,
    Session: client.kept ? 'kept when the connection ends' : 'ends with the connection',
    Subscriptions: grouped(client.subscriptions),
    'In flight': grouped(client.inflight),
    Queued: `${grouped(client.queuedMessages)} messages, ${bytesText(client.queuedBytes)}`,
    'Not taken by its socket': bytesText(client.outputBytes),
    'Largest packet': bytesText(client.packetBytesMax),
  })
}

export function showSubscriptions(answer: unknown): string {
  return page(answer as Page<SubscriptionInfo>, 'subscriptions', subscriptionColumns)
}

const subscriptionColumns: readonly Column<SubscriptionInfo>[] = [
  { head: 'CLIENT', cell: ({ clientId }) => clientId },
  { head: 'FILTER', cell: ({ filter }) => filter },
  { head: 'QOS', cell: ({ qos }) => qos, right: true },
  { head: 'NO LOCAL', cell: ({ noLocal }) => yes(noLocal) },
  { head: 'KEPT', cell: ({ kept }) => yes(kept) },
  { head: 'ID', cell: ({ subscriptionId }) => subscriptionId || '-' },
]

export function showSessions(answer: unknown): string {
  return page(answer as Page<SessionInfo>, 'sessions', [
    { head: 'CLIENT', cell: ({ clientId }) => clientId },
    { head: 'USER', cell: ({ username }) => username || '-' },
    { head: 'CONNECTED', cell: ({ connected }) => yes(connected) },
    { head: 'KEPT', cell: ({ kept }) => yes(kept) },
    { head: 'EXPIRES', cell: expiryOf },
    { head: 'SUBS', cell: ({ subscriptions }) => grouped(subscriptions), right: true },
    { head: 'QUEUED', cell: ({ queuedMessages }) => grouped(queuedMessages), right: true },
    { head: 'BYTES', cell: ({ queuedBytes }) => bytesText(queuedBytes), right: true },
  ])
}

export function showSession(answer: unknown): string {
  const session = answer as SessionInfo & { readonly filters: readonly SubscriptionInfo[] }
  return (
    formatPairs({
      Client: session.clientId,
      User: session.username || '(anonymous)',
      Protocol: `MQTT ${session.protocol}`,
      Connected: yes(session.connected),
      Kept: yes(session.kept),
      Expires: expiryOf(session),
      Will: session.will ? 'yes' : 'no',
      Queued: `${grouped(session.queuedMessages)} messages, ${bytesText(session.queuedBytes)}`,
      'QoS 2 exchanges open': grouped(session.receipts),
      Subscriptions: grouped(session.subscriptions),
    }) + (session.filters.length === 0 ? '' : `\n${formatTable(session.filters, subscriptionColumns.slice(1))}`)
  )
}

function expiryOf({ expirySeconds, expiresAtMs, kept }: SessionInfo): string {
  if (expiresAtMs !== null) return `in ${durationText((expiresAtMs - Date.now()) / 1_000)}`
  if (!kept) return 'with the connection'
  return expirySeconds === null ? 'never' : `${durationText(expirySeconds)} after it disconnects`
}

export function showRetained(answer: unknown): string {
  return page(answer as Page<RetainedInfo>, 'retained messages', [
    { head: 'TOPIC', cell: ({ topic }) => topic },
    { head: 'QOS', cell: ({ qos }) => qos, right: true },
    { head: 'BYTES', cell: ({ payloadBytes }) => grouped(payloadBytes), right: true },
    { head: 'BY', cell: ({ publisher }) => publisher || '(the broker)' },
    { head: 'AGE', cell: ({ publishedAtMs }) => since(publishedAtMs) },
  ])
}

export function showAccounts(answer: unknown): string {
  return page(answer as Page<{ readonly name: string; readonly record: string }>, 'accounts', [
    { head: 'USER', cell: ({ name }) => name },
    { head: 'PASSWORD RECORD', cell: ({ record }) => record },
  ])
}

interface ShownRule {
  readonly address: string
  readonly rule: string
}

export function showAddressRules(answer: unknown): string {
  return page(answer as Page<ShownRule>, 'address rules', [
    { head: 'ADDRESS', cell: ({ address }) => address },
    { head: 'RULE', cell: ({ rule }) => rule },
  ])
}

export function showAddressRule(answer: unknown): string {
  const { address, rule } = answer as ShownRule
  return formatPairs({
    Address: address,
    Rule: rule === 'allow' ? 'allow: no credentials needed' : 'deny: closed before any byte',
  })
}

export function showBans(answer: unknown): string {
  return page(answer as Page<Ban>, 'bans', [
    { head: 'OF', cell: ({ kind }) => (kind === 'clientId' ? 'client' : kind) },
    { head: 'WHO', cell: ({ value }) => value },
    { head: 'BY', cell: ({ reason }) => reason },
    { head: 'FOR', cell: ({ sinceMs }) => since(sinceMs) },
    {
      head: 'UNTIL',
      cell: ({ untilMs }) =>
        untilMs === undefined ? 'it is lifted' : `in ${durationText(Math.max(0, untilMs - Date.now()) / 1_000)}`,
    },
  ])
}

interface ShownSetting {
  readonly key: string
  readonly value: unknown
  readonly origin: string
  readonly effect: string
  readonly next?: unknown
  readonly about: string
  readonly variable: string
}

const valueText = (value: unknown): string => (value === null ? '(not set)' : JSON.stringify(value))

export function showSettings(answer: unknown): string {
  const { items } = answer as { readonly items: readonly ShownSetting[] }
  if (items.length === 0) return 'No settings\n'
  return formatTable(items, [
    { head: 'KEY', cell: ({ key }) => key },
    {
      head: 'VALUE',
      cell: ({ value, next }) => valueText(value) + (next === undefined ? '' : ` (next: ${valueText(next)})`),
    },
    { head: 'FROM', cell: ({ origin }) => origin },
    { head: 'A CHANGE TAKES EFFECT', cell: ({ effect }) => effect },
  ])
}

export function showSetting(answer: unknown): string {
  const setting = answer as ShownSetting
  return formatPairs({
    Key: setting.key,
    Value: valueText(setting.value),
    ...(setting.next !== undefined && { 'At the next start': valueText(setting.next) }),
    From: setting.origin,
    'A change takes effect':
      setting.effect === 'new connections'
        ? 'for new connections'
        : setting.effect === 'now'
          ? 'now'
          : 'at the next start',
    About: setting.about,
    Variable: setting.variable,
  })
}

export function showSet(answer: unknown): string {
  const set = answer as {
    readonly key: string
    readonly from: unknown
    readonly to: unknown
    readonly effect: string
    readonly saved: string | null
    readonly overridden: string | null
  }
  const effect = {
    now: 'in force now',
    'new connections': 'in force for new connections; those that are open keep what they have',
    restart: 'in force at the next start',
  }[set.effect]
  const kept =
    set.saved === null
      ? 'concordmq.toml is not changed: the next start, and the next reload, go back to what it says'
      : `Written to ${set.saved}`
  const overridden = set.overridden === null ? '' : `\nNote: ${set.overridden} wins over the file at the next start`
  return `${set.key}: ${valueText(set.from ?? null)} → ${valueText(set.to ?? null)}, ${effect}\n${kept}${overridden}\n`
}

export function showReload(answer: unknown): string {
  const { parts, waiting } = answer as ReloadReport
  const lines = parts.flatMap(({ part, outcome, reason, keys = [] }) => [
    outcome === 'refused'
      ? `${part}: refused, the old one stays\n  ${reason?.replaceAll('\n', '\n  ')}`
      : `${part}: ${outcome}`,
    ...keys.map(
      ({ path, from, to, effect }) => `  ${path}: ${valueText(from ?? null)} → ${valueText(to ?? null)} (${effect})`,
    ),
  ])
  const later = waiting.length === 0 ? [] : [`These take effect at the next start: ${waiting.join(', ')}`]
  return `${[...lines, ...later].join('\n')}\n`
}

export function showAccount(answer: unknown): string {
  const { name, record, connected } = answer as { name: string; record: string; connected: number }
  return formatPairs({ User: name, 'Password record': record, 'Connected clients': grouped(connected) })
}
