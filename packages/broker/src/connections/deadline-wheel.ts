/**
 * One timer for the deadlines of all connections: keep alive, and the time allowed from accept to CONNECT.
 *
 * Each connection lies in the slot of the moment at which it should be looked at again. Bytes that arrive do not move it:
 * when its slot comes up it says whether its deadline has passed, and if not when to look again. So a message costs
 * nothing here, and a deadline is noticed at most one slot late; where many pass at once, they are told in slices, between which
 * others have their turn.
 */

/** What lies in the wheel. */
export interface Watched {
  /** Monotonic ms at which something is due, or undefined. Called again after each `due`. */
  readonly deadlineMs: number | undefined
  /** The deadline may have passed. */
  due(nowMs: number): void
  /** The slot it lies in; -1: none. Kept by the wheel. */
  wheelSlot: number
}

const SLOT_MS = 250
/** So many are told in one turn of the event loop: closing a connection takes some 50 µs. */
const DUE_PER_TURN = 16
/** A turn of the wheel is 17 minutes; what is due later goes round again. */
const SLOTS = 4096

export class DeadlineWheel {
  readonly #slots: (Set<Watched> | undefined)[] = new Array(SLOTS)
  readonly #nowMs: () => number
  #at: number
  #count = 0
  #timer: NodeJS.Timeout | undefined
  #turning = false
  #next: NodeJS.Immediate | undefined

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
    this.#at = Math.floor(nowMs() / SLOT_MS)
  }

  /** Begins to watch, or moves to an earlier moment. */
  watch(item: Watched): void {
    this.remove(item)
    const deadline = item.deadlineMs
    if (deadline === undefined) return
    if (this.#timer === undefined) {
      this.#at = Math.floor(this.#nowMs() / SLOT_MS)
      this.#timer = setInterval(() => this.#turn(), SLOT_MS)
      this.#timer.unref()
    }
    const ahead = Math.min(Math.max(1, Math.ceil(deadline / SLOT_MS) - this.#at), SLOTS - 1)
    const slot = (this.#at + ahead) % SLOTS
    this.#slots[slot] ??= new Set()
    this.#slots[slot].add(item)
    item.wheelSlot = slot
    this.#count++
  }

  remove(item: Watched): void {
    if (item.wheelSlot < 0) return
    const slot = this.#slots[item.wheelSlot]
    if (slot?.delete(item)) {
      this.#count--
      if (slot.size === 0) this.#slots[item.wheelSlot] = undefined
    }
    item.wheelSlot = -1
    if (this.#count === 0 && !this.#turning) this.close()
  }

  close(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
    clearImmediate(this.#next)
    this.#next = undefined
  }

  #turn(): void {
    const now = this.#nowMs()
    const target = Math.floor(now / SLOT_MS)
    // After a long pause of the process one turn visits every slot.
    const last = Math.min(target, this.#at + SLOTS)
    this.#turning = true
    let told = 0
    while (this.#at < last) {
      this.#at++
      const slot = this.#at % SLOTS
      const items = this.#slots[slot]
      if (items === undefined) continue
      for (const item of items) {
        if (told === DUE_PER_TURN) {
          // The slot is visited again.
          this.#at--
          this.#turning = false
          this.#next ??= setImmediate(() => {
            this.#next = undefined
            this.#turn()
          })
          return
        }
        // Taken out one at a time: a due item may end or move another one.
        items.delete(item)
        this.#count--
        item.wheelSlot = -1
        const deadline = item.deadlineMs
        if (deadline !== undefined && deadline <= now) {
          told++
          item.due(now)
        }
        if (item.wheelSlot < 0) this.watch(item)
      }
      if (this.#slots[slot] === items) this.#slots[slot] = undefined
    }
    this.#turning = false
    this.#at = target
    if (this.#count === 0) this.close()
  }
}
