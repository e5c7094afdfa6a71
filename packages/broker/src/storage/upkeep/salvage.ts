/**
 * Reads the rows of a table that is damaged somewhere. The order of the rows is climbed from below until the damage, then
 * descended from above; what lies between is halved and tried again from the middle, until nothing is left to be halved.
 */
import { keyName } from '@concordmq/state'
import type { StoredRecord } from '../../model/store.ts'
import { CONTENT_PARTS } from '../sqlite-file.ts'
import type { StoreFile } from '../store-file.ts'

/** Questions that may fail before the rest is given up. */
const FAILURES_MAX = 4096

interface Table<K, R> {
  /** The next row above, or below; undefined: there is none. Throws where the table is damaged. */
  up(key: K): R | undefined
  down(key: K): R | undefined
  keyOf(row: R): K
  compare(a: K, b: K): number
  /** Something between; undefined: there is nothing. */
  middle(a: K, b: K): K | undefined
}

/** All rows strictly between `low` and `high` that can be read. */
function readAround<K, R>(table: Table<K, R>, low: K, high: K): readonly R[] {
  const rows: R[] = []
  const gaps: [K, K][] = [[low, high]]
  let failures = 0
  for (let gap = gaps.pop(); gap !== undefined && failures < FAILURES_MAX; gap = gaps.pop()) {
    let [from, to] = gap
    let open = true
    for (const step of ['up', 'down'] as const) {
      try {
        for (let row = table[step](step === 'up' ? from : to); open; row = table[step](step === 'up' ? from : to)) {
          const key = row === undefined ? undefined : table.keyOf(row)
          if (row === undefined || key === undefined || table.compare(key, from) <= 0 || table.compare(key, to) >= 0) {
            open = false
            break
          }
          rows.push(row)
          if (step === 'up') from = key
          else to = key
        }
      } catch {
        failures++
      }
      if (!open) break
    }
    const middle = open ? table.middle(from, to) : undefined
    if (middle !== undefined) gaps.push([from, middle], [middle, to])
  }
  return rows
}

/** The records that can be read, each once. */
export function salvageRecords(store: StoreFile): readonly StoredRecord[] {
  const one = (sql: string, key: Uint8Array): StoredRecord | undefined => {
    const [row] = store.ask(sql, key)
    if (row === undefined) return undefined
    const { key: found, value } = row
    if (!(found instanceof Uint8Array) || !(value instanceof Uint8Array)) throw new Error('a column holds no bytes')
    return [found, value]
  }
  const rows = readAround<Uint8Array, StoredRecord>(
    {
      up: (key) => one('SELECT key, value FROM records WHERE key > ? ORDER BY key LIMIT 1', key),
      down: (key) => one('SELECT key, value FROM records WHERE key < ? ORDER BY key DESC LIMIT 1', key),
      keyOf: ([key]) => key,
      compare: (a, b) => Buffer.compare(a, b),
      middle: middleKey,
    },
    new Uint8Array(0),
    new Uint8Array(8).fill(0xff),
  )
  return [...new Map(rows.map((row) => [keyName(row[0]), row])).values()]
}

/** The parts of a chunk's content that can be read, as one. */
export function salvageContent(store: StoreFile, chunk: number): Uint8Array {
  try {
    return store.contentOf(chunk)
  } catch {
    const one = (sql: string, id: number): Record<string, unknown> | undefined => store.ask(sql, id)[0]
    const rows = readAround<number, Record<string, unknown>>(
      {
        up: (id) => one('SELECT id, content FROM contents WHERE id > ? ORDER BY id LIMIT 1', id),
        down: (id) => one('SELECT id, content FROM contents WHERE id < ? ORDER BY id DESC LIMIT 1', id),
        keyOf: (row) => Number(row['id']),
        compare: (a, b) => a - b,
        middle: (a, b) => (b - a < 2 ? undefined : Math.floor((a + b) / 2)),
      },
      chunk * CONTENT_PARTS - 1,
      (chunk + 1) * CONTENT_PARTS,
    )
    const parts = rows.filter(({ content }) => content instanceof Uint8Array)
    parts.sort((a, b) => Number(a['id']) - Number(b['id']))
    return Buffer.concat(parts.map(({ content }) => content as Uint8Array))
  }
}

/** As if both were fractions, their mean. */
function middleKey(a: Uint8Array, b: Uint8Array): Uint8Array | undefined {
  const length = Math.max(a.length, b.length) + 1
  if (length > 256) return undefined
  const numberOf = (key: Uint8Array): bigint =>
    BigInt(
      `0x0${Buffer.from(key)
        .toString('hex')
        .padEnd(length * 2, '0')}`,
    )
  const hex = ((numberOf(a) + numberOf(b)) / 2n).toString(16).padStart(length * 2, '0')
  const middle = Buffer.from(hex, 'hex')
  let end = middle.length
  while (end > 0 && middle[end - 1] === 0) end--
  const trimmed = new Uint8Array(middle.subarray(0, end))
  return Buffer.compare(trimmed, a) <= 0 || Buffer.compare(trimmed, b) >= 0 ? undefined : trimmed
}
