/**
 * The children of a node that has many, by the text of their level: an open hash table whose places are probed in line.
 *
 *   text ──hash──▶ #hashes │ . │ h │ h │ . │      an integer each, so that a probe stays in one or two cache lines
 *                 #children │ . │ A │ B │ . │      asked for their text only where the hash is equal
 *
 * Among many children a lookup costs what the memory it touches costs. A `Map` touches its bucket, its entry and the key's
 * text, needs that text as a string of its own, and keeps what was taken away until it grows. Here the text is compared where it
 * lies anyway, in the child, and a child that goes leaves no gap.
 *
 * Hashes are the same everywhere, so texts can be chosen that crowd one place: what would be further than `PROBES_MAX` from its
 * place is not taken. Then the owner uses a `Map`. A million texts that nobody chose are up to 70 places away.
 */

/** What knows the text of its level. */
export interface Leveled {
  readonly levelText: string
  /** Whether it is `text` from `start` to `end`. */
  isLevel(text: string, start: number, end: number): boolean
}

/** Whether a level is `text` from `start` to `end`. */
export function isSlice(level: string, text: string, start: number, end: number): boolean {
  return level.length === end - start && text.startsWith(level, start)
}

/** A power of two. */
const PLACES_MIN = 128
const PROBES_MAX = 128
/** The hash of no text. */
const NONE = 0

export class LevelTable<N extends Leveled> {
  size = 0
  #hashes = new Int32Array(PLACES_MIN)
  #children: (N | undefined)[] = new Array<N | undefined>(PLACES_MIN).fill(undefined)

  get(text: string, start: number, end: number): N | undefined {
    const place = this.#placeOf(text, start, end)
    return place < 0 ? undefined : this.#children[place]
  }

  /** Adds a child; the text must not have one yet. False: there is no good place for it, and nothing was done. */
  add(text: string, start: number, end: number, child: N): boolean {
    if ((this.size + 1) * 2 > this.#hashes.length && !this.#resize(this.#hashes.length * 2)) return false
    if (!this.#enter(hashOf(text, start, end), child)) return false
    this.size++
    return true
  }

  /** The text must have a child. */
  replace(text: string, start: number, end: number, child: N): void {
    this.#children[this.#placeOf(text, start, end)] = child
  }

  /** The text must have a child. */
  delete(text: string, start: number, end: number): void {
    const hashes = this.#hashes
    const mask = hashes.length - 1
    let gap = this.#placeOf(text, start, end)
    // What stands behind the gap and not at its own place moves up, so that nobody looks for it in vain.
    for (let at = (gap + 1) & mask; hashes[at] !== NONE; at = (at + 1) & mask) {
      const hash = hashes[at] as number
      if (((at - (hash & mask)) & mask) < ((at - gap) & mask)) continue
      hashes[gap] = hash
      this.#children[gap] = this.#children[at]
      gap = at
    }
    hashes[gap] = NONE
    this.#children[gap] = undefined
    this.size--
    // Half as many places hold them all, nearer together; if not well, it stays as it is.
    if (this.size * 8 < hashes.length && hashes.length > PLACES_MIN) this.#resize(hashes.length / 2)
  }

  forEach(visit: (child: N) => void): void {
    for (const child of this.#children) if (child !== undefined) visit(child)
  }

  #placeOf(text: string, start: number, end: number): number {
    const hashes = this.#hashes
    const mask = hashes.length - 1
    const hash = hashOf(text, start, end)
    for (let at = hash & mask; ; at = (at + 1) & mask) {
      const found = hashes[at]
      if (found === NONE) return -1
      if (found === hash && (this.#children[at] as N).isLevel(text, start, end)) return at
    }
  }

  #enter(hash: number, child: N): boolean {
    const hashes = this.#hashes
    const mask = hashes.length - 1
    let at = hash & mask
    for (let probes = 0; hashes[at] !== NONE; probes++) {
      if (probes === PROBES_MAX) return false
      at = (at + 1) & mask
    }
    hashes[at] = hash
    this.#children[at] = child
    return true
  }

  /** False: one of them found no good place, and nothing was done. */
  #resize(places: number): boolean {
    const hashes = this.#hashes
    const children = this.#children
    this.#hashes = new Int32Array(places)
    this.#children = new Array<N | undefined>(places).fill(undefined)
    for (let at = 0; at < hashes.length; at++) {
      if (hashes[at] === NONE || this.#enter(hashes[at] as number, children[at] as N)) continue
      this.#hashes = hashes
      this.#children = children
      return false
    }
    return true
  }
}

/** FNV-1a over the units of the text, its halves mixed, since places are its lower bits. Never `NONE`. */
export function hashOf(text: string, start: number, end: number): number {
  let hash = 0x811c9dc5
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d)
  hash ^= hash >>> 13
  return hash === NONE ? 1 : hash
}
