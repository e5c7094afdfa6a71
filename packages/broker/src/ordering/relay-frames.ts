/**
 * Messages that skip the order, in bytes, and the answer to them:
 *
 *   messages   bundle length u32 │ bundle │ choices …      a bundle as in the order: life and number, then runs and publish commands
 *   choice     item u16 │ message u16 │ group, string │ client, string
 *              message `message` of item `item` also goes to that member of that shared group
 *   taken      life u64 │ number u64                       everything up to that number was given to clients, or will be
 *
 * `string` is u16 bytes and so many bytes of UTF-8. Life is a number that the sender drew at its start, `number` ascends in it. Whoever reads
 * this believes nothing: it comes from another node.
 */
import { Buffer } from 'node:buffer'
import { type PublishRun, topicNameProblem, utf8Decode, utf8Problem } from '@concordmq/protocol'
import {
  decodeCommand,
  eachItem,
  type Message,
  type OutsideChoice,
  type PublishCommand,
  type ReadRun,
  readHead,
  readRun,
} from '@concordmq/state'

/** Items, and choices, in one frame: a sender cuts before. */
export const ITEMS_MAX = 2048
export const CHOICES_MAX = 8192

export interface RelayHead {
  readonly life: number
  readonly number: number
}

/** A member of a shared group that gets one of the messages. */
export interface Choice extends OutsideChoice {
  /** Index of the item in its bundle, and of the message in the item. */
  readonly item: number
  readonly message: number
}

export type RelayedItem =
  /** `run` shows its messages in place, and is good until the next one is read. */
  | { readonly type: 'run'; readonly run: PublishRun; readonly of: ReadRun }
  | { readonly type: 'message'; readonly message: Message }

export function encodeMessages(bundle: Uint8Array, choices: readonly Choice[]): Uint8Array {
  const parts: Uint8Array[] = [u32(bundle.length), bundle]
  for (const { item, message, group, clientId } of choices) {
    parts.push(u16(item), u16(message), ...text(group), ...text(clientId))
  }
  return Buffer.concat(parts)
}

export function encodeTaken({ life, number }: RelayHead): Uint8Array {
  const bytes = Buffer.alloc(16)
  bytes.writeBigUInt64BE(BigInt(life))
  bytes.writeBigUInt64BE(BigInt(number), 8)
  return bytes
}

/** Undefined: these bytes are no answer. */
export function decodeTaken(bytes: Uint8Array): RelayHead | undefined {
  if (bytes.length !== 16) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  const [life, number] = [Number(view.getBigUint64(0)), Number(view.getBigUint64(8))]
  return Number.isSafeInteger(life) && Number.isSafeInteger(number) ? { life, number } : undefined
}

/** The head of a frame of messages; undefined: malformed. */
export function messagesHead(bytes: Uint8Array): RelayHead | undefined {
  const head = readHead(bundleOf(bytes) ?? NOTHING)
  return head === undefined ? undefined : { life: head.incarnation, number: head.number }
}

/**
 * Visits the items in their order, each with the choices for it. Answers what is wrong with the bytes, in words; what was visited
 * before is right by itself. `isFast` says whether messages of a topic may come this way.
 */
export function eachRelayed(
  bytes: Uint8Array,
  run: PublishRun,
  isFast: (topic: string) => boolean,
  visit: (item: RelayedItem, choices: readonly Choice[]) => void,
): string | undefined {
  const bundle = bundleOf(bytes)
  if (bundle === undefined) return 'a bundle is cut short'
  const choices = readChoices(bytes.subarray(4 + bundle.length))
  if (choices === undefined) return 'choices of members are malformed'
  let problem: string | undefined
  let at = 0
  let from = 0
  const isWhole = eachItem(bundle, ({ isRun, start, end }) => {
    if (problem !== undefined) return
    if (at === ITEMS_MAX) {
      problem = 'a frame has too many items'
      return
    }
    const item = isRun ? readRunItem(bundle, start, end, run) : readMessage(bundle.subarray(start, end))
    if (typeof item === 'string') {
      problem = item
      return
    }
    const { topic } = item.type === 'run' ? item.of : item.message
    if (topicNameProblem(topic) !== undefined || !isFast(topic)) {
      problem = 'a topic is not among those that skip the order'
      return
    }
    const index = at++
    const begin = from
    while (from < choices.length && (choices[from] as Choice).item === index) from++
    visit(item, from === begin ? NONE : choices.slice(begin, from))
  })
  run.clear()
  if (problem !== undefined) return problem
  if (!isWhole) return 'an item is cut short'
  return from === choices.length ? undefined : 'a choice of a member is for no item'
}

function readRunItem(bundle: Uint8Array, start: number, end: number, run: PublishRun): RelayedItem | string {
  const read = readRun(bundle, start, end, run)
  if (typeof read === 'string') return read
  return run.qos === 2 ? 'QoS 2 does not skip the order' : { type: 'run', run, of: read }
}

function readMessage(bytes: Uint8Array): RelayedItem | string {
  const command = decodeCommand(bytes)
  if ('malformed' in command) return command.malformed
  if (command.type !== 'publish' || !isRelayable(command)) return 'only plain messages skip the order'
  return { type: 'message', message: command.message }
}

function isRelayable({ message, receipt }: PublishCommand): boolean {
  return message.qos < 2 && !message.retain && receipt === undefined
}

function bundleOf(bytes: Uint8Array): Uint8Array | undefined {
  if (bytes.length < 4) return undefined
  const end = 4 + new DataView(bytes.buffer, bytes.byteOffset).getUint32(0)
  return end <= bytes.length ? bytes.subarray(4, end) : undefined
}

/** Ascending by item; undefined: malformed. */
function readChoices(bytes: Uint8Array): readonly Choice[] | undefined {
  if (bytes.length === 0) return NONE
  const choices: Choice[] = []
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  let at = 0
  const string = (): string | undefined => {
    if (at + 2 > bytes.length) return undefined
    const start = at + 2
    const end = start + view.getUint16(at)
    if (end > bytes.length || utf8Problem(bytes, start, end) !== undefined) return undefined
    at = end
    return utf8Decode(bytes, start, end)
  }
  let last = 0
  const seen = new Set<string>()
  while (at < bytes.length) {
    if (at + 4 > bytes.length || choices.length === CHOICES_MAX) return undefined
    const [item, message] = [view.getUint16(at), view.getUint16(at + 2)]
    at += 4
    const group = string()
    const clientId = string()
    if (group === undefined || clientId === undefined || item < last) return undefined
    // One member of a group gets a message, and once: else a few bytes could ask for any number of copies of a large one.
    const name = `${item}.${message}.${group}`
    if (seen.has(name)) return undefined
    seen.add(name)
    last = item
    choices.push({ item, message, group, clientId })
  }
  return choices
}

function text(value: string): [Uint8Array, Uint8Array] {
  const bytes = Buffer.from(value)
  return [u16(bytes.length), bytes]
}

function u16(value: number): Uint8Array {
  return Uint8Array.of(value >> 8, value & 255)
}

function u32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

const NONE: readonly Choice[] = []
const NOTHING = new Uint8Array(0)
