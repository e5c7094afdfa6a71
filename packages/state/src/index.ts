export {
  ADMIN_SIGNATURES_MAX,
  ADMIN_SUBJECTS,
  ADMIN_TEXT_BYTES_MAX,
  type AdminDocument,
  type AdminRecord,
  type AdminSignature,
  type AdminSubject,
  adminContent,
  type Judge,
} from './admin/admin-document.ts'
export { decodeCommand, encodeCommand } from './commands/codec.ts'
export type {
  AcknowledgeCommand,
  AdminCommand,
  Command,
  ConnectCommand,
  ConnectionId,
  DisconnectCommand,
  PublishCommand,
  PublishRunCommand,
  ReleaseCommand,
  Settlement,
  StartCommand,
  SubscribeCommand,
  SubscriptionOrder,
  TickCommand,
  UnsubscribeCommand,
  WillOrder,
} from './commands/commands.ts'
export { type CommandRecord, decodeRecords, encodeRecord } from './commands/recording.ts'
export { NEVER } from './deadlines/deadlines.ts'
export type { DeliveryTerms, Effects, Outcome } from './effects.ts'
export { Machine, type OrderedBundle } from './machine.ts'
export type { RunPlace } from './messages/body-run.ts'
export type { Message, MessageHead, PackedMessage, PlacedMessage } from './messages/message.ts'
export { PackedPayloads, type PacketsForm, type Payloads, packPayloads } from './messages/payloads.ts'
export { DIRECT_PREFIX } from './messages/publishing.ts'
export { contentOf, readContent } from './messages/shelf.ts'
export {
  type BundleHead,
  type BundleItem,
  BundleWriter,
  eachItem,
  type ReadRun,
  type RunAuthor,
  readHead,
  readRun,
} from './nodes/bundle.ts'
export type { BundleEffects, PlacedRun, RunOutcome } from './nodes/bundle-effects.ts'
export type { Heard } from './nodes/liveness.ts'
export { HELD_BUNDLES_MAX, HELD_BYTES_MAX } from './nodes/node-life.ts'
export { OutboundWindow, packetIdOf, SPAN_MAX } from './queue/outbound-window.ts'
export { PART_SIZE, type QueueEntry, type RunEntries } from './queue/queue-part.ts'
export type { SessionQueue } from './queue/session-queue.ts'
export type { EntryForm, Malformed, MessageRef } from './records/reading.ts'
export { type RecordForm, readRecordForm, type SessionForm, writeRecordForm } from './records/record-forms.ts'
export { RecordProbe } from './records/record-probe.ts'
export type { RetainedView } from './retained/retained.ts'
export { TopicEntry, TopicTree } from './retained/topic-tree.ts'
export { keyName, Recovery } from './saving/recovery.ts'
export type { PassedSave, Save } from './saving/save.ts'
export { type Edit, type Finding, Survey, type SurveyCounts } from './saving/survey.ts'
export { Receipts } from './sessions/receipts.ts'
export { isSameConnection, type Session, type SessionBound, type Subscription } from './sessions/session.ts'
export { type MachineSettings, machineSettings } from './settings.ts'
export type { OutsideChoice, Turns } from './shares/choosing-outside.ts'
export { FilterTree } from './subscriptions/filter-tree.ts'
