/**
 * From CONNECT to session: who are you, which session is yours, what is agreed.
 *
 *   CONNECT ─▶ authenticate (password, or AUTH exchange) ─▶ take the session over ─▶ CONNACK ─▶ queue flows
 *
 * A decision may take time; meanwhile the conversation holds back this client's later packets and nobody else's.
 */
import { randomUUID } from 'node:crypto'
import { type AuthPacket, type ConnectPacket, ReasonCode } from '@concordmq/protocol'
import type { ConnectCommand, ConnectionId } from '@concordmq/state'
import type { Access, AccessVerdict } from '../access/access.ts'
import type { Grants } from '../access/permissions.ts'
import type { EnhancedAuthenticator, EnhancedExchange, EnhancedVerdict } from '../config/options.ts'
import { type SessionDriver, willMessage } from '../sessions/session-driver.ts'
import type { Counters } from '../telemetry/counters.ts'
import type { Logger } from '../telemetry/logger.ts'
import type { Connection } from './connection.ts'
import type { Gate } from './gate.ts'

export interface EntranceOptions {
  readonly driver: SessionDriver<Connection>
  readonly access: Access
  readonly enhanced: EnhancedAuthenticator | undefined
  readonly gate: Gate
  readonly counters: Counters
  readonly logger: Logger
  readonly silent: () => boolean
  /** No new clients: the broker closes. */
  readonly closing: () => boolean
  /** 0, or the reason code for which clients may not publish to a topic. */
  readonly topicProblem: (topic: string) => number
  /** Seconds. */
  readonly sessionExpiryMax: number
  /** Bytes. */
  readonly clientIdBytesMax: () => number
  /** Seconds; 0: no limit. */
  readonly messageExpiryMax: () => number
  readonly node: number
  readonly incarnation: number
}

const NEVER_EXPIRES = 0xffffffff

/** What waits on a connection between CONNECT and CONNACK, and during a re-authentication. */
interface Pending {
  readonly packet: ConnectPacket
  readonly exchange: EnhancedExchange
}

/** Who was let in. */
interface Login {
  readonly principal: string
  readonly grants?: Grants | undefined
}

export class Entrance {
  readonly #o: EntranceOptions
  readonly #pending = new WeakMap<Connection, Pending>()
  #counter = 0

  constructor(options: EntranceOptions) {
    this.#o = options
  }

  /** The identity of the next connection, or of what the broker does in a client's place. */
  nextId(): ConnectionId {
    const { node, incarnation } = this.#o
    return { node, incarnation, counter: ++this.#counter }
  }

  connect(connection: Connection, packet: ConnectPacket): void {
    const { access, closing } = this.#o
    const clientIdBytesMax = this.#o.clientIdBytesMax()
    this.#o.counters.packetsReceived++
    const { clientId, username } = packet
    const kept = this.#o.gate.knock(connection.arrival, { clientId, username })
    if (kept !== undefined) {
      this.#refuse(connection, packet, kept.reasonCode, kept.why)
      return
    }
    if (closing()) {
      this.#refuse(connection, packet, ReasonCode.serverUnavailable, 'the broker is closing')
      return
    }
    if (packet.clientId.length * 3 > clientIdBytesMax && Buffer.byteLength(packet.clientId) > clientIdBytesMax) {
      this.#refuse(connection, packet, ReasonCode.clientIdentifierNotValid, 'the client identifier is too long')
      return
    }
    const willProblem = packet.will === undefined ? 0 : this.#o.topicProblem(packet.will.topic)
    if (willProblem !== 0) {
      this.#refuse(connection, packet, willProblem, 'the topic of the will is not for clients')
      return
    }
    if (packet.properties?.authenticationMethod !== undefined) {
      this.#beginExchange(connection, packet, packet.properties.authenticationMethod)
      return
    }
    const verdict = access.authenticate({
      clientId: packet.clientId,
      ...(packet.username !== undefined && { username: packet.username }),
      ...(packet.password !== undefined && { password: packet.password }),
      gone: () => connection.conversation.closed,
      info: connection.transport.info,
    })
    if (!(verdict instanceof Promise)) {
      this.#decide(connection, packet, verdict)
      return
    }
    verdict.then(
      (later) => this.#decide(connection, packet, later),
      (error: unknown) => {
        this.#o.logger.error({ event: 'access.failed', error: String(error) }, 'Authentication failed to decide')
        this.#refuse(connection, packet, ReasonCode.serverUnavailable, 'authentication failed')
      },
    )
    connection.answered()
  }

  /** AUTH: the next step of the exchange, or a re-authentication. */
  authenticate(connection: Connection, packet: AuthPacket): void {
    this.#o.counters.packetsReceived++
    const pending = this.#pending.get(connection)
    if (pending === undefined) {
      connection.conversation.disconnect(ReasonCode.protocolError)
      return
    }
    const reAuthentication = connection.conversation.connected
    this.#step(connection, pending, {
      ...pending.exchange,
      data: packet.properties?.authenticationData,
      reAuthentication,
      state: packet.reasonCode === ReasonCode.reAuthenticate ? undefined : pending.exchange.state,
    })
  }

  // ---------------------------------------------------------------- enhanced authentication

  #beginExchange(connection: Connection, packet: ConnectPacket, method: string): void {
    const { enhanced } = this.#o
    if (enhanced?.methods.includes(method) !== true) {
      // [MQTT-4.12.0-1]
      this.#refuse(connection, packet, ReasonCode.badAuthenticationMethod, `no authentication method ${method}`)
      return
    }
    const exchange: EnhancedExchange = {
      clientId: packet.clientId,
      username: packet.username,
      method,
      data: packet.properties?.authenticationData,
      reAuthentication: false,
      state: undefined,
    }
    this.#step(connection, { packet, exchange }, exchange)
  }

  #step(connection: Connection, pending: Pending, exchange: EnhancedExchange): void {
    this.#pending.set(connection, { packet: pending.packet, exchange })
    const decide = (verdict: EnhancedVerdict): void => this.#stepped(connection, pending.packet, exchange, verdict)
    let verdict: EnhancedVerdict | Promise<EnhancedVerdict>
    try {
      verdict = (this.#o.enhanced as EnhancedAuthenticator).step(exchange)
    } catch (error) {
      this.#stepFailed(connection, pending.packet, error)
      return
    }
    if (!(verdict instanceof Promise)) {
      decide(verdict)
      return
    }
    verdict.then(decide, (error: unknown) => this.#stepFailed(connection, pending.packet, error))
    connection.answered()
  }

  #stepFailed(connection: Connection, packet: ConnectPacket, error: unknown): void {
    this.#o.logger.error({ event: 'access.failed', error: String(error) }, 'Enhanced authentication failed to decide')
    this.#refuse(connection, packet, ReasonCode.serverUnavailable, 'authentication failed')
  }

  #stepped(connection: Connection, packet: ConnectPacket, exchange: EnhancedExchange, verdict: EnhancedVerdict): void {
    const { conversation } = connection
    if (conversation.closed) return
    if (verdict.verdict === 'continue') {
      conversation.challenge(verdict.data)
      connection.answered()
      return
    }
    if (verdict.verdict === 'refuse') {
      this.#refuse(connection, packet, verdict.reasonCode, verdict.reason ?? 'enhanced authentication refused')
      return
    }
    if (conversation.connected) {
      conversation.reAuthenticated(verdict.data)
      connection.answered()
      return
    }
    const principal = verdict.principal ?? packet.username ?? ''
    this.#enter(
      connection,
      packet,
      { principal },
      {
        authenticationMethod: exchange.method,
        ...(verdict.data !== undefined && { authenticationData: verdict.data }),
      },
    )
  }

  // ---------------------------------------------------------------- the session

  #decide(connection: Connection, packet: ConnectPacket, verdict: AccessVerdict): void {
    if (connection.conversation.closed) return
    if (verdict.ok) this.#enter(connection, packet, verdict, {})
    else this.#refuse(connection, packet, verdict.reasonCode, verdict.why)
  }

  #enter(
    connection: Connection,
    packet: ConnectPacket,
    { principal, grants }: Login,
    authentication: { readonly authenticationMethod?: string; readonly authenticationData?: Uint8Array },
  ): void {
    const { driver, counters, sessionExpiryMax } = this.#o
    const { conversation } = connection
    const assigned = packet.clientId === '' ? `concord-${randomUUID()}` : undefined
    const clientId = assigned ?? packet.clientId
    const willTopic = packet.will?.topic
    if (willTopic !== undefined) {
      const { remoteAddress } = connection
      const author = { clientId, principal, remoteAddress, grants, rights: undefined }
      if (this.#o.access.guard.asked?.mayPublish(author, willTopic) === false) {
        counters.publishDenied++
        this.#refuse(connection, packet, ReasonCode.notAuthorized, 'no right to publish the will')
        return
      }
    }
    const asked = packet.version === 5 ? (packet.properties?.sessionExpiryInterval ?? 0) : undefined
    const before5 = packet.cleanStart ? 0 : NEVER_EXPIRES
    const sessionExpirySeconds = Math.min(asked ?? before5, sessionExpiryMax)
    // [MQTT-3.14.2-2] what counts is what the client asked for
    conversation.sessionExpiryAllowed = (asked ?? 0) > 0
    const full = this.#o.gate.refusesUser({ clientId, principal }, driver.byClient(clientId))
    if (full !== undefined) {
      this.#refuse(connection, packet, full.reasonCode, full.why)
      return
    }
    const id = this.nextId()
    const command: ConnectCommand = {
      type: 'connect',
      connection: id,
      clientId,
      principal,
      version: packet.version,
      cleanStart: packet.cleanStart,
      sessionExpirySeconds,
      receiveMaximum: Math.min(conversation.clientReceiveMaximum, connection.inflightMax),
      ...(packet.will !== undefined && {
        will: {
          message: willMessage(packet.will, clientId, this.#o.messageExpiryMax()),
          delaySeconds: packet.will.properties?.willDelayInterval ?? 0,
        },
      }),
    }
    driver.enter(connection, command, (outcome) => {
      if (outcome.type === 'refused') {
        counters.limits.sessionsFull++
        this.#refuse(connection, packet, outcome.reasonCode, 'there are as many sessions as there may be')
        return
      }
      counters.connectsAccepted++
      connection.enter({ clientId, principal, id, kept: outcome.kept, grants, willTopic })
      this.#o.gate.entered({ clientId, principal }, connection.arrival)
      connection.rate = this.#o.gate.rate()
      conversation.accept({
        sessionPresent: outcome.sessionPresent,
        ...(assigned !== undefined && packet.version === 5 && { assignedClientIdentifier: assigned }),
        // [3.2.2.3.2] told when it differs from what was asked for
        ...(asked !== undefined && asked !== sessionExpirySeconds && { sessionExpiryInterval: sessionExpirySeconds }),
        ...authentication,
      })
      if (outcome.kept) driver.feed(connection)
      connection.answered()
    })
  }

  #refuse(connection: Connection, packet: ConnectPacket, reasonCode: number, why: string): void {
    const { counters, logger, silent } = this.#o
    if (connection.conversation.closed) return
    counters.connectsRefused++
    this.#o.gate.refused(connection.arrival, { clientId: packet.clientId, username: packet.username }, reasonCode)
    const fields = {
      event: 'connect.refused',
      clientId: packet.clientId,
      username: packet.username,
      remoteAddress: connection.transport.info.remoteAddress,
      reasonCode,
    }
    if (silent()) logger.debug(fields, `Connection refused: ${why}`)
    else logger.info(fields, `Connection refused: ${why}`)
    connection.conversation.refuse(reasonCode, { silent: silent() })
  }
}
