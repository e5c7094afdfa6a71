/**
 * The state of the fair order in canonical bytes, for the engine's snapshot (consensus.md section 11). Two nodes behind one step
 * write equal bytes, whatever they went through: units stand in the order of their names, lists as the places in this order,
 * predecessor sets as bits over the units that can still come before anything. Places in slabs and counters are not part of it.
 *
 *     step | cUs | jailed | lastT per author | units | list per author | solid units
 */
import type { Reader } from '../bytes/reader.ts'
import type { Writer } from '../bytes/writer.ts'
import { popcount } from './popcount.ts'
import { Predecessors } from './predecessors.ts'
import { compareNames, type Unit } from './unit.ts'
import type { UnitTable } from './unit-table.ts'

const OPEN = 0
const SOLID = 1
const EMITTED = 2
const DIGEST_BYTES = 32

/** Every unit in the table, emitted ones included, and those that wait though their round has left it. */
export function writeUnits(writer: Writer, table: UnitTable, waiting: readonly Unit[], n: number, w: number): void {
  const units = table.units()
  for (const unit of waiting) if (table.find(unit.author, unit.round, unit.digest) === undefined) units.push(unit)
  units.sort(compareNames)
  writer.u32(units.length)
  for (const unit of units) {
    writer.u8(unit.author)
    writer.u64(unit.round)
    writer.raw(unit.digest)
    writer.u8(unit.state === 'open' ? OPEN : unit.state === 'solid' ? SOLID : EMITTED)
    writer.u8(unit.superseded ? 1 : 0)
  }
  const alive = units.filter((unit) => unit.state !== 'emitted')
  for (const [index, unit] of alive.entries()) unit.mark = index
  for (let reporter = 0; reporter < n; reporter++) writeList(writer, table, alive, reporter)
  writePredecessors(writer, alive, w)
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
