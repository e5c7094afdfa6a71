/**
 * The state of the fair order in canonical bytes, for the engine's snapshot (consensus.md section 11). Two nodes behind one step
 * write equal bytes, whatever they went through: units stand in the order of their names, lists as the places in this order,
 * predecessor sets as bits over the units that can still come before anything. Places in slabs and counters are not part of it.
 *
 *     step | cUs | jailed | lastT per author | units | list per author | solid units
 */
import { sortFew } from '../bytes/order.ts'
import type { Reader } from '../bytes/reader.ts'
import { Writer } from '../bytes/writer.ts'
import { popcount } from './popcount.ts'
import { Predecessors } from './predecessors.ts'
import { compareNames, type Unit } from './unit.ts'
import { UNIT_BYTES, type UnitTable } from './unit-table.ts'

const OPEN = 0
const SOLID = 1
const EMITTED = 2
const DIGEST_BYTES = 32

/** What is written, and which rounds the table still holds: those above `below`. */
export interface FairOrderState {
  readonly table: UnitTable
  readonly waiting: readonly Unit[]
  readonly below: number
  readonly n: number
  readonly w: number
}

/** Every unit in the table, emitted ones included, and those that wait though their round has left it. */
export function writeUnits(writer: Writer, { table, waiting, below, n, w }: FairOrderState): void {
  const countAt = writer.length
  writer.u32(0)
  const alive = waiting.filter(({ round }) => round <= below).sort(compareNames)
  for (const unit of alive) writeUnit(writer, unit)
  for (let round = Math.max(1, below + 1); round <= table.roundMax; round++) {
    const encoded = table.encoded.get(round) ?? encodeRound(table, round)
    if (encoded !== undefined) {
      writer.raw(encoded)
      continue
    }
    for (const unit of table.ofRound(round).sort(compareNames)) {
      writeUnit(writer, unit)
      if (unit.state !== 'emitted') alive.push(unit)
    }
  }
  writer.u32At(countAt, (writer.length - countAt - 4) / UNIT_BYTES)
  for (const [index, unit] of alive.entries()) unit.mark = index
  for (let reporter = 0; reporter < n; reporter++) writeList(writer, table, alive, reporter)
  writePredecessors(writer, alive, w)
}

/** Makes ready what will be written of a round, if all its units are emitted; else undefined. */
export function encodeRound(table: UnitTable, round: number): Uint8Array | undefined {
  const units = table.ofRound(round)
  if (units.some((unit) => unit.state !== 'emitted')) return undefined
  const writer = new Writer(units.length * UNIT_BYTES)
  for (const unit of sortFew(units, compareNames)) writeUnit(writer, unit)
  const bytes = writer.take()
  table.encoded.set(round, bytes)
  return bytes
}

function writeUnit(writer: Writer, unit: Unit): void {
  writer.u8(unit.author)
  writer.u64(unit.round)
  writer.raw(unit.digest)
  writer.u8(unit.state === 'open' ? OPEN : unit.state === 'solid' ? SOLID : EMITTED)
  writer.u8(unit.superseded ? 1 : 0)
}

/** The list of a reporter, in its order: which unit, and when. */
function writeList(writer: Writer, table: UnitTable, alive: readonly Unit[], reporter: number): void {
  const list = alive.filter((unit) => ((unit.reporters >>> reporter) & 1) === 1)
  list.sort((a, b) => table.placeOf(a, reporter) - table.placeOf(b, reporter))
  writer.u32(list.length)
  for (const unit of list) {
    writer.u32(unit.mark)
    writer.u64(table.timeOf(unit, reporter))
  }
}

/** What was frozen with each solid unit, as bits over the candidates in the order of their names. */
function writePredecessors(writer: Writer, alive: readonly Unit[], w: number): void {
  const candidates = alive.filter((unit) => popcount(unit.reporters) >= w)
  for (const [index, unit] of candidates.entries()) unit.mark = index
  for (const unit of alive) {
    if (unit.state !== 'solid') continue
    writer.u64(unit.solidStep)
    writer.u64(unit.keyUs)
    const bits = new Uint8Array((candidates.length + 7) >>> 3)
    const before = unit.before as Predecessors<Unit>
    for (let at = before.next(0); at !== -1; at = before.next(at + 1)) {
      const other = before.candidates[at] as Unit
      if (other.state === 'open' || other.state === 'solid') {
        bits[other.mark >>> 3] = (bits[other.mark >>> 3] as number) | (1 << (other.mark & 7))
      }
    }
    writer.raw(bits)
  }
}

/**
 * Puts what was written into an empty table; the units that are alive come back in the order of their names.
 * `ringFrom` is the lowest round that the table still holds.
 */
export function readUnits(reader: Reader, table: UnitTable, n: number, w: number, ringFrom: number): Unit[] {
  const alive: Unit[] = []
  const count = reader.u32()
  for (let i = 0; i < count && reader.problem === undefined; i++) {
    const author = reader.u8()
    const round = reader.u64()
    const digest = reader.raw(DIGEST_BYTES)
    const state = reader.u8()
    const superseded = reader.flag()
    if (author >= n || state > EMITTED) reader.fail('unit is none')
    if (reader.problem !== undefined) break
    const unit = table.add({ author, round, digest }, { linked: round >= ringFrom })
    unit.superseded = superseded
    unit.state = state === OPEN ? 'open' : state === SOLID ? 'solid' : 'emitted'
    if (unit.state === 'emitted') table.release(unit)
    else alive.push(unit)
  }
  for (let reporter = 0; reporter < n; reporter++) readList(reader, table, alive, reporter)
  readPredecessors(reader, alive, w)
  return alive
}

function readList(reader: Reader, table: UnitTable, alive: readonly Unit[], reporter: number): void {
  const count = reader.u32()
  for (let i = 0; i < count && reader.problem === undefined; i++) {
    const unit = alive[reader.u32()]
    const timeUs = reader.u64()
    if (unit === undefined) reader.fail('report is of no unit')
    else table.report(unit, reporter, timeUs)
  }
}

function readPredecessors(reader: Reader, alive: readonly Unit[], w: number): void {
  const candidates = alive.filter((unit) => popcount(unit.reporters) >= w)
  for (const unit of alive) {
    if (unit.state !== 'solid' || reader.problem !== undefined) continue
    unit.solidStep = reader.u64()
    unit.keyUs = reader.u64()
    const bits = reader.raw((candidates.length + 7) >>> 3)
    const before = new Predecessors(candidates)
    for (let at = 0; at < candidates.length; at++) {
      if ((((bits[at >>> 3] as number) >>> (at & 7)) & 1) === 1) before.add(at)
    }
    unit.before = before
  }
}
