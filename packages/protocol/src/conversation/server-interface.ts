/** What a server-side conversation is told, what it asks for, and how it is answered. */
import type {
  AuthPacket,
  ConnectPacket,
  DisconnectPacket,
  ProtocolVersion,
  QoS,
  SubscribePacket,
  UnsubscribePacket,
} from '../packets/types.ts'
import type { Refusal } from '../refusal.ts'
import type { PublishRun } from './publish-run.ts'

/** What a server announces and enforces; the same for all connections of a listener. */
export interface ServerSettings {
  /** Largest packet taken, bytes, fixed header included: 5 and above. */
  readonly packetBytesMax: number
  /** Largest CONNECT taken, bytes; default: `packetBytesMax`. */
  readonly connectBytesMax?: number
  /** Lowest protocol level taken; default 3. */
  readonly protocolVersionMin?: ProtocolVersion
  /** QoS 1 and 2 messages a 5.0 client may have unsettled towards us, 1..65535. */
  readonly receiveMaximum: number
  /** 0..65535: aliases a 5.0 client may use towards us. */
  readonly topicAliasMaximum: number
  /** Seconds; longer or zero requests are lowered to it; 0: no limit. */
  readonly keepAliveMax: number
  readonly maximumQoS: QoS
  readonly retainAvailable: boolean
  readonly wildcardSubscriptionAvailable: boolean
  readonly subscriptionIdentifierAvailable: boolean
  readonly sharedSubscriptionAvailable: boolean
  /** Told to clients that ask for response information. */
  readonly responseInformation?: string
  /** Tells it to clients that do not ask too, against [MQTT-3.1.2-28]: for clients that break without it. */
  readonly alwaysReturnResponse?: boolean
  /** Whether refused CONNECTs are closed without a byte. */
  readonly silent?: () => boolean
  /** CONNACK code of a refused login in 3.1.1; default 4. */
  readonly refusedLoginCode?: () => 4 | 5
}

/** What a conversation asks of the world. No effect calls back into `receive`. */
export interface ServerEffects {
  /** A CONNECT that keeps all rules: answer with `accept`, `refuse` or `challenge`, now or later. */
  connect(packet: ConnectPacket): void
  /** AUTH: the next step of an exchange, or its start on a connected client (reason 0x19). Answer as above. */
  authenticate(packet: AuthPacket): void
  /** Valid only during the call. */
  publish(run: PublishRun): void
  puback(packetId: number, reasonCode: number): void
  pubrec(packetId: number, reasonCode: number): void
  pubrel(packetId: number, reasonCode: number): void
  pubcomp(packetId: number, reasonCode: number): void
  subscribe(packet: SubscribePacket): void
  unsubscribe(packet: UnsubscribePacket): void
  pingreq(): void
  /** The client said good-bye; nothing comes after this. */
  disconnected(packet: DisconnectPacket): void
  /** The client broke a rule; `close` follows. */
  refused(refusal: Refusal): void
  /** Bytes for the client. They never change afterwards. */
  send(bytes: Uint8Array): void
  /** Sends what is pending, then closes the network connection. */
  close(): void
}

/** What the owner decided about a CONNECT. */
export interface Acceptance {
  readonly sessionPresent: boolean
  /** Set when the client gave none [MQTT-3.2.2-16]. */
  readonly assignedClientIdentifier?: string
  /** Set when it differs from what was asked for (5.0). */
  readonly sessionExpiryInterval?: number
  readonly authenticationMethod?: string
  readonly authenticationData?: Uint8Array
}
