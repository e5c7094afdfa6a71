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
export type { DeliveryTerms, Effects, Outcome } from './effects.ts'
export type { Message, PlacedMessage } from './messages/message.ts'
export { OutboundWindow, packetIdOf, SPAN_MAX } from './queue/outbound-window.ts'
export { TopicTree } from './retained/topic-tree.ts'
export { Receipts } from './sessions/receipts.ts'
export { FilterTree } from './subscriptions/filter-tree.ts'
