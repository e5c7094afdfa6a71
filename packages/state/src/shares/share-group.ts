/**
 * A shared subscription: the members that take turns with one topic filter under one share name, and the rule that chooses
 * among them. All is decided by the state and the message's place, so every replica chooses alike.
 */
import { compareText } from '../encoding/text-order.ts'
import type { Writer } from '../encoding/writer.ts'
import type { PlacedMessage } from '../messages/message.ts'
import { RecordKind } from '../records/kinds.ts'
import { StateRecord } from '../records/state-record.ts'
import type { Session, Subscription } from '../sessions/session.ts'
import type { MachineSettings } from '../settings.ts'

export class ShareGroup extends StateRecord {
  /** Whole filter, `$share/name/…`. */
  readonly filter: string
  readonly shareName: string
  readonly topicFilter: string
  /** By client identifier, ascending. */
  readonly members: Subscription[] = []
  /** Client identifier of the member chosen last. */
  last = ''
  readonly #durable: boolean

  /** `durable`: whose turn it is must outlive the process, since other nodes know. */
  constructor(subscription: Subscription, { durable }: { readonly durable: boolean }) {
    super()
    this.#durable = durable
    this.filter = subscription.filter
    this.shareName = subscription.shareName
    this.topicFilter = subscription.topicFilter
  }

  /** On a single node whose turn it is is no promise: a restart begins with the first member. */
  override get durable(): boolean {
    return this.#durable
  }

  override writeKey(writer: Writer): void {
    writer.u8(RecordKind.shareGroup)
    writer.string(this.filter)
  }

  override writeValue(writer: Writer): void {
    writer.string(this.last)
  }

  add(member: Subscription): void {
    this.members.splice(placeOf(this.members, member.session.clientId), 0, member)
  }

  delete(member: Subscription): void {
    const index = this.members.indexOf(member)
    if (index >= 0) this.members.splice(index, 1)
  }
}

/** What the choice depends on. */
export type Choosing = Pick<ShareGroup, 'filter' | 'members' | 'last'>

/**
 * The member that gets a message. Connected members come first; only when there is none does a kept session without
 * connection get it, into its queue, and never at QoS 0. Undefined: nobody can have it.
 */
export function chooseMember(
  group: Choosing,
  body: PlacedMessage,
  settings: MachineSettings,
): Subscription | undefined {
  return (
    choose(group, body, settings, (session) => session.connection !== undefined) ??
    choose(group, body, settings, (session, qos) => session.connection === undefined && session.kept && qos > 0)
  )
}

type Fits = (session: Session, qos: number) => boolean

function choose(group: Choosing, body: PlacedMessage, settings: MachineSettings, fits: Fits): Subscription | undefined {
  switch (settings.shareStrategy) {
    case 'roundRobin':
      return afterLast(group, body, fits)
    case 'leastInflight':
      return leastInflight(group, body, fits)
    case 'stickyByPublisher':
      return sticky(group, body, fits)
    case 'random':
      return random(group, body, fits, settings.seed)
  }
}

function fitting(member: Subscription, body: PlacedMessage, fits: Fits): boolean {
  return fits(member.session, Math.min(member.qos, body.message.qos))
}

/** The first that fits behind the one chosen last, in a circle. */
function afterLast(group: Choosing, body: PlacedMessage, fits: Fits): Subscription | undefined {
  const { members } = group
  let index = placeOf(members, group.last)
  if (members[index]?.session.clientId === group.last) index++
  for (let i = 0; i < members.length; i++) {
    const member = members[(index + i) % members.length] as Subscription
    if (fitting(member, body, fits)) return member
  }
  return undefined
}

/** The one with the fewest unsettled entries; among equals the first behind the one chosen last. */
function leastInflight(group: Choosing, body: PlacedMessage, fits: Fits): Subscription | undefined {
  let fewest = Number.MAX_SAFE_INTEGER
  for (const member of group.members) {
    if (fitting(member, body, fits)) fewest = Math.min(fewest, member.session.queue.messages)
  }
  return afterLast(group, body, (session, qos) => fits(session, qos) && session.queue.messages === fewest)
}

/**
 * Highest rank of (publisher, member): one publisher's messages go to one member, and a member that comes or goes moves
 * only the publishers that are its own.
 */
function sticky(group: Choosing, body: PlacedMessage, fits: Fits): Subscription | undefined {
  let best: Subscription | undefined
  let bestRank = -1
  for (const member of group.members) {
    if (!fitting(member, body, fits)) continue
    const rank = mix(mixText(mixText(group.filter.length, body.message.publisher), member.session.clientId))
    if (rank > bestRank) {
      best = member
      bestRank = rank
    }
  }
  return best
}

/** Drawn from the seed, the place of the message and the group: nothing to remember. */
function random(group: Choosing, body: PlacedMessage, fits: Fits, seed: number): Subscription | undefined {
  const candidates = group.members.filter((member) => fitting(member, body, fits))
  if (candidates.length === 0) return undefined
  const { position, index } = body
  const place = mix(mix(mix(seed >>> 0) ^ (position % 0x1_0000_0000)) ^ Math.floor(position / 0x1_0000_0000)) ^ index
  return candidates[mix(mixText(mix(place), group.filter)) % candidates.length]
}

/** Index of the first member not before `clientId`. */
function placeOf(members: readonly Subscription[], clientId: string): number {
  let low = 0
  let high = members.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (compareText((members[middle] as Subscription).session.clientId, clientId) < 0) low = middle + 1
    else high = middle
  }
  return low
}

/** FNV-1a over the UTF-16 code units; no defence against chosen names, which could only make a choice uneven. */
function mixText(hash: number, text: string): number {
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x0100_0193)
  return Math.imul(hash ^ 0xffff, 0x0100_0193) >>> 0
}

/** Finaliser of MurmurHash3: spreads every bit over all 32. */
function mix(hash: number): number {
  hash = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
