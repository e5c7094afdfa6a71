export { decodeCommand, encodeCommand } from './commands/codec.ts'
export type {
  AcknowledgeCommand,
  Command,
  ConnectCommand,
  ConnectionId,
  DisconnectCommand,
  PublishCommand,
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
export type { DeliveryTerms, Effects, Outcome } from './effects.ts'
export { Machine } from './machine.ts'
export type { Message, PlacedMessage } from './messages/message.ts'
export { DIRECT_PREFIX } from './messages/publishing.ts'
export { readContent } from './messages/shelf.ts'
export { OutboundWindow, packetIdOf, SPAN_MAX } from './queue/outbound-window.ts'
export type { QueueEntry } from './queue/queue-part.ts'
export type { SessionQueue } from './queue/session-queue.ts'
export type { RetainedView } from './retained/retained.ts'
export { TopicTree } from './retained/topic-tree.ts'
export { Recovery } from './saving/recovery.ts'
export type { Save } from './saving/save.ts'
export { Receipts } from './sessions/receipts.ts'
export { isSameConnection, type Session, type Subscription } from './sessions/session.ts'
export { type MachineSettings, machineSettings } from './settings.ts'
export { FilterTree } from './subscriptions/filter-tree.ts'
