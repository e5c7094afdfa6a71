/** What a program can say about a client, and the defaults. */
import {
  CLIENT_CONVERSATION_LIMITS,
  CLIENT_SESSION_LIMITS,
  type ConnackPacket,
  type Properties,
  type ProtocolVersion,
  type QoS,
} from '@concordmq/protocol'
import { ClientError } from './errors.ts'
import { RETRY_DEFAULTS, type RetryOptions } from './retry.ts'
import { parseServerUrl, type ServerAddress } from './server-address.ts'
import { dial } from './transport/dial.ts'
import type { Dial, TlsOptions } from './transport/transport.ts'

/** A received application message. */
export interface Message {
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: QoS
  readonly retain: boolean
  readonly dup: boolean
  /** On this network connection, at QoS 1 and 2. */
  readonly packetId?: number
  readonly properties?: Properties
}

/**
 * Gets the messages of one subscription. The server is answered (PUBACK, PUBREC) when it has returned, or when its promise
 * has settled; if it throws or rejects, a 5.0 server gets 0x83 and the program the notice `error`.
 */
export type MessageHandler = (message: Message) => void | Promise<void>

export interface WillOptions {
  readonly topic: string
  readonly payload?: Uint8Array | string
  readonly qos?: QoS
  readonly retain?: boolean
  /** 5.0: `willDelayInterval`, `messageExpiryInterval`, … */
  readonly properties?: Properties
}

/** Enhanced authentication (5.0, section 4.12). */
export interface AuthenticationOptions {
  readonly method: string
  /** For CONNECT. Called for every connection. */
  readonly begin?: () => Uint8Array | undefined
  /** The server's challenge in, the answer out. */
  readonly respond: (data: Uint8Array | undefined, properties: Properties) => AuthenticationAnswer
}
export type AuthenticationAnswer = Uint8Array | undefined | Promise<Uint8Array | undefined>

/** What the client tells in passing. A notice must not throw; what it throws is reported as an uncaught exception. */
export interface ClientNotices {
  connected?(connack: ConnackPacket): void
  /** The connection is over; `reconnecting` or `closed` follows. */
  disconnected?(error: ClientError): void
  reconnecting?(attempt: { readonly attempt: number; readonly delayMs: number; readonly server: string }): void
  /** Something went wrong that no promise tells: a handler threw, a subscription could not be made again. */
  error?(error: unknown): void
  /** The client is over: without an error after `disconnect()`. */
  closed?(error: ClientError | undefined): void
}

export interface ClientOptions {
  /** `mqtt://`, `mqtts://`, `ws://`, `wss://` with host, `unix:` with a path. May carry user name and password. */
  readonly url: string
  /** 5 (default), 4 for 3.1.1, 3 for 3.1. */
  readonly version?: ProtocolVersion
  /** Default: a random one. Empty: the server chooses. */
  readonly clientId?: string
  /** Default true. When the client reconnects by itself it goes on with its session if there may be one. */
  readonly cleanStart?: boolean
  /** Seconds. Default 60; 0: off. */
  readonly keepAlive?: number
  readonly username?: string
  readonly password?: Uint8Array | string
  readonly will?: WillOptions
  /** Seconds that the server keeps the session (5.0); 4294967295: for ever. Default 0. */
  readonly sessionExpiryInterval?: number
  /** QoS 1 and 2 messages that the server may have under way to us (5.0). Default 1,000. */
  readonly receiveMaximum?: number
  /** Largest packet taken, bytes. Default 16 MiB. */
  readonly maximumPacketSize?: number
  /** Aliases that the server may use (5.0). Default 32. */
  readonly topicAliasMaximum?: number
  /** Aliases used towards the server, as far as it allows (5.0). Default 64; 0: none. */
  readonly topicAliasesUsedMax?: number
  /** Further properties of CONNECT (5.0). */
  readonly properties?: Properties
  readonly authentication?: AuthenticationOptions
  readonly tls?: TlsOptions
  /** For the network connection. Default 30,000. */
  readonly connectTimeoutMs?: number
  /** From CONNECT to CONNACK. Default 30,000. */
  readonly connackTimeoutMs?: number
  /** From PINGREQ to a sign of life. Default 20,000. */
  readonly pingTimeoutMs?: number
  /** How to connect again after a lost connection; false: never. The first connection is tried once. */
  readonly reconnect?: Partial<RetryOptions> | false
  /** How many Server References (5.0) to follow in a row. Default 3; 0: none. Credentials go to the server named. */
  readonly redirectsMax?: number
  /** Publications waiting or in flight; one more is refused with `CMQ_QUEUE_FULL`. Default 100,000. */
  readonly queueMessagesMax?: number
  /** Bytes of these. Default 64 MiB. */
  readonly queueBytesMax?: number
  /** SUBSCRIBE and UNSUBSCRIBE waiting or unanswered. Default 10,000. */
  readonly requestsMax?: number
  /** Messages waiting for one iterator; then reading stops until half are taken. Default 1,000. */
  readonly iteratorMessagesMax?: number
  readonly notices?: ClientNotices
  /** For the jitter, in [0, 1). Default `Math.random`. */
  readonly random?: () => number
  /** Opens the network connection. Default: by the scheme of the URL. */
  readonly dial?: Dial
}

/** Options with every default filled in. */
export interface ClientSettings {
  readonly options: ClientOptions
  readonly address: ServerAddress
  readonly version: ProtocolVersion
  readonly clientId: string
  readonly cleanStart: boolean
  readonly keepAlive: number
  readonly username: string | undefined
  readonly password: Uint8Array | undefined
  readonly sessionExpiryInterval: number
  readonly reconnect: RetryOptions | undefined
  readonly redirectsMax: number
  readonly receiveMaximum: number
  readonly maximumPacketSize: number
  readonly topicAliasMaximum: number
  readonly topicAliasesUsedMax: number
  readonly connectTimeoutMs: number
  readonly connackTimeoutMs: number
  readonly pingTimeoutMs: number
  readonly queueMessagesMax: number
  readonly queueBytesMax: number
  readonly requestsMax: number
  readonly iteratorMessagesMax: number
  readonly notices: ClientNotices
  readonly random: () => number
  readonly dial: Dial
}

const encoder = new TextEncoder()

export function asBytes(value: Uint8Array | string): Uint8Array {
  return typeof value === 'string' ? encoder.encode(value) : value
}

/** Fills in the defaults and refuses what cannot be meant. */
export function resolveOptions(options: ClientOptions): ClientSettings {
  const { address, username, password } = parseServerUrl(options.url)
  const version = options.version ?? 5
  if (![3, 4, 5].includes(version)) {
    throw new ClientError('CMQ_OPTION', `Cannot use version ${version}: expected 5, 4 (for 3.1.1) or 3 (for 3.1)`)
  }
  const secret = options.password ?? password
  const settings: ClientSettings = {
    options,
    address,
    version,
    clientId: options.clientId ?? randomClientId(),
    cleanStart: options.cleanStart ?? true,
    keepAlive: inRange(options, 'keepAlive', 60, 0, 65535),
    username: options.username ?? username,
    password: secret === undefined ? undefined : asBytes(secret),
    sessionExpiryInterval: inRange(options, 'sessionExpiryInterval', 0, 0, 0xffffffff),
    reconnect: options.reconnect === false ? undefined : { ...RETRY_DEFAULTS, ...options.reconnect },
    redirectsMax: inRange(options, 'redirectsMax', 3, 0, 100),
    receiveMaximum: inRange(options, 'receiveMaximum', 1000, 1, 65535),
    maximumPacketSize: inRange(options, 'maximumPacketSize', 16 * 1024 * 1024, 1, 0xffffffff),
    topicAliasMaximum: inRange(options, 'topicAliasMaximum', 32, 0, 65535),
    topicAliasesUsedMax: inRange(options, 'topicAliasesUsedMax', CLIENT_CONVERSATION_LIMITS.topicAliasMax, 0, 65535),
    connectTimeoutMs: inRange(options, 'connectTimeoutMs', 30_000, 1, 0x7fffffff),
    connackTimeoutMs: inRange(options, 'connackTimeoutMs', CLIENT_CONVERSATION_LIMITS.connackTimeoutMs, 1, 0x7fffffff),
    pingTimeoutMs: inRange(options, 'pingTimeoutMs', CLIENT_CONVERSATION_LIMITS.pingTimeoutMs, 1, 0x7fffffff),
    queueMessagesMax: inRange(options, 'queueMessagesMax', CLIENT_SESSION_LIMITS.queueMessagesMax, 1, 0xffffffff),
    queueBytesMax: inRange(options, 'queueBytesMax', CLIENT_SESSION_LIMITS.queueBytesMax, 1, Number.MAX_SAFE_INTEGER),
    requestsMax: inRange(options, 'requestsMax', CLIENT_SESSION_LIMITS.requestsMax, 1, 65535),
    iteratorMessagesMax: inRange(options, 'iteratorMessagesMax', 1000, 1, 0xffffffff),
    notices: options.notices ?? {},
    random: options.random ?? Math.random,
    dial: options.dial ?? dial,
  }
  checkCombinations(settings)
  return settings
}

type NumberOption = {
  [K in keyof ClientOptions]-?: ClientOptions[K] extends number | undefined ? K : never
}[keyof ClientOptions]

function inRange(options: ClientOptions, key: NumberOption, fallback: number, min: number, max: number): number {
  const value = options[key] ?? fallback
  if (Number.isInteger(value) && value >= min && value <= max) return value
  throw new ClientError('CMQ_OPTION', `Cannot use ${key} ${value}: expected an integer from ${min} to ${max}`)
}

function checkCombinations({ options, version, clientId, cleanStart, username, password }: ClientSettings): void {
  if (version !== 5) {
    const only5 = ['sessionExpiryInterval', 'properties', 'authentication'] as const
    for (const key of only5) {
      if (options[key] !== undefined)
        throw new ClientError('CMQ_OPTION', `Cannot use ${key} in MQTT 3: set version to 5`)
    }
    // [MQTT3-3.1.2-22] A password needs a user name before 5.0.
    if (password !== undefined && username === undefined) {
      throw new ClientError('CMQ_OPTION', 'Cannot send a password without a user name in MQTT 3: set username')
    }
    // [MQTT3-3.1.3-7] A server may name only those that keep no session.
    if (clientId === '' && (!cleanStart || version === 3)) {
      throw new ClientError('CMQ_OPTION', 'Cannot use an empty clientId here: set one, or cleanStart with MQTT 3.1.1')
    }
  }
  if (version === 3 && clientId.length > 23) {
    throw new ClientError('CMQ_OPTION', `Cannot use clientId "${clientId}" in MQTT 3.1: it has more than 23 characters`)
  }
}

/** 20 characters of those that every server must accept [MQTT-3.1.3-5]. */
function randomClientId(): string {
  const random = crypto.getRandomValues(new Uint8Array(8))
  return `cmq0${Array.from(random, (byte) => byte.toString(16).padStart(2, '0')).join('')}`
}
