/**
 * What changed since the log was last told, as one group: the state moves from one place to another or not at all.
 *
 *   position u53 │ time u53 │ index u32 │ changes …
 *   change = how u8 (gone 0, whole 1, entries 2, run 3) │ key, with length u32 │ value, with length u32 (not for `gone`)
 *
 * The log holds changes of records, not commands: reading it needs neither the settings nor the rules under which they
 * were made, and what several commands did to one record is written once (docs/decisions/log-of-changes.md).
 */
import { Writer } from '../encoding/writer.ts'
import { Body } from '../messages/body.ts'
import { BodyRun } from '../messages/body-run.ts'
import { QueuePart } from '../queue/queue-part.ts'
import type { StateRecord } from '../records/state-record.ts'
import { Session, type SessionBound } from '../sessions/session.ts'
import type { State } from '../state.ts'

/** `run`: messages one behind the other, under the key of the first (`messages/body-run.ts`). */
export const How = { gone: 0, whole: 1, entries: 2, run: 3 } as const

const writer = new Writer()

/** The group, valid until the next one is taken, of any state; undefined when the log has everything. */
export function takeDelta(state: State): Uint8Array | undefined {
  const { changes } = state.records
  state.cut.length = 0
  if (changes?.isUnlogged !== true) return undefined
  const { clock } = state
  writer.clear()
  writer.u53(clock.position)
  writer.u53(clock.timeUs)
  writer.u32(clock.index)
  const head = writer.length
  changes.takeUnlogged((record) => {
    writeChange(record)
    if (!(record instanceof Session) || record.gone) return
    state.cut.push({ session: record, next: record.queue.next })
  })
  return writer.length === head ? undefined : writer.view()
}

/** The same where another thread, whose machine is in the same state, writes the log: sessions that have more in it then. */
export function passDelta(state: State): readonly SessionBound[] {
  const bounds: SessionBound[] = []
  state.records.changes?.takeUnlogged((record) => {
    if (record instanceof QueuePart) record.passChanged()
    else if (record instanceof Session && !record.gone) bounds.push({ session: record, next: record.queue.next })
  })
  return bounds
}

function writeChange(record: StateRecord): void {
  if (record instanceof Body) {
    // Its end needs no word: nothing refers to it any more.
    if (record.keptReferences > 0) writeAs(How.whole, record)
  } else if (record instanceof BodyRun) {
    if (record.live > 0) writeAs(How.run, record)
  } else if (record.gone) {
    writer.u8(How.gone)
    writeKey(record)
  } else if (record instanceof QueuePart) {
    writer.u8(How.entries)
    writeKey(record)
    const begun = writer.begin()
    record.writeChanged(writer)
    writer.end(begun)
  } else writeAs(How.whole, record)
}

function writeAs(how: number, record: StateRecord): void {
  writer.u8(how)
  writeKey(record)
  const begun = writer.begin()
  record.writeValue(writer)
  writer.end(begun)
}

function writeKey(record: StateRecord): void {
  const begun = writer.begin()
  record.writeKey(writer)
  writer.end(begun)
}
