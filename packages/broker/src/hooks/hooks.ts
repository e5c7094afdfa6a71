/**
 * The extension points of a broker. A program gives an object with some of these functions to `createBroker({ hooks })` or
 * `broker.addHooks()`; a point that nobody uses costs nothing.
 *
 *   decisions        say yes, no, or nothing: `authorize…`, `admit…`, `authenticate`
 *   transformations  return what takes the place of what they were given: `transform…`, `selectSubscribers`
 *   observations     are told what has happened, in the past tense, and change nothing
 *
 * Order of several: that of adding. What one changes is what the next one sees. `authenticate`: the first answer other than
 * `'ignore'` decides. Every other decision: the first refusal decides, so each hook can only forbid more.
 *
 * Containment. A decision that throws, answers nonsense or takes longer than `hooksTimeoutMs` is a refusal. A transformation
 * that does so refuses the message, the packet or the subscription: what it was to take out must not slip through. An
 * observation that throws is ignored. All of it is counted (`counters.hookFailures`) and logged once per change of state.
 *
 * Where it says *may wait*, a promise may be returned: later packets of that one connection wait for it, in order, and
 * beyond what one read brings its socket is not read. Elsewhere a promise is nonsense.
 *
 * Absent: hooks for storage and ordering. Those are interfaces of their own.
 */
import type { ConnectPacket, Packet, Properties, QoS, SubscriptionRequest } from '@concordmq/protocol'
import type { ClientInfo } from '../model/client-info.ts'

/** A refusal with the reason code that a 5.0 client is told, 0x80 or above. */
export interface Denial {
  readonly deny: number
}

/** `true`: yes. `false`: no. `'ignore'`: no opinion. Nothing at all is no answer, and counts as a refusal. */
export type Verdict = boolean | 'ignore' | Denial

/** An application message as hooks see it. */
export interface HookMessage {
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: QoS
  readonly retain: boolean
  readonly dup: boolean
  /** Packet identifier at QoS 1 and 2, where there is one; else 0. */
  readonly packetId: number
  readonly properties?: Properties
}

/** What a transformation may put in a message's place; the QoS, DUP and packet identifier are those of the handshake and stay. */
export type MessageChange = Pick<HookMessage, 'topic' | 'payload' | 'retain' | 'properties'>

/** What a client offers to be known by. */
export interface HookCredentials {
  readonly username: string | undefined
  /** Its bytes must not be kept or logged. */
  readonly password: Uint8Array | undefined
}

/** Why and how a client's connection ended. */
export interface Departure {
  /** The client's own DISCONNECT, or what the broker ended it with (5.0's numbers, whatever the version). */
  readonly reasonCode: number
  /** Whether the client said good-bye. */
  readonly byClient: boolean
}

export interface Publication {
  /** Names of shared groups that get a copy: `$share/<name>/<filter>`. */
  readonly sharedFilters: readonly string[]
}

export type MayWait<T> = T | PromiseLike<T>

export interface Hooks {
  /** For log lines and counters. */
  readonly name?: string

  // ------------------------------------------------------------ decisions

  /** A network connection, before its CONNECT. A refused one is closed without a byte. */
  admitConnection?(connection: { readonly listener: string; readonly remoteAddress: string }): Verdict
  /** Any packet of a client, CONNECT included, before anything is done with it. A refused one closes the connection. */
  admitPacket?(client: ClientInfo, packet: Packet): Verdict
  /** A CONNECT that keeps all rules, before it is known who it is. May wait. */
  authorizeConnect?(client: ClientInfo, packet: ConnectPacket): MayWait<Verdict>
  /** Who is it? All `'ignore'`: the broker's own users, or its `access.authenticator`, decide. May wait. */
  authenticate?(client: ClientInfo, credentials: HookCredentials): MayWait<Verdict>
  /** May the client publish this? Asked for wills too, at CONNECT. May wait. */
  authorizePublish?(client: ClientInfo, message: HookMessage): MayWait<Verdict>
  /** May the client subscribe to this? May wait. */
  authorizeSubscribe?(client: ClientInfo, subscription: SubscriptionRequest): MayWait<Verdict>
  /** May the client be sent this? Asked for every recipient. A refusal drops this copy. */
  authorizeDelivery?(client: ClientInfo, message: HookMessage): Verdict

  // ------------------------------------------------------------ transformations

  /** May wait. The protocol version and the enhanced authentication method stay. */
  transformConnect?(client: ClientInfo, packet: ConnectPacket): MayWait<ConnectPacket | Denial>
  /**
   * A message before it has its place in the order; `client` is undefined for the program's own. `'drop'`: acknowledged and
   * given to nobody. May wait.
   */
  transformPublish?(client: ClientInfo | undefined, message: HookMessage): MayWait<MessageChange | Denial | 'drop'>
  /** A will, at CONNECT: it is in the order from then on. `'drop'`: no will. May wait. */
  transformWill?(client: ClientInfo, will: HookMessage): MayWait<MessageChange | Denial | 'drop'>
  /** As many as were asked for, in their order: each has its code in SUBACK. May wait. */
  transformSubscribe?(
    client: ClientInfo,
    subscriptions: readonly SubscriptionRequest[],
  ): MayWait<readonly SubscriptionRequest[] | Denial>
  /** As many as were asked for, in their order. May wait. */
  transformUnsubscribe?(client: ClientInfo, filters: readonly string[]): MayWait<readonly string[] | Denial>
  /**
   * Which of these connected clients get the message. Called once for the transient sessions that subscribe to its topic, and
   * once for each kept session or member of a shared group when the message leaves for it.
   */
  selectSubscribers?(message: HookMessage, clientIds: readonly string[]): readonly string[]
  /** One recipient's copy, after `authorizeDelivery`. */
  transformOutgoing?(client: ClientInfo, message: HookMessage): MessageChange | 'drop'

  // ------------------------------------------------------------ observations

  started?(): void
  /** The last call of all. */
  stopped?(): void
  /** With each update of `$SYS`: names below `$SYS/broker/` and their values. */
  sysTicked?(values: ReadonlyMap<string, string>): void
  connectRefused?(client: ClientInfo, reasonCode: number): void
  /** Who it is has been decided; CONNACK has not left. */
  clientAuthenticated?(client: ClientInfo, packet: ConnectPacket): void
  /** CONNACK has left. */
  clientConnected?(client: ClientInfo, session: { readonly present: boolean }): void
  clientDisconnected?(client: ClientInfo, departure: Departure): void
  sessionEnded?(clientId: string, reason: 'expired' | 'cleanStart' | 'disconnect'): void
  packetReceived?(client: ClientInfo, packet: Packet): void
  /** What a packet asked for has been done, or refused. */
  packetProcessed?(client: ClientInfo, packet: Packet): void
  packetSent?(client: ClientInfo, packet: Packet): void
  /** `subscribers`: how many subscriptions each filter has now. */
  subscribed?(
    client: ClientInfo,
    subscriptions: readonly SubscriptionRequest[],
    outcome: { readonly reasonCodes: readonly number[]; readonly subscribers: readonly number[] },
  ): void
  unsubscribed?(
    client: ClientInfo,
    filters: readonly string[],
    outcome: { readonly reasonCodes: readonly number[]; readonly subscribers: readonly number[] },
  ): void
  /** A message was taken and given to those who are there; `client` is undefined for the program's own. */
  published?(client: ClientInfo | undefined, message: HookMessage, publication: Publication): void
  /** A publish was refused, by whatever rule. */
  publishRefused?(client: ClientInfo, message: HookMessage, reasonCode: number): void
  /** A client did not get a message: its queue was full, the message expired or was too large, or a hook refused it. */
  publishDropped?(client: ClientInfo, message: HookMessage): void
  /** PUBLISH was written towards the client. */
  delivered?(client: ClientInfo, message: HookMessage): void
  /** The client has acknowledged a message for good: PUBACK, PUBCOMP. */
  acknowledged?(client: ClientInfo, packetId: number, qos: 1 | 2): void
  /** A queued or unacknowledged message was given up. */
  qosDropped?(clientId: string, reason: 'refused' | 'expired' | 'queueFull' | 'sessionEnded' | 'passedOn'): void
  /** A message waits because the client's window (Receive Maximum, at most 65,535) is full. Once until it has room again. */
  packetIdsExhausted?(client: ClientInfo): void
  /** A retained message was stored; with an empty payload, cleared. */
  retainedStored?(message: HookMessage): void
  retainedExpired?(topic: string): void
  willSent?(clientId: string, will: HookMessage): void
}

/** Names of all points. */
export type HookPoint = Exclude<keyof Hooks, 'name'>
