/** The embeddable broker. Every public name. */

export { addressRuleProblems } from './access/address-rules.ts'
export type { Ban, BanKind, BanRequest } from './access/limits/bans.ts'
export { makePasswordRecord, parsePasswordRecord } from './access/password-record.ts'
export type { Action, Grants, PermissionClient, Permissions } from './access/permissions.ts'
export { type Explanation, permissionProblems, Rules } from './access/rules.ts'
export { makeScramRecord, parseScramRecord, type ScramMethod, type ScramRecord } from './access/scram/scram-record.ts'
export { tokenProblem } from './access/tokens/token-checks.ts'
export type { AdminDocuments, Administration } from './admin/administration.ts'
export type { DrainOptions } from './admin/drain.ts'
export { type HealthHandle, type HealthOptions, openHealth } from './admin/health.ts'
export type {
  ClientDetail,
  Inspection,
  RetainedInfo,
  SessionInfo,
  SubscriptionInfo,
} from './admin/inspection.ts'
export type {
  Broker,
  ClientInfo,
  DisconnectOptions,
  InjectedPacket,
  InlineHandler,
  InlineMessage,
  PublishOptions,
} from './api.ts'
export { createBroker } from './broker.ts'
export type { ClusterFigures, Consensus } from './cluster/consensus.ts'
export { genesisOf, type NetworkOperators } from './cluster/genesis.ts'
export { keyIdOfPoint, keyOfPoint, pointOf } from './cluster/identity/node-keys.ts'
export type { LinkFigures } from './cluster/links/links.ts'
export { type ClusterNodeOptions, openClusterNode } from './cluster/open-cluster.ts'
export { signDocument } from './cluster/operators.ts'
export { type OperatorKey, signReconfiguration } from './cluster/reconfiguration.ts'
export { type OptionKey, optionKeys } from './config/defaults.ts'
export { settingsDigest, sharedSettings } from './config/machine-settings.ts'
export type {
  AccessOptions,
  AddressRuleOptions,
  BanOptions,
  BrokerOptions,
  DeliveryOptions,
  EmbeddingOptions,
  EnhancedAuthenticator,
  EnhancedExchange,
  EnhancedVerdict,
  FeatureOptions,
  HostPort,
  LimitOptions,
  ListenerHandle,
  ListenerOptions,
  PermissionOptions,
  PermissionRule,
  PermissionTable,
  Proxied,
  RetainedOptions,
  SessionOptions,
  SysOptions,
  TlsMaterial,
  TokenOptions,
} from './config/options.ts'
export type {
  AuthenticateFunction,
  Authenticator,
  Providers,
  TopicStoreFactory,
} from './config/providers.ts'
export { ConcordError, type ConcordErrorCode, InvariantError } from './errors.ts'
export { allowAll } from './hooks/allow-all.ts'
export type {
  Denial,
  Departure,
  HookCredentials,
  HookMessage,
  HookPoint,
  Hooks,
  MayWait,
  MessageChange,
  Publication,
  Verdict,
} from './hooks/hooks.ts'
export type { CommandLog } from './model/command-log.ts'
export type { Files, LogFile } from './model/files.ts'
export type { Journal } from './model/journal.ts'
export { networkProblem, networksRule } from './model/networks.ts'
export type {
  OrderedApplication,
  OrderedLog,
  OrderedLogNode,
  OrderedSnapshot,
  OrderedUnit,
  Placement,
  SealedVerdict,
  SnapshotSource,
} from './model/ordered-log.ts'
export type { RelayKind, RelayLinks, RelayReceiver } from './model/relay.ts'
export type { Sequencer, SequencerFactory, SequencerParts } from './model/sequencer.ts'
export type { Store, StoredRecord } from './model/store.ts'
export { topicFilterProblem } from './model/topic-filters.ts'
export type { TopicStore, TopicSubscriber, TopicSubscription } from './model/topic-store.ts'
export { builtInTopicStore } from './routing/built-in-topic-store.ts'
export { type DataFile, dataFiles, removeData } from './storage/remove-data.ts'
export { checkData } from './storage/upkeep/check-data.ts'
export type { DataProblem, DataReport } from './storage/upkeep/data-report.ts'
export { exportData } from './storage/upkeep/export-data.ts'
export { type ImportCounts, type ImportOptions, importData } from './storage/upkeep/import-data.ts'
export { type RepairOptions, type RepairResult, repairData } from './storage/upkeep/repair-data.ts'
export type { LogFields, Logger } from './telemetry/logger.ts'
