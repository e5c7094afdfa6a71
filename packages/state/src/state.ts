/**
 * Everything that the machine remembers, in one place; the rules that change it lie in the folders of their nouns and take
 * it as first argument.
 *
 *   nodes ─ incarnation                     sessions ─ subscriptions, receipts, queue ─▶ messages
 *   filters ─▶ subscriptions                shares ─▶ groups ─▶ subscriptions
 *   retained ─▶ messages                    admin ─▶ documents of operators, by subject
 *                                           deadlines ─▶ sessions, retained
 *
 * Trees, groups' members and deadlines follow from sessions and retained messages; they are rebuilt, not stored.
 */
import type { AdminRecord, AdminSubject, Judge } from './admin/admin-document.ts'
import { Deadlines, NEVER } from './deadlines/deadlines.ts'
import type { Writer } from './encoding/writer.ts'
import { Body } from './messages/body.ts'
import type { RunPlace } from './messages/body-run.ts'
import type { Message } from './messages/message.ts'
import { Shelf } from './messages/shelf.ts'
import type { NodeLife } from './nodes/node-life.ts'
import { RecordKind } from './records/kinds.ts'
import { RecordTable } from './records/record-table.ts'
import { StateRecord } from './records/state-record.ts'
import { type ExpiringEntry, Retained } from './retained/retained.ts'
import type { Session, SessionBound, Subscription } from './sessions/session.ts'
import type { MachineSettings } from './settings.ts'
import type { ShareGroup } from './shares/share-group.ts'
import { FilterTree } from './subscriptions/filter-tree.ts'

/** The place that the state has reached. */
export class Clock extends StateRecord {
  position = 0
  /** Time of the order, microseconds since 1970. */
  timeUs = 0
  /** Index that the next message at this position gets. */
  index = 0

  /** Every group of the log and every save carries it anyway. */
  override get durable(): boolean {
    return false
  }

  override writeKey(writer: Writer): void {
    writer.u8(RecordKind.clock)
  }

  override writeValue(writer: Writer): void {
    writer.u53(this.position)
    writer.u53(this.timeUs)
    writer.u32(this.index)
  }
}

/** What was counted here, for metrics; no part of the state. */
export interface Counters {
  malformed: number
  stale: number
  /** Of another node's client, or of a life of a node that is over. */
  fenced: number
  /** Bundles that came too far ahead of their predecessor. */
  heldFull: number
  /** Settlements and releases of what was not there. */
  idle: number
  /** Entries that queues got. */
  queued: number
  queueFull: number
  expired: number
  /** Messages refused, or not retained, because a maximum of retained messages was reached. */
  retainedFull: number
  /** Messages refused because all queues together are full. */
  queuesFull: number
  /** Documents that operators did not sign, or that were not later than the one in force. */
  adminRefused: number
}

export class State {
  readonly settings: MachineSettings
  readonly records: RecordTable
  readonly clock = new Clock()
  readonly nodes = new Map<number, NodeLife>()
  readonly sessions = new Map<string, Session>()
  /** Subscriptions that are not shared, by client identifier. */
  readonly filters = new FilterTree<Subscription>()
  /** Groups by share name. */
  readonly shares = new FilterTree<ShareGroup>()
  readonly retained = new Retained()
  /** Messages on disk that queues of kept sessions refer to. */
  readonly shelf = new Shelf()
  /** Documents of operators that count. */
  readonly admin = new Map<AdminSubject, AdminRecord>()
  /** Who tells whether operators signed; no part of the state. Undefined: nobody may administer anything. */
  judge: Judge | undefined
  readonly deadlines = new Deadlines<Session | ExpiringEntry>()
  /** Sessions in the group of the log that was taken last, with the number behind their last entry then. */
  readonly cut: SessionBound[] = []
  /** Entries of all queues, and the bytes they refer to. */
  queuesMessages = 0
  queuesBytes = 0
  readonly counters: Counters = {
    malformed: 0,
    stale: 0,
    fenced: 0,
    heldFull: 0,
    idle: 0,
    queued: 0,
    queueFull: 0,
    expired: 0,
    retainedFull: 0,
    queuesFull: 0,
    adminRefused: 0,
  }

  constructor(settings: MachineSettings) {
    this.settings = settings
    this.records = new RecordTable(settings)
    this.records.add(this.clock)
  }
}

/** Gives a message its place: the present position, the next index. */
export function place(state: State, message: Message): Body {
  const { position, timeUs } = state.clock
  return new Body(message, { position, index: state.clock.index++, timeUs })
}

/** Gives so many messages of a run their places. */
export function placeRun(state: State, count: number): RunPlace {
  const { position, timeUs, index } = state.clock
  state.clock.index += count
  return { position, index, timeUs }
}

/** Sets the deadline of a session from what waits for it; only a session without connection has one. */
export function schedule(state: State, session: Session): void {
  const { queue } = session
  const sweepUs = queue.messages === 0 ? NEVER : queue.expiryFloorUs
  const due = session.connection !== undefined ? NEVER : Math.min(session.willDueUs, session.expiresUs, sweepUs)
  state.deadlines.set(session, due)
}
