/**
 * What a command must be before any rule looks at it. Commands come from other nodes too, so every field that a rule relies
 * on is checked here, whatever the codec let through; a filter has a reason code of its own and is checked where it is used.
 */
import { stringBytesMax, stringProblem, topicNameProblem, utf8Length } from '@concordmq/protocol'
import { signedProblem } from '../admin/admin-document.ts'
import type { MessageHead } from '../messages/message.ts'
import type { MachineSettings } from '../settings.ts'
import { levelsOf } from '../subscriptions/subscribing.ts'
import type { Command, ConnectionId, Settlement } from './commands.ts'

/** Elements of one list in a command: more than any packet can carry. */
export const LIST_MAX = 65_536
/** Incarnations and counters stay below what a position can be. */
const NODE_MAX = 0xffff_ffff
const SECONDS_MAX = 0xffff_ffff
const SUBSCRIPTION_ID_MAX = 268_435_455

/** What is wrong with a command; undefined: nothing. */
export function commandProblem(command: Command, settings: MachineSettings): string | undefined {
  switch (command.type) {
    case 'start':
      return isInteger(command.node, NODE_MAX) && isInteger(command.incarnation)
        ? undefined
        : 'node is no number of a node'
    case 'tick':
      return undefined
    case 'publish': {
      const { connection, message, receipt } = command
      const problem = connectionProblem(connection) ?? messageProblem(message, settings)
      if (problem !== undefined) return problem
      // A receipt belongs to QoS 2 from a client, and to nothing else; a transient session's stays at its node.
      if (receipt !== undefined && (connection === undefined || message.qos !== 2))
        return 'receipt does not fit the QoS'
      return receipt === undefined || isPacketId(receipt) ? undefined : 'receipt is no packet identifier'
    }
    case 'publishRun': {
      const { connection, head, payloads } = command
      if (!isList(payloads)) return 'list of payloads is empty or too long'
      if (head.retain) return 'messages of a run are not retained'
      // Each message of QoS 2 has a receipt of its own.
      if (head.qos === 2) return 'messages of a run are at QoS 2'
      return connectionProblem(connection) ?? messageProblem(head, settings)
    }
    case 'connect': {
      const { clientId, principal, version, receiveMaximum, sessionExpirySeconds, will } = command
      if (!isPacketId(receiveMaximum)) return 'receive maximum is not 1 to 65,535'
      if (version !== 3 && version !== 4 && version !== 5) return 'version is none of MQTT'
      if (!isInteger(sessionExpirySeconds, SECONDS_MAX)) return 'session expiry is no number of seconds'
      if (!isText(principal)) return 'principal is no MQTT string'
      return connectionProblem(command.connection) ?? clientIdProblem(clientId) ?? willProblem(will, settings)
    }
    case 'disconnect': {
      const { sentBelow, sessionExpirySeconds, will } = command
      if (sentBelow !== undefined && !isInteger(sentBelow)) return 'highest number sent is no number'
      if (sessionExpirySeconds !== undefined && !isInteger(sessionExpirySeconds, SECONDS_MAX)) {
        return 'session expiry is no number of seconds'
      }
      if (will !== 'publish' && will !== 'drop') return 'will is neither published nor dropped'
      return connectionProblem(command.connection) ?? clientIdProblem(command.clientId)
    }
    case 'subscribe': {
      if (!isList(command.subscriptions)) return 'list of subscriptions is empty or too long'
      for (const { qos, retainHandling, subscriptionId } of command.subscriptions) {
        if (!isInteger(qos, 2)) return 'QoS of a subscription is above 2'
        if (!isInteger(retainHandling, 2)) return 'retain handling is above 2'
        if (!isInteger(subscriptionId, SUBSCRIPTION_ID_MAX)) return 'subscription identifier is too large'
      }
      return connectionProblem(command.connection) ?? clientIdProblem(command.clientId)
    }
    case 'unsubscribe':
      if (!isList(command.filters)) return 'list of filters is empty or too long'
      return connectionProblem(command.connection) ?? clientIdProblem(command.clientId)
    case 'acknowledge':
      if (!isList(command.settlements)) return 'list of settlements is empty or too long'
      return (
        settlementsProblem(command.settlements) ??
        connectionProblem(command.connection) ??
        clientIdProblem(command.clientId)
      )
    case 'release':
      if (!isList(command.packetIds)) return 'list of packet identifiers is empty or too long'
      if (!command.packetIds.every(isPacketId)) return 'packet identifier is not 1 to 65,535'
      return connectionProblem(command.connection) ?? clientIdProblem(command.clientId)
    case 'withdrawWill':
      if (!isInteger(command.dueUs)) return 'time of the will is no number'
      return clientIdProblem(command.clientId)
    case 'admin':
      return signedProblem(command.document, command.signatures)
    default:
      return 'type is none of a command'
  }
}

/** What is wrong with a message. */
export function messageProblem(message: MessageHead, settings: MachineSettings): string | undefined {
  const topic = topicNameProblem(message.topic)
  if (topic !== undefined) return `topic ${topic}`
  if (levelsOf(message.topic) > settings.topicLevelsMax) return 'topic has too many levels'
  if (!isInteger(message.qos, 2)) return 'QoS is above 2'
  if (!isText(message.publisher)) return 'publisher is no MQTT string'
  const { expirySeconds } = message
  if (expirySeconds !== undefined && !isInteger(expirySeconds, SECONDS_MAX)) return 'expiry is no number of seconds'
  return undefined
}

function willProblem(
  will: { readonly message: MessageHead; readonly delaySeconds: number } | undefined,
  settings: MachineSettings,
): string | undefined {
  if (will === undefined) return undefined
  if (!isInteger(will.delaySeconds, SECONDS_MAX)) return 'delay of the will is no number of seconds'
  const problem = messageProblem(will.message, settings)
  return problem === undefined ? undefined : `will: ${problem}`
}

function settlementsProblem(settlements: readonly Settlement[]): string | undefined {
  let entries = 0
  for (const { q, count = 1 } of settlements) {
    if (!isInteger(q)) return 'queue number is no number'
    if (!isInteger(count, LIST_MAX) || count === 0) return 'count of a settlement is no number of entries'
    entries += count
  }
  return entries <= LIST_MAX ? undefined : 'settlements are of too many entries'
}

function connectionProblem(connection: ConnectionId | undefined): string | undefined {
  if (connection === undefined) return undefined
  const { node, incarnation, counter } = connection
  return isInteger(node, NODE_MAX) && isInteger(incarnation) && isInteger(counter)
    ? undefined
    : 'connection has a part that is no number'
}

function clientIdProblem(clientId: string): string | undefined {
  return clientId !== '' && isText(clientId) ? undefined : 'client identifier is empty or no MQTT string'
}

function isText(text: string): boolean {
  if (stringProblem(text) !== undefined) return false
  return text.length * 3 <= stringBytesMax || utf8Length(text) <= stringBytesMax
}

function isInteger(value: number, max: number = Number.MAX_SAFE_INTEGER): boolean {
  return Number.isSafeInteger(value) && value >= 0 && value <= max
}

function isPacketId(value: number): boolean {
  return isInteger(value, 65_535) && value > 0
}

function isList(list: { readonly length: number }): boolean {
  return list.length > 0 && list.length <= LIST_MAX
}
