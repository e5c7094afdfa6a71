/** Comparison and order: of byte strings, the order of digests wherever consensus.md breaks a tie by one; of short lists. */

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a === b) return true
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

/** Negative, zero or positive: as unsigned bytes, the shorter first where one begins the other. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const difference = (a[i] as number) - (b[i] as number)
    if (difference !== 0) return difference
  }
  return a.length - b.length
}

/** Longer lists are left to the language's sort, which takes memory of its own. */
const FEW = 12

/** Sorts in place and stably, as `sort` does; for lists that nearly always have a few entries. */
export function sortFew<T>(list: T[], compare: (a: T, b: T) => number): T[] {
  if (list.length > FEW) return list.sort(compare)
  for (let i = 1; i < list.length; i++) {
    const item = list[i] as T
    let place = i
    while (place > 0 && compare(list[place - 1] as T, item) > 0) {
      list[place] = list[place - 1] as T
      place--
    }
    list[place] = item
  }
  return list
}
