/**
 * First in, first out, without the cost that `Array.shift` has on long arrays: a moving head, and a cut when most of the
 * array is behind it. Empty, it holds nothing.
 */

/** Behind the head this many places are left before the array is cut. */
const CUT_MIN = 1024
const NOTHING: never[] = []

export class Fifo<T> {
  #items: (T | undefined)[] = NOTHING
  #head = 0

  get length(): number {
    return this.#items.length - this.#head
  }

  /** The oldest; undefined when empty. */
  get first(): T | undefined {
    return this.#items[this.#head]
  }

  push(item: T): void {
    if (this.#items === NOTHING) this.#items = []
    this.#items.push(item)
  }

  /** Takes the oldest out. */
  shift(): T | undefined {
    const item = this.#items[this.#head]
    if (this.#head >= this.#items.length) return undefined
    this.#items[this.#head++] = undefined
    if (this.#head === this.#items.length) this.clear()
    else if (this.#head > CUT_MIN && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head)
      this.#head = 0
    }
    return item
  }

  /** Takes out everything for which `keeps` says no; costs the whole length. */
  retain(keeps: (item: T) => boolean): void {
    const items = (this.#items.slice(this.#head) as T[]).filter(keeps)
    this.#items = items.length > 0 ? items : NOTHING
    this.#head = 0
  }

  clear(): void {
    this.#items = NOTHING
    this.#head = 0
  }
}
