/**
 * What an operator may see of a running broker, and the few things done on request: end a session, take a retained message
 * away. Everything is read from the machines at the moment of asking; nothing is kept for it, so a broker that nobody
 * inspects pays nothing.
 *
 * Lists are iterables over live maps: whoever shows a million of them takes a slice, lets other work in, and goes on. What
 * ends meanwhile is left out, what begins may be missed.
 */
import type { ConnectionId, Session, Subscription } from '@concordmq/state'
import type { Connection } from '../connections/connection.ts'
import type { SessionDriver } from '../sessions/session-driver.ts'

/** A connected client. */
export interface ClientDetail {
  readonly clientId: string
  /** Empty: anonymous. */
  readonly username: string
  /** `3.1`, `3.1.1`, `5.0`. */
  readonly protocol: string
  readonly listener: string
  readonly remoteAddress: string
  readonly remotePort: number
  readonly encrypted: boolean
  readonly connectedAtMs: number
  readonly keepAliveSeconds: number
  /** Whether the session outlives this connection. */
  readonly kept: boolean
  readonly subscriptions: number
  /** QoS 1 and 2 messages sent and not settled. */
  readonly inflight: number
  /** Messages that wait for it. */
  readonly queuedMessages: number
  readonly queuedBytes: number
  /** Bytes its socket has not taken yet. */
  readonly outputBytes: number
  readonly packetBytesMax: number
}

/** A session, with or without a connection. */
export interface SessionInfo {
  readonly clientId: string
  readonly username: string
  readonly protocol: string
  readonly connected: boolean
  readonly kept: boolean
  /** Seconds; null: never. */
  readonly expirySeconds: number | null
  /** When it expires, milliseconds since 1970; null: not while connected, or never. */
  readonly expiresAtMs: number | null
  readonly subscriptions: number
  readonly queuedMessages: number
  readonly queuedBytes: number
  /** QoS 2 messages received whose exchange is not over. */
  readonly receipts: number
  readonly will: boolean
}

export interface SubscriptionInfo {
  readonly clientId: string
  /** `$share/name/` included. */
  readonly filter: string
  readonly qos: 0 | 1 | 2
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  /** 0: none. */
  readonly subscriptionId: number
  readonly kept: boolean
}

export interface RetainedInfo {
  readonly topic: string
  readonly qos: 0 | 1 | 2
  readonly payloadBytes: number
  /** Client identifier; empty: the broker itself. */
  readonly publisher: string
  readonly publishedAtMs: number
}

export interface Inspection {
  /** With several workers: asks the others for what only they know, which is shown from then on. With one it is nothing. */
  refresh(): Promise<void>
  clients(): Iterable<ClientDetail>
  client(clientId: string): ClientDetail | undefined
  sessions(): Iterable<SessionInfo>
  session(clientId: string): SessionInfo | undefined
  /** All of one client, or of every session. */
  subscriptions(clientId?: string): Iterable<SubscriptionInfo>
  /** Of the topics that a filter matches, `count` from number `start` on, and how many there are. */
  retained(
    filter: string,
    page: { readonly start: number; readonly count: number },
  ): {
    readonly total: number
    readonly found: readonly RetainedInfo[]
  }
  /** Ends a session and its connection (5.0: DISCONNECT 0x98). False if there is none. */
  endSession(clientId: string): boolean
  /** Cached routes, sessions, and the like. */
  totals(): {
    readonly clients: number
    readonly sessions: number
    readonly connections: number
    readonly subscriptions: number
    readonly retainedMessages: number
    readonly queuedMessages: number
    readonly queuedBytes: number
  }
}

export interface InspectionDeps {
  readonly driver: SessionDriver<Connection>
  readonly connections: () => number
  readonly disconnect: (clientId: string) => boolean
  /** A fresh identity for what the broker does in a client's place. */
  readonly nextId: () => ConnectionId
}

const NEVER_EXPIRES = 0xffff_ffff

export function inspectionOf({ driver, connections, disconnect, nextId }: InspectionDeps): Inspection {
  const { ordered, local } = driver
  const subscriptionsOf = (clientId: string): number =>
    (ordered.session(clientId)?.subscriptions.size ?? 0) + (local.session(clientId)?.subscriptions.size ?? 0)

  function clientDetail(connection: Connection): ClientDetail {
    const { clientId, conversation, transport, feed, hasOutbox, output } = connection
    const { queue } = ordered.session(clientId) ?? {}
    const outbox = hasOutbox ? connection.outbox : undefined
    // What a kept session is owed lies in the machine; what it was sent and has not settled counts as in flight.
    const inflight = outbox?.window.inflight ?? 0
    const kept = feed !== undefined && queue !== undefined
    return {
      clientId,
      username: connection.principal,
      protocol: protocolName(conversation.version),
      listener: transport.info.listener,
      remoteAddress: transport.info.remoteAddress,
      remotePort: transport.info.remotePort,
      encrypted: transport.info.encrypted,
      connectedAtMs: connection.connectedAtMs,
      keepAliveSeconds: conversation.keepAliveSeconds,
      kept: connection.kept,
      subscriptions: subscriptionsOf(clientId),
      inflight,
      queuedMessages: kept ? Math.max(0, queue.messages - inflight) : (outbox?.waiting ?? 0),
      queuedBytes: kept ? queue.bytes : (outbox?.waitingBytes ?? 0),
      outputBytes: output.pending,
      packetBytesMax: connection.packetBytesMax,
    }
  }

  function sessionInfo(session: Session): SessionInfo {
    const { clientId, queue } = session
    return {
      clientId,
      username: session.principal,
      protocol: protocolName(session.version),
      connected: session.connection !== undefined,
      kept: session.kept,
      expirySeconds: session.expirySeconds === NEVER_EXPIRES ? null : session.expirySeconds,
      expiresAtMs: Number.isFinite(session.expiresUs) && session.expiresUs < 2 ** 52 ? session.expiresUs / 1000 : null,
      subscriptions: subscriptionsOf(clientId),
      queuedMessages: queue.messages,
      queuedBytes: queue.bytes,
      receipts: session.receipts.size,
      will: session.will !== undefined,
    }
  }

  function* subscriptionsIn(clientId: string, kept: boolean): Iterable<SubscriptionInfo> {
    for (const machine of [ordered, local]) {
      const session = machine.session(clientId)
      if (session === undefined) continue
      for (const subscription of session.subscriptions.values()) yield subscriptionInfo(subscription, kept)
    }
  }

  return {
    async refresh() {},
    *clients() {
      for (const connection of driver.connections()) yield clientDetail(connection)
    },
    client(clientId) {
      const connection = driver.byClient(clientId)
      return connection === undefined ? undefined : clientDetail(connection)
    },
    *sessions() {
      for (const session of ordered.sessions.values()) yield sessionInfo(session)
    },
    session(clientId) {
      const session = ordered.session(clientId)
      return session === undefined ? undefined : sessionInfo(session)
    },
    *subscriptions(clientId) {
      if (clientId !== undefined) {
        yield* subscriptionsIn(clientId, ordered.session(clientId)?.kept ?? false)
        return
      }
      for (const session of ordered.sessions.values()) yield* subscriptionsIn(session.clientId, session.kept)
    },
    retained(filter, { start, count }) {
      const found: RetainedInfo[] = []
      let total = 0
      ordered.retained.match(filter, driver.now().us, ({ message, timeUs }) => {
        if (total >= start && total < start + count) {
          const { topic, qos, payload, publisher } = message
          found.push({ topic, qos, payloadBytes: payload.length, publisher, publishedAtMs: Math.floor(timeUs / 1000) })
        }
        total++
      })
      return { total, found }
    },
    endSession(clientId) {
      if (ordered.session(clientId) === undefined) return false
      disconnect(clientId)
      if (ordered.session(clientId) === undefined) return true
      // As a client does it: a clean start ends the old session, and the new one ends with its connection. So it is in the
      // order, in the recording and on disk like everything else, and needs no command of its own.
      const connection = nextId()
      driver.sequencer.submit({
        type: 'connect',
        connection,
        clientId,
        principal: '',
        version: 5,
        cleanStart: true,
        sessionExpirySeconds: 0,
        receiveMaximum: 1,
      })
      driver.sequencer.submit({ type: 'disconnect', connection, clientId, reasonCode: 0, will: 'drop' })
      return true
    },
    totals() {
      return {
        clients: driver.connected,
        sessions: ordered.sessions.size,
        connections: connections(),
        subscriptions: ordered.subscriptions.size + local.subscriptions.size + ordered.sharedSubscriptions,
        retainedMessages: ordered.retained.count,
        queuedMessages: ordered.queuesMessages,
        queuedBytes: ordered.queuesBytes,
      }
    },
  }
}

function subscriptionInfo(subscription: Subscription, kept: boolean): SubscriptionInfo {
  const { session, filter, qos, noLocal, retainAsPublished, subscriptionId } = subscription
  return { clientId: session.clientId, filter, qos, noLocal, retainAsPublished, subscriptionId, kept }
}

function protocolName(version: 3 | 4 | 5): string {
  return version === 3 ? '3.1' : version === 4 ? '3.1.1' : '5.0'
}
