export { joinBytes } from './bytes.ts'
/**
 * The MQTT 3.1, 3.1.1 and 5.0 protocol as pure functions and machines. Every public name, in the order of files.
 */

export { ClientConversation } from './conversation/client.ts'
export {
  CLIENT_CONVERSATION_LIMITS,
  type ClientConnectOptions,
  type ClientConversationLimits,
  type ClientEffects,
  type ClientEnd,
} from './conversation/client-effects.ts'
export {
  CLIENT_SESSION_LIMITS,
  ClientSession,
  type ClientSessionLimits,
  type OutgoingMessage,
} from './conversation/client-session.ts'
export { returnCodeOf } from './conversation/closing-codes.ts'
export { PublishRun, RUN_PACKETS_MAX } from './conversation/publish-run.ts'
export { ServerConversation } from './conversation/server.ts'
export type { Acceptance, ServerEffects, ServerSettings } from './conversation/server-interface.ts'
export { type ServerLimits, serverLimits } from './conversation/server-limits.ts'
export { InboundAliases, OutboundAliases } from './conversation/topic-aliases.ts'
export { ProtocolEncodeError } from './encode-error.ts'
export {
  firstByteProblem,
  isOverlong,
  type RemainingLength,
  readRemainingLength,
  remainingLengthBytes,
  remainingLengthMax,
  writeRemainingLength,
} from './framing/fixed-header.ts'
export { Framer, type FramerOptions, type OnPacket } from './framing/framer.ts'
export { acknowledgementReasonCodes } from './packets/acknowledgement.ts'
export { authReasonCodes } from './packets/auth.ts'
export { connackReasonCodes } from './packets/connack.ts'
export { decodePacket } from './packets/decode.ts'
export { type Direction, directionOf, isSentByClient, isSentByServer } from './packets/direction.ts'
export { disconnectReasonCodes } from './packets/disconnect.ts'
export { encodePacket } from './packets/encode.ts'
export { decodePublish, encodePublish, PublishScan, scanPublish } from './packets/publish.ts'
export { subackReasonCodes, subackReturnCodes } from './packets/suback.ts'
export {
  type AckPacket,
  type AuthPacket,
  type ConnackPacket,
  type ConnectPacket,
  type DisconnectPacket,
  type Packet,
  PacketType,
  type PingreqPacket,
  type PingrespPacket,
  type ProtocolVersion,
  type PublishPacket,
  QoS,
  type SubackPacket,
  type SubscribePacket,
  type SubscriptionRequest,
  type UnsubackPacket,
  type UnsubscribePacket,
  type Will,
} from './packets/types.ts'
export { unsubackReasonCodes } from './packets/unsuback.ts'
export { decodeProperties } from './properties/codec.ts'
export {
  type PropertyContext,
  type PropertyRow,
  type PropertyType,
  propertyById,
  propertyByName,
  propertyTable,
} from './properties/table.ts'
export type { Properties, UserProperty } from './properties/types.ts'
export { ConnectReturnCode, ReasonCode } from './reason-codes.ts'
export { isRefusal, type Refusal, refuse } from './refusal.ts'
export { filterMatches, filterProblem, isWildcard, parseShare, type Share } from './topics/topic-filter.ts'
export { topicNameProblem } from './topics/topic-name.ts'
export {
  stringBytesMax,
  stringProblem,
  type Utf8Problem,
  utf8Decode,
  utf8Encode,
  utf8Length,
  utf8Problem,
  utf8Write,
} from './utf8.ts'
