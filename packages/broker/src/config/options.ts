/**
 * What an embedding program may set. Every value has a default (`config/defaults.ts`); the library reads neither files nor
 * environment. Checked once, at start, by `config/check.ts`: all problems are reported together.
 */
import type { Hooks } from '../hooks/hooks.ts'
import type { CommandLog } from '../model/command-log.ts'
import type { Files } from '../model/files.ts'
import type { OrderedLog } from '../model/ordered-log.ts'
import type { SequencerFactory } from '../model/sequencer.ts'
import type { Logger } from '../telemetry/logger.ts'
import type { BanOptions, LimitOptions, RetainedOptions } from './limit-options.ts'
import type { Authenticator, Providers, StoreFactory, TopicStoreFactory } from './providers.ts'

export type { BanOptions, LimitOptions, RetainedOptions } from './limit-options.ts'

export interface BrokerOptions {
  readonly logger?: Logger
  readonly access?: AccessOptions
  readonly limits?: LimitOptions
  readonly bans?: BanOptions
  readonly sessions?: SessionOptions
  readonly retained?: RetainedOptions
  readonly delivery?: DeliveryOptions
  readonly features?: FeatureOptions
  readonly sys?: SysOptions
  /** Topics that go another way through a cluster than the rest. Nothing where this broker orders alone. */
  readonly ordering?: OrderingOptions
  /** What the program decides, changes and watches; see `hooks/hooks.ts`. More with `broker.addHooks()`. */
  readonly hooks?: readonly Hooks[]
  /** Who a client is, in place of the users in `access`: a function, an object with one, or a name. */
  readonly authenticator?: string | Authenticator
  /** Makes an index of subscriptions and retained topics; a function or a name. Default `builtIn`. */
  readonly topicStore?: string | TopicStoreFactory
  /** Makes what gives commands their order; a function or a name. Default `builtIn`. */
  readonly sequencer?: string | SequencerFactory
  /**
   * Makes where kept sessions, retained messages and wills lie, in the place of SQLite; a function or a name. With
   * `storage.directory` the log stands before it, else every acknowledgement waits for the store itself.
   */
  readonly sessionStore?: string | StoreFactory
  /** What the names above may stand for, beside the built-in ones. */
  readonly providers?: Providers
  readonly embedding?: EmbeddingOptions
  readonly storage?: StorageOptions
  /** This broker is one node of a cluster. Absent: it orders alone. */
  readonly cluster?: ClusterOptions
  /**
   * Threads that serve clients, each with sockets of its own; `auto`: one for each core, at most 8. Default 1. With more than one,
   * what runs code of this program on the path of a message is refused: hooks, an authenticator, stores, a sequencer.
   */
  readonly workers?: number | 'auto'
  /** Sees every command with its place before it is applied: for recordings. */
  readonly commandLog?: CommandLog
}

export interface ClusterOptions {
  /** The log that all nodes agree on. The broker starts it, and stops it when it closes. */
  readonly log: OrderedLog
  /** How long a node is silent before its clients count as lost, milliseconds; the same on all nodes. Default 10,000. */
  readonly nodeTimeoutMs?: number
  /**
   * What becomes of messages while too few nodes are there to order them. `local` (default): given at once to the transient
   * sessions of this node, marked with the user property `concord-ordered` = `false`, and ordered later for everybody else.
   * `queue`: they wait. `refuse`: PUBACK and PUBREC 0x97; before 5.0 the connection is closed.
   */
  readonly onStall?: 'local' | 'queue' | 'refuse'
  /** With `local`: whether QoS 1 is acknowledged when this node's disk has it. Default true. */
  readonly stallAcknowledge?: boolean
  /**
   * Takes clients before this node has caught up with the order: those without a kept session, on what it knows. What they publish
   * waits, and is acknowledged when it has its place. `ready` is false all the same. Default false.
   */
  readonly serveStale?: boolean
}

export interface AccessOptions {
  /** Whether a client may connect without user name. Default false. */
  readonly allowAnonymous?: boolean
  /** User name to Argon2id record (PHC string), as `makePasswordRecord()` makes it, or to one of Mosquitto. Default: no users. */
  readonly users?: ReadonlyMap<string, string>
  /** Refused CONNECTs are closed without a byte and logged at debug only (row F25). Default false. */
  readonly silentConnectErrors?: boolean
  /** How many passwords are checked at once, off the event loop. Default: number of cores, from 2 to 3. */
  readonly passwordChecksMax?: number
  /** How many checks may wait; above, CONNECT is refused as server busy. Default 1,000. */
  readonly passwordQueueMax?: number
  /** Enhanced authentication (AUTH); default: refused with 0x8C. */
  readonly enhanced?: EnhancedAuthenticator
  /** What clients may publish and subscribe to. Default: everything, at no cost. */
  readonly permissions?: PermissionOptions | undefined
  /** Addresses whose clients are closed unheard, or need no credentials (row U16). Default: none. */
  readonly addresses?: AddressRuleOptions | undefined
  /**
   * CONNACK code of a refused login in 3.1.1: 4 "bad user name or password" (default), or 5 "not authorized" as FoxMQ
   * answers. In 3.1 it is 4, in 5.0 0x86.
   */
  readonly refusedLoginCode?: 4 | 5
  /**
   * Which name of a verified client certificate is the user name of its holder: the common name, or its one alternative name
   * of a kind. Default `off`: certificates only open the connection.
   */
  readonly certificateUser?: 'off' | 'commonName' | 'dns' | 'email' | 'uri'
  /** JSON Web Tokens in the place of a password. Default: none are taken. */
  readonly tokens?: TokenOptions | undefined
  /** User name to SCRAM records, as `makeScramRecord()` makes them: at most one for each method. Default: none. */
  readonly scramRecords?: ReadonlyMap<string, readonly string[]> | undefined
  /** Bytes, at least 16, that salts of unknown users are made from. Default: random, so they change with each start. */
  readonly scramSecret?: Uint8Array | undefined
}

/** The narrowest range that holds an address decides; each is one address or a range, `10.0.0.0/8` or `2001:db8::/32`. */
export interface AddressRuleOptions {
  /** Their clients are let in without credentials, as the anonymous user; who gives some is checked as ever. */
  readonly allow?: readonly string[]
  /** Their connections are closed before any byte, and those that are open with DISCONNECT 0x98. */
  readonly deny?: readonly string[]
}

/** At least one of `jwks`, `pem` and `secret` is needed. */
export interface TokenOptions {
  /** Public keys: a JWK Set, as its JSON text. */
  readonly jwks?: string
  /** Public keys or certificates, PEM, any number of them. */
  readonly pem?: string
  /** The secret of HS256, HS384 and HS512, at least 32 bytes. */
  readonly secret?: Uint8Array
  /** Algorithms that are taken. Default: each that fits one of the keys. */
  readonly algorithms?: readonly string[]
  /** The `iss` and the `aud` that a token must have. Default: any. */
  readonly issuer?: string
  readonly audience?: string
  /** Seconds by which clocks may differ, 0..3600. Default 10. */
  readonly leewaySeconds?: number
  /** Whether a token without `exp` is refused. Default true. */
  readonly requireExpiry?: boolean
  /** Whether the connection ends when its token expires. Default true. */
  readonly endsWithToken?: boolean
  /** The claim that is the user name. Default `sub`. */
  readonly userClaim?: string
  /** The claims that list what may be published and subscribed to, as topic filters. Default `publish` and `subscribe`. */
  readonly publishClaim?: string
  readonly subscribeClaim?: string
  /** The field of CONNECT that carries it. Default `password`. */
  readonly carriedIn?: 'password' | 'username'
}

/**
 * Rules (row F28). A client's tables are those of its address, of its client identifier and of its user name, the most
 * specific first; within a table the first rule whose filter matches decides.
 */
export interface PermissionOptions {
  /** For what no rule matches. */
  readonly default: 'allow' | 'deny'
  /** A subscription that is wider than what may be read: refused (default), or granted and narrowed at delivery. */
  readonly widerSubscriptions?: 'refuse' | 'narrow'
  /** By user name; `*` is for everybody without a table of his own, the empty name for anonymous clients. */
  readonly users?: ReadonlyMap<string, PermissionTable>
  /** By client identifier: `abc` exactly, `abc*` by its beginning, `*` all. */
  readonly clients?: ReadonlyMap<string, PermissionTable>
  /** By network address or range: `10.0.0.0/8`, `::1`. */
  readonly addresses?: ReadonlyMap<string, PermissionTable>
  /** Rules that tables share, by name. */
  readonly groups?: ReadonlyMap<string, readonly PermissionRule[]>
}
export interface PermissionTable {
  readonly topics?: readonly PermissionRule[]
  /** Names of groups, whose rules follow the table's own in this order. */
  readonly groups?: readonly string[]
}
export interface PermissionRule {
  /** Topic filter. `%c` stands for the client identifier and `%u` for the user name, each as one literal level. */
  readonly filter: string
  /** An action that is listed in neither is denied, unless the rule only denies; then the default decides it. */
  readonly allowed?: readonly ('publish' | 'subscribe')[]
  readonly denied?: readonly ('publish' | 'subscribe')[]
  /** Where the rule stands, for explanations and errors; default: its place in these options. */
  readonly origin?: string
}

/** One exchange of enhanced authentication: CONNECT or a later AUTH with the method, then AUTH packets until done. */
export interface EnhancedExchange {
  readonly clientId: string
  readonly username: string | undefined
  readonly method: string
  readonly data: Uint8Array | undefined
  /** True for AUTH 0x19 on a connected client. */
  readonly reAuthentication: boolean
  /** Anything the authenticator wants to keep between steps. */
  state: unknown
}
export type EnhancedVerdict =
  | { readonly verdict: 'continue'; readonly data?: Uint8Array }
  | { readonly verdict: 'success'; readonly data?: Uint8Array; readonly principal?: string }
  | { readonly verdict: 'refuse'; readonly reasonCode: number; readonly reason?: string }
export interface EnhancedAuthenticator {
  readonly methods: readonly string[]
  step(exchange: EnhancedExchange): EnhancedVerdict | Promise<EnhancedVerdict>
}

export interface SessionOptions {
  /** Seconds; longer requests are lowered to it, and 3.1 and 3.1.1 sessions with clean session 0 get it. Default 2^32-1 (never). */
  readonly expiryMax?: number
  /** Messages queued for one kept session. Default 100,000. */
  readonly queueMessagesMax?: number
  /** Bytes queued for one kept session. Default 268,435,456. */
  readonly queueBytesMax?: number
  /** What happens when a kept session's queue is full. Default `dropNewest`. */
  readonly queueFull?: 'dropNewest' | 'dropOldest'
  /** Bytes queued for all kept sessions together. Default 8,589,934,592. */
  readonly queuesBytesMax?: number
  /** Sessions at once. Default 10,000,000. */
  readonly sessionsMax?: number
  /** Subscriptions of one session, kept or not. Default 100,000. */
  readonly subscriptionsMax?: number
}

export interface DeliveryOptions {
  /** Bytes held for all connections together. Default: a quarter of the memory that the process may use. */
  readonly backlogBytesMax?: number
  /** Bytes a second that a subscriber must take if publishers are to wait for it; 0: anything. Default 1,048,576. */
  readonly drainBytesPerSecondMin?: number
  /** Bytes queued for one connection beyond what its socket took. Default 67,108,864. */
  readonly queueBytesMax?: number
  /** Messages queued for one connection beyond what its socket took. Default 1,000,000. */
  readonly queueMessagesMax?: number
  /** What happens when it is full. Default `dropQoS0`: QoS 0 is dropped, QoS 1 and 2 close the connection 0x97. */
  readonly queueFull?: 'dropQoS0' | 'dropOldest' | 'disconnect'
}

export interface FeatureOptions {
  /** `off` (default), `prefix` for `$direct/<clientId>`, `bare` for fubar's mode in addition (row U10). */
  readonly directMessages?: 'off' | 'prefix' | 'bare'
  /** How the member of a shared group is chosen. Default `roundRobin`. */
  readonly shareStrategy?: 'roundRobin' | 'leastInflight' | 'stickyByPublisher' | 'random'
  /** Whether clients that may not do something are told 0x80 in place of 0x87, which says that it exists. Default false. */
  readonly obscureNotAuthorized?: boolean
  /** Told in CONNACK to 5.0 clients that ask for response information; empty (default): nothing. */
  readonly responseInformation?: string
  /** Tells it also to clients that do not ask, against [MQTT-3.1.2-28]. Default false. */
  readonly alwaysReturnResponse?: boolean
}

/** What concerns the program around the broker. */
export interface EmbeddingOptions {
  /** Milliseconds that a hook's promise may take; then it is a refusal. Default 5,000. */
  readonly hookTimeoutMs?: number
  /** Messages that wait for one handler of `broker.subscribe()`. Default 10,000. */
  readonly inlineQueueMessagesMax?: number
  /** Bytes of payload that wait for one. Default 67,108,864. */
  readonly inlineQueueBytesMax?: number
}

export interface StorageOptions {
  /** Where kept sessions, retained messages and wills lie; made if it is missing. Default: nowhere, they end with the process. */
  readonly directory?: string
  /**
   * What an acknowledgement waits for. `fsync` (default): the disk has it, it survives the loss of power. `os`: the operating
   * system has it, it survives the end of the process.
   */
  readonly durability?: 'fsync' | 'os'
  /** Another file system under the log, for tests. */
  readonly files?: Files
}

export interface OrderingOptions {
  /**
   * Topic filters whose messages skip the order, at QoS 0 and 1 and without RETAIN: given to whoever is connected at once, marked
   * with the user property `concord-ordered` = `false`. The same on all nodes. Default: none.
   */
  readonly fast?: readonly string[]
  /**
   * Topic filters whose messages are sealed: no other node reads one before its place is final. A 5.0 client asks for the same
   * for a single message with the user property `concord-sealed` = `1`. The same on all nodes. Default: none.
   */
  readonly sealed?: readonly string[]
}

export interface SysOptions {
  /** Seconds between `$SYS` updates; 0 switches `$SYS` off. Default 10. */
  readonly intervalSeconds?: number
}

/** Where clients come in. */
export type ListenerOptions =
  | ({ readonly kind: 'tcp' } & HostPort & Proxied)
  | ({ readonly kind: 'tls'; readonly tls: TlsMaterial } & HostPort & Proxied)
  | ({ readonly kind: 'ws' } & HostPort & Proxied)
  | ({ readonly kind: 'wss'; readonly tls: TlsMaterial } & HostPort & Proxied)
  | { readonly kind: 'unix'; readonly path: string; readonly name?: string }

export interface HostPort {
  /** IPv4 or IPv6 address, or host name. Default `127.0.0.1`: an embedded broker serves its own machine unless told. */
  readonly host?: string
  /** 0 picks a free port. */
  readonly port: number
  readonly name?: string
}

export interface Proxied {
  /**
   * Proxies in front of this listener, as addresses and networks (`10.0.0.0/8`): each of their connections must begin with a
   * PROXY protocol header (version 1 or 2), and the client is who that says. Others must not send one.
   */
  readonly proxyProtocol?: { readonly from: readonly string[] }
}

export interface TlsMaterial {
  /** PEM chain. */
  readonly cert: string
  /** PEM private key. */
  readonly key: string
  /** PEM roots for client certificates; with it a client certificate is asked for. */
  readonly ca?: string
  /** Whether a client without a valid certificate is refused. Default true when `ca` is given. */
  readonly requireClientCertificate?: boolean
}

/** A listener that is open. */
export interface ListenerHandle {
  readonly name: string
  readonly kind: ListenerOptions['kind']
  /** `127.0.0.1:1883`, `[::1]:1883`, or the path of a Unix socket, with the real port. */
  readonly address: string
  readonly port: number
  /** New connections get the new certificate; existing ones go on. Rejects with the reason, and keeps the old one. */
  reloadTls(tls: TlsMaterial): Promise<void>
  /** Takes no new connections. Existing ones are the broker's. */
  close(): Promise<void>
}
