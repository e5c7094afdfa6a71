/**
 * From CONNECT to session: who are you, which session is yours, what is agreed.
 *
 *   CONNECT ─▶ authenticate (password, or AUTH exchange) ─▶ take the session over ─▶ CONNACK ─▶ queue flows
 *
 * A decision may take time; meanwhile the conversation holds back this client's later packets and nobody else's.
 */
import { randomUUID } from 'node:crypto'
import {
  type AuthPacket,
  type ConnectPacket,
  PacketType,
  ReasonCode,
  stringProblem,
  type Will,
} from '@concordmq/protocol'
import type { ConnectCommand, ConnectionId } from '@concordmq/state'
import type { Access, AccessVerdict } from '../access/access.ts'
import type { Grants } from '../access/permissions.ts'
import type { EnhancedAuthenticator, EnhancedExchange, EnhancedVerdict } from '../config/options.ts'
import { takeIncoming } from '../hooks/hook-message.ts'
import { type HookPoints, NO_OPINION, Refused } from '../hooks/hook-points.ts'
import type { HookMessage } from '../hooks/hooks.ts'
import { type Entering, type SessionDriver, willMessage } from '../sessions/session-driver.ts'
import type { Counters } from '../telemetry/counters.ts'
import type { Logger } from '../telemetry/logger.ts'
import type { ConnectLine } from './connect-line.ts'
import type { Connection } from './connection.ts'
import type { Entrant, Gate } from './gate.ts'

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
  readonly node: () => number
  readonly incarnation: () => number
  /** False: the order does not have this node yet, or any more. */
  readonly serves: () => boolean
  /** Where logins wait for their turn; undefined: they need not. */
  readonly line: ConnectLine | undefined
  /** It does not have it yet, and clients may come all the same. */
  readonly servesStale: () => boolean
  /** Nothing is ordered at the moment, and what is done about it. */
  readonly stalled: () => boolean
  readonly onStall: 'local' | 'queue' | 'refuse'
  readonly hooks: HookPoints
  /** What the program gave in place of the broker's users, as the only hook of its own. */
  readonly authenticator: HookPoints | undefined
}

const NEVER_EXPIRES = 0xffffffff
const TOO_FEW = 'too few nodes of the cluster are there'

/** What waits on a connection between CONNECT and CONNACK, and during a re-authentication. */
interface Pending {
  readonly packet: ConnectPacket
  readonly exchange: EnhancedExchange
  readonly authenticator: EnhancedAuthenticator
}

/** Who was let in. */
interface Login {
  readonly principal: string
  readonly grants?: Grants | undefined
  /** Milliseconds from now. */
  readonly endsInMs?: number | undefined
}

export class Entrance {
  readonly #o: EntranceOptions
  readonly #pending = new WeakMap<Connection, Pending>()
  /** Of those whose CONNECT is on its way through the order of a cluster: what is done when nothing is ordered any more. */
  readonly #waiting = new Set<() => void>()
  #counter = 0

  constructor(options: EntranceOptions) {
    this.#o = options
  }

  /** The identity of the next connection, or of what the broker does in a client's place. */
  nextId(): ConnectionId {
    const { node, incarnation } = this.#o
    return { node: node(), incarnation: incarnation(), counter: ++this.#counter }
  }

  connect(connection: Connection, packet: ConnectPacket): void {
    const { closing } = this.#o
    const clientIdBytesMax = this.#o.clientIdBytesMax()
    this.#o.counters.arrived(PacketType.connect)
    const { clientId, username } = packet
    const kept = this.#o.gate.knock(connection.arrival, { clientId, username })
    if (kept !== undefined) {
      this.#refuse(connection, packet, kept.reasonCode, kept.why)
      return
    }
    if (!this.#o.serves() && !this.#o.servesStale()) {
      this.#refuse(connection, packet, ReasonCode.serverUnavailable, 'this node does not take part in the order now')
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
    const { hooks } = this.#o
    if (hooks.uses('authorizeConnect') || hooks.uses('transformConnect')) {
      this.#when(connection, packet, this.#admission(connection, packet), (admitted) => {
        if (admitted instanceof Refused) this.#refuse(connection, packet, admitted.reasonCode, 'a hook refused it')
        else this.#identify(connection, admitted)
      })
    } else this.#identify(connection, packet)
  }

  /** `authorizeConnect`, then `transformConnect`. */
  #admission(connection: Connection, packet: ConnectPacket): MayWait<ConnectPacket | Refused> {
    const { hooks } = this.#o
    const client = connection.described(packet.clientId, packet.username ?? '')
    const change = (decision: number): MayWait<ConnectPacket | Refused> =>
      decision > 0
        ? new Refused(decision)
        : hooks.transform('transformConnect', [client], packet, (answer, current) => takeConnect(answer, current))
    return chain(hooks.decide('authorizeConnect', [client, packet], { denial: ReasonCode.notAuthorized }), change)
  }

  /** Who is it: hooks first, then the broker's own users. */
  #identify(connection: Connection, packet: ConnectPacket): void {
    const { hooks } = this.#o
    if (packet.properties?.authenticationMethod !== undefined) {
      this.#beginExchange(connection, packet, packet.properties.authenticationMethod)
      return
    }
    if (hooks.uses('authenticate')) {
      this.#ask(hooks, connection, packet, () => this.#askProvider(connection, packet))
    } else this.#askProvider(connection, packet)
  }

  #askProvider(connection: Connection, packet: ConnectPacket): void {
    const { authenticator } = this.#o
    if (authenticator === undefined) this.#checkPassword(connection, packet)
    else this.#ask(authenticator, connection, packet, () => this.#checkPassword(connection, packet))
  }

  /** `next`: nobody had an opinion. */
  #ask(hooks: HookPoints, connection: Connection, packet: ConnectPacket, next: () => void): void {
    const { username, password } = packet
    const client = connection.described(packet.clientId, username ?? '')
    const options = { denial: ReasonCode.badUserNameOrPassword, firstYes: true }
    const answer = hooks.decide('authenticate', [client, { username, password }], options)
    this.#when(connection, packet, answer, (decision) => {
      if (decision === NO_OPINION) next()
      else if (decision === 0) this.#enter(connection, packet, { principal: username ?? '' }, {})
      else this.#refuse(connection, packet, decision, 'authentication refused it')
    })
  }

  /** Goes on with an answer, now or later. What goes wrong then costs this connection alone. */
  #when<T>(connection: Connection, packet: ConnectPacket, answer: MayWait<T>, go: (value: T) => void): void {
    if (!(answer instanceof Promise)) {
      go(answer)
      return
    }
    answer
      .then((value) => {
        if (!connection.conversation.closed) go(value)
      })
      .catch((error: unknown) => {
        this.#o.logger.error({ event: 'connect.failed', error: String(error) }, 'CONNECT could not be decided')
        this.#refuse(connection, packet, ReasonCode.serverUnavailable, 'it could not be decided')
      })
    connection.answered()
  }

  #checkPassword(connection: Connection, packet: ConnectPacket): void {
    const { access } = this.#o
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
    this.#o.counters.arrived(PacketType.auth)
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
    const authenticator = this.#authenticatorOf(method)
    if (authenticator === undefined) {
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
    this.#step(connection, { packet, exchange, authenticator }, exchange)
  }

  /** The embedding program's own comes first; SCRAM is there for whoever has a record. */
  #authenticatorOf(method: string): EnhancedAuthenticator | undefined {
    const { enhanced, access } = this.#o
    return [enhanced, access.scram].find((one) => one?.methods.includes(method))
  }

  #step(connection: Connection, pending: Pending, exchange: EnhancedExchange): void {
    this.#pending.set(connection, { ...pending, exchange })
    const decide = (verdict: EnhancedVerdict): void => this.#stepped(connection, pending.packet, exchange, verdict)
    let verdict: EnhancedVerdict | Promise<EnhancedVerdict>
    try {
      verdict = pending.authenticator.step(exchange)
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
      if (verdict.principal !== undefined && verdict.principal !== connection.principal) {
        this.#refuse(connection, packet, ReasonCode.notAuthorized, 're-authentication as another user')
        return
      }
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

  #enter(connection: Connection, packet: ConnectPacket, login: Login, authentication: Authentication): void {
    const { hooks } = this.#o
    if (hooks.uses('clientAuthenticated')) {
      hooks.observe('clientAuthenticated', connection.described(packet.clientId, login.principal), packet)
    }
    const { will } = packet
    if (will === undefined || !(hooks.uses('transformWill') || hooks.uses('authorizePublish'))) {
      this.#inTurn(connection, packet, login, authentication)
      return
    }
    this.#when(connection, packet, this.#willOf(connection, packet, will, login), (decided) => {
      const { will: _will, ...without } = packet
      if (decided === 'none') this.#inTurn(connection, without, login, authentication)
      else if (!(decided instanceof Refused))
        this.#inTurn(connection, { ...without, will: decided }, login, authentication)
      else this.#refuse(connection, packet, decided.reasonCode, 'a hook refused its will')
    })
  }

  /** `authorizePublish`, then `transformWill`: the will is in the order from CONNECT on. */
  #willOf(connection: Connection, packet: ConnectPacket, will: Will, login: Login): MayWait<Will | Refused | 'none'> {
    const { hooks } = this.#o
    const client = connection.described(packet.clientId, login.principal)
    const { topic, payload, qos, retain, properties } = will
    const message: HookMessage = {
      ...{ topic, payload, qos, retain, dup: false, packetId: 0 },
      ...(properties !== undefined && { properties }),
    }
    const taken = (result: HookMessage | Refused): Will | Refused | 'none' => {
      if (result instanceof Refused) return result.reasonCode === 0 ? 'none' : result
      if (result === message) return will
      const problem = this.#o.topicProblem(result.topic)
      if (problem !== 0) return new Refused(problem)
      return {
        ...{ topic: result.topic, payload: result.payload, qos, retain: result.retain },
        ...((result.properties ?? properties) !== undefined && {
          properties: {
            ...result.properties,
            ...(properties?.willDelayInterval !== undefined && { willDelayInterval: properties.willDelayInterval }),
          },
        }),
      }
    }
    return chain(
      hooks.decide('authorizePublish', [client, message], { denial: ReasonCode.notAuthorized }),
      (decision) =>
        decision > 0
          ? new Refused(decision)
          : chain(hooks.transform('transformWill', [client], message, takeWill), taken),
    )
  }

  #inTurn(connection: Connection, packet: ConnectPacket, login: Login, authentication: Authentication): void {
    const { line, serves } = this.#o
    // Where nothing is ordered nobody's turn comes, and who can be let in all the same is.
    if (line === undefined || !serves() || this.#stalls) {
      this.#takeOver(connection, packet, login, { authentication, over: () => {} })
      return
    }
    const { conversation } = connection
    const begun = line.take((over) => {
      if (conversation.closed || !this.#takeOver(connection, packet, login, { authentication, over })) over()
    })
    // The deadline until CONNACK is watched on.
    if (!begun) connection.answered()
  }

  /**
   * Nothing is ordered from now on: whose CONNECT is on its way is let in where one that comes now would be. Else it waits, since it
   * may have its place, and the session with it. Those that are in line get the answer of one that comes now.
   */
  stalled(): void {
    const { line, onStall } = this.#o
    if (onStall === 'local') for (const stall of [...this.#waiting]) stall()
    if (onStall !== 'queue') line?.beginAll()
  }

  /** Nothing is ordered, and logins do not wait for that. */
  get #stalls(): boolean {
    return this.#o.stalled() && this.#o.onStall !== 'queue'
  }

  /** False: it was refused. Else `over` is called when the order has it. */
  #takeOver(
    connection: Connection,
    packet: ConnectPacket,
    { principal, grants, endsInMs }: Login,
    { authentication, over }: { readonly authentication: Authentication; readonly over: () => void },
  ): boolean {
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
        return false
      }
    }
    const asked = packet.version === 5 ? (packet.properties?.sessionExpiryInterval ?? 0) : undefined
    const before5 = packet.cleanStart ? 0 : NEVER_EXPIRES
    const sessionExpirySeconds = Math.min(asked ?? before5, sessionExpiryMax)
    // [MQTT-3.14.2-2] what counts is what the client asked for
    conversation.sessionExpiryAllowed = (asked ?? 0) > 0
    if (driver.sequencer.trouble && (sessionExpirySeconds > 0 || packet.will !== undefined)) {
      this.#refuse(connection, packet, ReasonCode.quotaExceeded, 'the disk takes nothing at the moment')
      return false
    }
    const behind = !this.#o.serves()
    // What a session is, and whose, cannot be decided without the others; one that begins and ends here can.
    const mayBegin = (): boolean =>
      sessionExpirySeconds === 0 && (packet.cleanStart || (!behind && driver.ordered.session(clientId)?.kept !== true))
    if (this.#stalls && (this.#o.onStall === 'refuse' || !mayBegin())) {
      this.#refuse(connection, packet, ReasonCode.serverUnavailable, TOO_FEW)
      return false
    }
    if (behind && !mayBegin()) {
      this.#refuse(
        connection,
        packet,
        ReasonCode.serverUnavailable,
        'this node does not know yet what sessions there are',
      )
      return false
    }
    const full = this.#o.gate.refusesUser({ clientId, principal }, this.#replaced(clientId))
    if (full !== undefined) {
      this.#refuse(connection, packet, full.reasonCode, full.why)
      return false
    }
    const id = this.nextId()
    let letIn = (): void => {}
    const stall = (): void => {
      if (!conversation.closed && mayBegin()) letIn()
    }
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
    const entered = (outcome: Entering): void => {
      this.#waiting.delete(stall)
      over()
      if (outcome.type !== 'connected') return
      connection.enter({ clientId, principal, id, kept: outcome.kept, grants, willTopic, endsInMs })
      this.#o.gate.entered({ clientId, principal }, connection.arrival)
      connection.rate = this.#o.gate.rate()
      // It was gone before the order had its turn.
      if (conversation.closed) connection.leaveLate()
    }
    const kept = (outcome: Entering): void => {
      if (outcome.type === 'refused') {
        counters.limits.sessionsFull++
        this.#refuse(connection, packet, outcome.reasonCode, 'there are as many sessions as there may be')
        return
      }
      // It may have gone, or have been taken over, while the disk was written.
      if (conversation.closed) return
      counters.connectsAccepted++
      conversation.accept({
        sessionPresent: outcome.sessionPresent,
        ...(assigned !== undefined && packet.version === 5 && { assignedClientIdentifier: assigned }),
        // [3.2.2.3.2] told when it differs from what was asked for
        ...(asked !== undefined && asked !== sessionExpirySeconds && { sessionExpiryInterval: sessionExpirySeconds }),
        ...authentication,
      })
      this.#o.hooks.observe('clientConnected', connection.client, { present: outcome.sessionPresent })
      connection.processed(packet)
      if (outcome.kept) driver.feed(connection)
      connection.answered()
    }
    if (this.#o.line !== undefined) this.#waiting.add(stall)
    letIn = driver.enter(connection, command, { entered, kept })
    // The order may have stopped just now.
    if (behind) letIn()
    else if (this.#stalls && this.#o.onStall === 'local') stall()
    // The deadline until CONNACK is watched on.
    if (!conversation.connected && !conversation.closed) connection.answered()
    return true
  }

  /** Who has the session now: here, or at another thread of this broker. */
  #replaced(clientId: string): Entrant | undefined {
    const { driver } = this.#o
    const { settings } = driver.ordered
    const session = settings.threads ? driver.ordered.session(clientId) : undefined
    return session?.connection === undefined ? driver.byClient(clientId) : session
  }

  #refuse(connection: Connection, packet: ConnectPacket, reasonCode: number, why: string): void {
    const { counters, logger, silent } = this.#o
    if (connection.conversation.closed) return
    counters.connectsRefused++
    this.#o.gate.refused(connection.arrival, { clientId: packet.clientId, username: packet.username }, reasonCode)
    const { hooks } = this.#o
    if (hooks.uses('connectRefused')) {
      hooks.observe('connectRefused', connection.described(packet.clientId, packet.username ?? ''), reasonCode)
    }
    connection.processed(packet)
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

interface Authentication {
  readonly authenticationMethod?: string
  readonly authenticationData?: Uint8Array
}

type MayWait<T> = T | Promise<T>

function chain<T, U>(value: MayWait<T>, next: (value: T) => MayWait<U>): MayWait<U> {
  return value instanceof Promise ? value.then(next) : next(value)
}

/** Takes an answer of `transformConnect`: what the conversation has settled already stays. */
function takeConnect(answer: unknown, current: ConnectPacket): ConnectPacket | undefined {
  if (answer === current) return current
  if (typeof answer !== 'object' || answer === null) return undefined
  const { clientId, username, password, will, cleanStart } = answer as Partial<ConnectPacket>
  if (typeof clientId !== 'string' || typeof cleanStart !== 'boolean') return undefined
  if (username !== undefined && typeof username !== 'string') return undefined
  if (password !== undefined && !(password instanceof Uint8Array)) return undefined
  if (stringProblem(clientId) !== undefined || stringProblem(username ?? '') !== undefined) return undefined
  // Another will goes through `transformWill`, which checks it; here it may only be left out.
  if (will !== undefined && will !== current.will) return undefined
  const { username: _username, password: _password, will: _will, ...rest } = current
  return {
    ...rest,
    clientId,
    cleanStart,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(will !== undefined && { will }),
  }
}

/** A will's properties hold a delay, which a PUBLISH has none of: they are checked without it. */
function takeWill(answer: unknown, current: HookMessage): HookMessage | Refused | undefined {
  if (typeof answer !== 'object' || answer === null || answer === current) return takeIncoming(answer, current)
  const { properties, ...rest } = answer as HookMessage
  const { willDelayInterval: _delay, ...carried } = properties ?? {}
  return takeIncoming({ ...rest, ...(Object.keys(carried).length > 0 && { properties: carried }) }, current)
}
