/**
 * Which of the solid units have their place now, and in which order (consensus.md 8.3). A unit waits while anything that must
 * come before it, directly or through others, is not solid; patience bounds that. What remains is ordered by components:
 * predecessors first, then time, and inside a component time alone.
 */
import { sortFew } from '../bytes/order.ts'
import { components, type Graph } from './components.ts'
import { Heap } from './heap.ts'
import type { Predecessors } from './predecessors.ts'
import { compareKeys, type Unit } from './unit.ts'

export interface EmissionOrder {
  readonly units: readonly Unit[]
  /** How many of them leave a unit behind that should have come first. */
  readonly cuts: number
}

/** Of `waiting`, all of them solid, at the end of `step`. `patience` is K. */
export function emissionOrder(waiting: readonly Unit[], step: number, patience: number): EmissionOrder {
  const [only] = waiting
  if (only !== undefined && waiting.length === 1) return orderOfOne(only, step, patience)
  for (const [index, unit] of waiting.entries()) unit.mark = index
  const edges = new Edges(waiting)
  const all = components(edges)
  const blocked = blockedUnits(all, edges, step, patience)
  let ready = all.filter((members) => blocked[members[0] as number] === 0)
  if (waiting.some((unit, index) => blocked[index] === 1 && step - unit.solidStep >= 4 * patience)) {
    // The hard bound: without it a chain whose newest link is always fresh would keep its first unit for ever.
    edges.keep((index) => blocked[index] === 0 || step - (waiting[index] as Unit).solidStep >= 4 * patience)
    ready = components(edges)
  }
  for (const members of ready) sortFew(members, (a, b) => compareKeys(waiting[a] as Unit, waiting[b] as Unit))
  const order = inOrder(ready, edges)
  const emitted = new Uint8Array(waiting.length)
  for (const index of order) emitted[index] = 1
  let cuts = 0
  for (const index of order) {
    const unit = waiting[index] as Unit
    if (step - unit.solidStep >= patience && leavesBehind(unit, emitted)) cuts++
  }
  return { units: order.map((index) => waiting[index] as Unit), cuts }
}

/** Nothing solid can stand before it. */
function orderOfOne(unit: Unit, step: number, patience: number): EmissionOrder {
  const isOverdue = step - unit.solidStep >= patience
  const waits = waitsForOpen(unit)
  if (waits && !isOverdue) return { units: [], cuts: 0 }
  return { units: [unit], cuts: waits ? 1 : 0 }
}

/** Edges of the waiting units to other waiting units, which are their predecessors. */
class Edges implements Graph {
  readonly size: number
  cursorOut = 0
  readonly #waiting: readonly Unit[]
  #kept: Uint8Array<ArrayBuffer> | undefined

  constructor(waiting: readonly Unit[]) {
    this.size = waiting.length
    this.#waiting = waiting
  }

  /** From now on only these take part. */
  keep(kept: (index: number) => boolean): void {
    this.#kept = Uint8Array.from(this.#waiting, (_, index) => (kept(index) ? 1 : 0))
  }

  unit(index: number): Unit {
    return this.#waiting[index] as Unit
  }

  has(index: number): boolean {
    return this.#kept === undefined || this.#kept[index] === 1
  }

  edge(index: number, cursor: number): number {
    const before = this.unit(index).before as Predecessors<Unit>
    for (let at = before.next(cursor); at !== -1; at = before.next(at + 1)) {
      const other = before.candidates[at] as Unit
      if (other.state !== 'solid' || !this.has(other.mark)) continue
      this.cursorOut = at + 1
      return other.mark
    }
    return -1
  }
}

/** 1 for each unit that reaches a unit that is not solid. `all` has predecessors first. */
function blockedUnits(all: readonly number[][], edges: Edges, step: number, patience: number): Uint8Array {
  const blocked = new Uint8Array(edges.size)
  for (const members of all) {
    const blocks = members.some((index) => {
      const unit = edges.unit(index)
      if (step - unit.solidStep < patience && waitsForOpen(unit)) return true
      for (let other = edges.edge(index, 0); other !== -1; other = edges.edge(index, edges.cursorOut)) {
        if (blocked[other] === 1) return true
      }
      return false
    })
    if (blocks) for (const index of members) blocked[index] = 1
  }
  return blocked
}

function waitsForOpen(unit: Unit): boolean {
  const before = unit.before as Predecessors<Unit>
  for (let at = before.next(0); at !== -1; at = before.next(at + 1)) {
    if ((before.candidates[at] as Unit).state === 'open') return true
  }
  return false
}

function leavesBehind(unit: Unit, emitted: Uint8Array): boolean {
  const before = unit.before as Predecessors<Unit>
  for (let at = before.next(0); at !== -1; at = before.next(at + 1)) {
    const other = before.candidates[at] as Unit
    if (other.state === 'open' || (other.state === 'solid' && emitted[other.mark] === 0)) return true
  }
  return false
}

/** A component on its way: the first edge that still leads to another component which is not out. */
interface Pending {
  readonly members: readonly number[]
  member: number
  cursor: number
}

/**
 * Components with predecessors first; among those that could be next the one whose first member has the smallest (key,
 * digest). Each component is watched at one predecessor at a time, so that every edge is looked at once.
 */
function inOrder(ready: readonly number[][], edges: Edges): number[] {
  const home = new Int32Array(edges.size).fill(-1)
  for (const [at, members] of ready.entries()) for (const index of members) home[index] = at
  const out = new Uint8Array(ready.length)
  const watchers: Pending[][] = ready.map(() => [])
  const available = new Heap<Pending>((a, b) =>
    compareKeys(edges.unit(a.members[0] as number), edges.unit(b.members[0] as number)),
  )
  const advance = (pending: Pending): void => {
    const own = home[pending.members[0] as number]
    for (; pending.member < pending.members.length; pending.member++, pending.cursor = 0) {
      const index = pending.members[pending.member] as number
      for (let other = edges.edge(index, pending.cursor); other !== -1; other = edges.edge(index, pending.cursor)) {
        const target = home[other] as number
        if (target !== own && out[target] === 0) {
          watchers[target]?.push(pending)
          return
        }
        pending.cursor = edges.cursorOut
      }
    }
    available.push(pending)
  }

  for (const members of ready) advance({ members, member: 0, cursor: 0 })
  const order: number[] = []
  for (let next = available.pop(); next !== undefined; next = available.pop()) {
    order.push(...next.members)
    const at = home[next.members[0] as number] as number
    out[at] = 1
    for (const waiting of watchers[at] as Pending[]) advance(waiting)
  }
  return order
}
