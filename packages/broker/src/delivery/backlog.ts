/**
 * What all connections together hold back: bytes written to sockets that have not taken them, and messages that wait in
 * lines. Each connection has its own maximum; this is the one over all of them, because a maximum times a million connections
 * is none.
 *
 *   outputs ── pending ──┐
 *   outboxes ── lines ───┼──▶ bytes ──over the maximum──▶ those that hold most give up what they hold, until a tenth is free
 *   kept feeds ─ QoS 0 ──┘
 *
 * The largest are asked, whoever happens to be the next to queue something: a reader that keeps up must not lose messages
 * because others do not. A message that many connections wait for is counted once, as it lies in memory once. Costs nothing
 * for connections that hold nothing.
 */

/** One connection. */
export interface Holder {
  /** What it holds by itself; messages it shares with others included. */
  readonly heldBytes: number
  /** Gives up what it holds, or its connection. */
  shed(): void
}

export class Backlog {
  readonly #bytesMax: () => number
  readonly #relieved: (shed: number, bytes: number) => void
  readonly #holders = new Set<Holder>()
  #bytes = 0
  #relieving = false

  /** `relieved`: so many connections had to give up something, and so many bytes were held before. */
  constructor(bytesMax: () => number, relieved: (shed: number, bytes: number) => void) {
    this.#bytesMax = bytesMax
    this.#relieved = relieved
  }

  get bytes(): number {
    return this.#bytes
  }

  /** It holds `bytes` more; 0: what somebody else holds already. */
  add(holder: Holder | undefined, bytes: number): void {
    this.#bytes += bytes
    if (holder !== undefined) this.#holders.add(holder)
    if (this.#bytes > this.#bytesMax() && !this.#relieving) this.#relieveLater()
  }

  remove(bytes: number): void {
    this.#bytes -= bytes
  }

  /** The connection is gone, and what it held with it. */
  forget(holder: Holder): void {
    this.#holders.delete(holder)
  }

  /** Not from within a delivery to many: at the end of the turn. Those that close need one to let go of what they hold. */
  #relieveLater(): void {
    this.#relieving = true
    queueMicrotask(() => {
      this.#relieve()
      setImmediate(() => {
        this.#relieving = false
      })
    })
  }

  #relieve(): void {
    const before = this.#bytes
    const target = this.#bytesMax() * 0.9
    const largest = [...this.#holders]
      .map((holder) => ({ holder, bytes: holder.heldBytes }))
      .sort((a, b) => b.bytes - a.bytes)
    let left = before
    let shed = 0
    for (const { holder, bytes } of largest) {
      if (bytes === 0) this.#holders.delete(holder)
      if (left <= target || bytes === 0) continue
      holder.shed()
      left -= bytes
      shed++
    }
    if (shed > 0) this.#relieved(shed, before)
  }
}
