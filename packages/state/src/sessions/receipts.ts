/**
 * The packet identifiers of QoS 2 messages that were received and not yet released (architecture section 3.3): a PUBLISH
 * whose identifier is here was published already. One bit for each of 65535 identifiers, made at the first use.
 */

const WORDS = 2048

export class Receipts {
  #bits: Uint32Array | undefined
  /** How many receipts there are. */
  size = 0

  has(packetId: number): boolean {
    const bits = this.#bits
    return bits !== undefined && ((bits[packetId >>> 5] as number) & (1 << (packetId & 31))) !== 0
  }

  /** True if the receipt is new. */
  add(packetId: number): boolean {
    this.#bits ??= new Uint32Array(WORDS)
    const bits = this.#bits
    const bit = 1 << (packetId & 31)
    const word = bits[packetId >>> 5] as number
    if ((word & bit) !== 0) return false
    bits[packetId >>> 5] = word | bit
    this.size++
    return true
  }

  /** True if there was one. */
  delete(packetId: number): boolean {
    const bits = this.#bits
    if (bits === undefined) return false
    const bit = 1 << (packetId & 31)
    const word = bits[packetId >>> 5] as number
    if ((word & bit) === 0) return false
    bits[packetId >>> 5] = word & ~bit
    this.size--
    return true
  }

  /** All identifiers, ascending. */
  list(): number[] {
    const ids: number[] = []
    if (this.size === 0) return ids
    const bits = this.#bits as Uint32Array
    for (let word = 0; word < WORDS; word++) {
      if (bits[word] === 0) continue
      for (let id = word * 32; id < word * 32 + 32; id++) if (this.has(id)) ids.push(id)
    }
    return ids
  }
}
