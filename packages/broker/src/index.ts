/** The embeddable broker. Every public name. */
export type { Broker, ClientInfo, PublishOptions } from './api.ts'
export { createBroker } from './broker.ts'
export type {
  AccessOptions,
  BrokerOptions,
  CommandLog,
  DeliveryOptions,
  EnhancedAuthenticator,
  EnhancedExchange,
  EnhancedVerdict,
  FeatureOptions,
  HostPort,
  LimitOptions,
  ListenerHandle,
  ListenerOptions,
  SessionOptions,
  SysOptions,
  TlsMaterial,
} from './config/options.ts'
export { ConcordError, type ConcordErrorCode, InvariantError } from './errors.ts'
export type { Logger, LogFields } from './telemetry/logger.ts'
