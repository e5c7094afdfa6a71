/**
 * Whether something stands twice in a list, in n log n comparisons: tables of blocks have up to 8·n entries, and a liar's block must not
 * cost its receivers more than a correct one.
 */

import { sortFew } from './order.ts'

/** `compare` orders all values; equal ones are the same. */
export function hasRepeated<T>(values: readonly T[], compare: (a: T, b: T) => number): boolean {
  if (values.length < 2) return false
  const sorted = sortFew(values.slice(), compare)
  for (let i = 1; i < sorted.length; i++) if (compare(sorted[i - 1] as T, sorted[i] as T) === 0) return true
  return false
}
