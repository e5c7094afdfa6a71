/** Settlements that nobody waits for: they go to the order of a cluster together, a moment later, and cost it little. */

/** How long one waits at most, milliseconds. */
const LAZY_MS = 50

export interface Flushed {
  flush(): void
}

export class LazyFlush {
  readonly #due = new Set<Flushed>()
  #isSet = false

  later(one: Flushed): void {
    this.#due.add(one)
    if (this.#isSet) return
    this.#isSet = true
    setTimeout(() => this.#flush(), LAZY_MS).unref()
  }

  #flush(): void {
    this.#isSet = false
    const due = [...this.#due]
    this.#due.clear()
    for (const one of due) one.flush()
  }
}
