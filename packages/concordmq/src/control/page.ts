/**
 * A page of a list that may be very long. Every thousand entries other work gets its turn: an operator who looks at a million
 * sessions must not delay their messages. The list may change meanwhile, so a page is a view and no snapshot.
 */
import { setImmediate as otherWork } from 'node:timers/promises'
import { ControlError } from './control-error.ts'

export interface PageOrder {
  /** From 1. */
  readonly page: number
  readonly size: number
}

export interface Page<T> extends PageOrder {
  readonly items: readonly T[]
  /** Whether another page follows. */
  readonly more: boolean
}

const sizeDefault = 50
const sizeMax = 1_000
const scannedBetweenTurns = 1_000

/** `page` and `size` of a request. */
export function pageOrder(query: URLSearchParams): PageOrder {
  return {
    page: integerOf(query, 'page', { fallback: 1, max: 1_000_000 }),
    size: integerOf(query, 'size', { fallback: sizeDefault, max: sizeMax }),
  }
}

export async function pageOf<T>(items: Iterable<T>, keep: (item: T) => boolean, order: PageOrder): Promise<Page<T>> {
  const { page, size } = order
  const found: T[] = []
  let skip = (page - 1) * size
  let scanned = 0
  for (const item of items) {
    if (++scanned % scannedBetweenTurns === 0) await otherWork()
    if (!keep(item)) continue
    if (skip > 0) skip--
    else if (found.length < size) found.push(item)
    else return { items: found, page, size, more: true }
  }
  return { items: found, page, size, more: false }
}

export function integerOf(
  query: URLSearchParams,
  name: string,
  { fallback, max, min = 1 }: { readonly fallback: number; readonly max: number; readonly min?: number },
): number {
  const text = query.get(name)
  if (text === null) return fallback
  const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN
  if (value >= min && value <= max) return value
  throw new ControlError(400, `"${name}" must be an integer from ${min} to ${max}, not "${text.slice(0, 40)}"`)
}
