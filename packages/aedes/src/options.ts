/** Options and handlers under Aedes' names. */
import type { BrokerOptions } from '@concordmq/broker'
import type { Client, Done } from './client.ts'
import type { ConnectPacket, PublishPacket, Subscription } from './packets.ts'

export type PreConnect = (
  client: Client,
  packet: ConnectPacket,
  done: (error: Error | null, success?: boolean) => void,
) => void
export type Authenticate = (
  client: Client,
  username: string | undefined,
  password: Buffer | undefined,
  done: (error: (Error & { returnCode?: number }) | null, success?: boolean | null) => void,
) => void
export type AuthorizePublish = (client: Client | null, packet: PublishPacket, done: Done) => void
export type AuthorizeSubscribe = (
  client: Client,
  subscription: Subscription,
  done: (error: Error | null, subscription?: Subscription | null) => void,
) => void
export type AuthorizeForward = (client: Client, packet: PublishPacket) => PublishPacket | null | undefined
export type Published = (packet: PublishPacket, client: Client | null, done: Done) => void

export interface AedesHandlers {
  preConnect?: PreConnect
  authenticate?: Authenticate
  authorizePublish?: AuthorizePublish
  authorizeSubscribe?: AuthorizeSubscribe
  authorizeForward?: AuthorizeForward
  published?: Published
}

export interface AedesOptions extends AedesHandlers {
  /** Default: a random UUID. */
  id?: string
  /** Milliseconds between `$SYS/<id>/heartbeat`. Default 60,000. */
  heartbeatInterval?: number
  /** Milliseconds from connection to CONNECT. Default 30,000. */
  connectTimeout?: number
  /** Seconds; 0: no limit. Default 0. */
  keepaliveLimit?: number
  /** Default 100. */
  maxTopicLevels?: number
  /** Accepted and without effect: no client waits for another here, and 3.1 identifiers have no limit of 23. */
  concurrency?: number
  queueLimit?: number
  drainTimeout?: number
  maxClientsIdLength?: number
  /** Whatever else the broker can be told, under its own names. */
  concord?: BrokerOptions
}

/** What stands for parts that this broker has inside. */
const absent: Readonly<Record<string, string>> = {
  mq: 'messages are delivered by the broker itself',
  persistence: 'sessions and retained messages are kept by the broker itself',
  decodeProtocol: 'give a listener `proxyProtocol` instead',
  trustProxy: 'give a listener `proxyProtocol` instead',
  trustedProxies: 'give a listener `proxyProtocol` instead',
}
const known = new Set([
  ...['preConnect', 'authenticate', 'authorizePublish', 'authorizeSubscribe', 'authorizeForward', 'published'],
  ...['id', 'heartbeatInterval', 'connectTimeout', 'keepaliveLimit', 'maxTopicLevels', 'concurrency', 'queueLimit'],
  ...['drainTimeout', 'maxClientsIdLength', 'concord'],
])

/** Throws for an option that would silently mean nothing. */
export function checkOptions(options: AedesOptions): void {
  for (const [key, value] of Object.entries(options)) {
    if (value === undefined || known.has(key)) continue
    throw new TypeError(
      absent[key] === undefined
        ? `Unknown option ${JSON.stringify(key)}; known are ${[...known].join(', ')}`
        : `Option ${JSON.stringify(key)} is not supported: ${absent[key]}`,
    )
  }
}

export function brokerOptionsOf(options: AedesOptions): BrokerOptions {
  const { connectTimeout, keepaliveLimit = 0, maxTopicLevels = 100, concord = {} } = options
  return {
    sys: { intervalSeconds: 0 },
    ...concord,
    limits: {
      keepAliveMax: keepaliveLimit,
      topicLevelsMax: Math.min(100, Math.max(1, maxTopicLevels)),
      ...(connectTimeout !== undefined && { connectTimeoutMs: connectTimeout }),
      ...concord.limits,
    },
  }
}
