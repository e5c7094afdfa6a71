/**
 * What the passing of time will cause, ordered by (deadline, bytes of the key, kind). A binary heap whose items know their
 * place, so that a moved deadline leaves nothing behind and the heap is never larger than what waits. The order is total:
 * equal sets run in equal order, however they came to be, and a restored machine needs no heap in its snapshot.
 */
import { compareText } from '../encoding/text-order.ts'

/** A deadline that never comes: the largest number that the encodings know. */
export const NEVER = Number.MAX_SAFE_INTEGER

export interface Deadlined {
  /** Microseconds since 1970, or `NEVER`. Set by `Deadlines` alone. */
  dueUs: number
  /** Place in the heap, -1: none. Set by `Deadlines` alone. */
  dueIndex: number
  /** Client identifier, or topic of a retained message. */
  readonly dueKey: string
  readonly dueKind: number
}

export class Deadlines<T extends Deadlined> {
  readonly #heap: T[] = []

  get size(): number {
    return this.#heap.length
  }

  /** What is due first. */
  first(): T | undefined {
    return this.#heap[0]
  }

  /** Sets, moves or (with `NEVER`) removes the deadline of an item. */
  set(item: T, dueUs: number): void {
    if (item.dueUs === dueUs) return
    item.dueUs = dueUs
    if (dueUs === NEVER) return this.#remove(item)
    if (item.dueIndex < 0) {
      item.dueIndex = this.#heap.length
      this.#heap.push(item)
    }
    this.#down(this.#up(item.dueIndex))
  }

  #remove(item: T): void {
    const index = item.dueIndex
    item.dueIndex = -1
    const last = this.#heap.pop() as T
    if (last === item) return
    this.#place(last, index)
    this.#down(this.#up(index))
  }

  #up(index: number): number {
    const item = this.#heap[index] as T
    while (index > 0) {
      const above = (index - 1) >> 1
      const parent = this.#heap[above] as T
      if (!isBefore(item, parent)) break
      this.#place(parent, index)
      index = above
    }
    this.#place(item, index)
    return index
  }

  #down(index: number): void {
    const item = this.#heap[index] as T
    for (;;) {
      let below = index * 2 + 1
      if (below >= this.#heap.length) break
      const right = this.#heap[below + 1]
      if (right !== undefined && isBefore(right, this.#heap[below] as T)) below++
      const child = this.#heap[below] as T
      if (!isBefore(child, item)) break
      this.#place(child, index)
      index = below
    }
    this.#place(item, index)
  }

  #place(item: T, index: number): void {
    this.#heap[index] = item
    item.dueIndex = index
  }
}

function isBefore(a: Deadlined, b: Deadlined): boolean {
  if (a.dueUs !== b.dueUs) return a.dueUs < b.dueUs
  const order = compareText(a.dueKey, b.dueKey)
  return order !== 0 ? order < 0 : a.dueKind < b.dueKind
}
