/** The ConcordMQ MQTT client. */
export type { DisconnectOptions, PublishOptions, SubscribeOptions, Subscription } from './calls.ts'
export { Client, type ClientState, connect } from './client.ts'
export { CLIENT_ERROR_CODES, ClientError, type ClientErrorCode } from './errors.ts'
export type { PublishAck } from './operations.ts'
export type {
  AuthenticationAnswer,
  AuthenticationOptions,
  ClientNotices,
  ClientOptions,
  Message,
  MessageHandler,
  WillOptions,
} from './options.ts'
export { connackText, reasonText } from './reason-names.ts'
export type { RetryOptions } from './retry.ts'
export { type ParsedUrl, parseServerUrl, type Scheme, type ServerAddress } from './server-address.ts'
export type { Dial, DialOptions, TlsOptions, Transport, TransportSink } from './transport/transport.ts'
