/**
 * Counts what happens to one name within a window of time. A window begins with the first event and ends with its length;
 * the next event begins another. So a name costs two numbers, and a pace just below the maximum is never caught: that pace
 * is what the maximum allows.
 */
export class EventWindow {
  #count = 0
  #beganMs = Number.NEGATIVE_INFINITY

  /** Counts one more; returns how many there were in this window. */
  add(nowMs: number, windowMs: number): number {
    if (nowMs - this.#beganMs >= windowMs) {
      this.#beganMs = nowMs
      this.#count = 0
    }
    return ++this.#count
  }

  /** Whether it has nothing to remember. */
  isOver(nowMs: number, windowMs: number): boolean {
    return nowMs - this.#beganMs >= windowMs
  }
}

/** The windows of many names, of which those seen longest ago are forgotten when there are too many. */
export class EventWindows {
  readonly #windows = new Map<string, EventWindow>()
  readonly #namesMax: number

  constructor(namesMax: number) {
    this.#namesMax = namesMax
  }

  add(name: string, nowMs: number, windowMs: number): number {
    let window = this.#windows.get(name)
    if (window === undefined) {
      window = new EventWindow()
      if (this.#windows.size >= this.#namesMax) this.#forgetOldest()
    } else this.#windows.delete(name)
    // The last of the map is the one seen last.
    this.#windows.set(name, window)
    return window.add(nowMs, windowMs)
  }

  forget(name: string): void {
    this.#windows.delete(name)
  }

  get size(): number {
    return this.#windows.size
  }

  /** A hundredth at once: a map is slow to find its first entry while the ones before it are being deleted one by one. */
  #forgetOldest(): void {
    let left = Math.ceil(this.#namesMax / 100)
    for (const name of this.#windows.keys()) {
      if (left-- === 0) return
      this.#windows.delete(name)
    }
  }
}
