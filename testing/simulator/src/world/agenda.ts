/**
 * Virtual time: what is to happen, in the order of its time, and of its entry where times are equal. A binary heap; nothing is
 * ever taken out of it before its time, so whoever enters something that may lapse checks that when it comes.
 */

export type Action = () => void

interface Entry {
  readonly atUs: number
  readonly number: number
  readonly action: Action
}

export class Agenda {
  /** Now, µs of virtual time. Fractions do not occur. */
  nowUs = 0
  #count = 0
  readonly #heap: Entry[] = []

  get size(): number {
    return this.#heap.length
  }

  /** Enters what happens at this time; a time that has passed means now. */
  at(atUs: number, action: Action): void {
    const entry = { atUs: Math.max(Math.round(atUs), this.nowUs), number: this.#count++, action }
    const heap = this.#heap
    let place = heap.length
    heap.push(entry)
    while (place > 0) {
      const above = (place - 1) >> 1
      const other = heap[above] as Entry
      if (!isBefore(entry, other)) break
      heap[place] = other
      place = above
    }
    heap[place] = entry
  }

  after(us: number, action: Action): void {
    this.at(this.nowUs + us, action)
  }

  /** Lets the next thing happen, unless it is due after `untilUs`; then the time becomes that. False if nothing happened. */
  next(untilUs = Number.POSITIVE_INFINITY): boolean {
    const first = this.#heap[0]
    if (first === undefined || first.atUs > untilUs) {
      if (untilUs !== Number.POSITIVE_INFINITY) this.nowUs = Math.max(this.nowUs, untilUs)
      return false
    }
    this.#removeFirst()
    this.nowUs = first.atUs
    first.action()
    return true
  }

  #removeFirst(): void {
    const heap = this.#heap
    const moved = heap.pop() as Entry
    const length = heap.length
    if (length === 0) return
    let place = 0
    for (;;) {
      let below = 2 * place + 1
      if (below >= length) break
      if (below + 1 < length && isBefore(heap[below + 1] as Entry, heap[below] as Entry)) below++
      const other = heap[below] as Entry
      if (!isBefore(other, moved)) break
      heap[place] = other
      place = below
    }
    heap[place] = moved
  }
}

function isBefore(a: Entry, b: Entry): boolean {
  return a.atUs < b.atUs || (a.atUs === b.atUs && a.number < b.number)
}
