/**
 * Tables and lists for a person. What comes from remote parties (client identifiers, topics) is shown with its control
 * characters escaped, so that nothing can move a cursor or forge a line.
 */

export interface Column<T> {
  readonly head: string
  readonly cell: (row: T) => string | number
  /** Numbers end at the same place. */
  readonly right?: true
}

/** Cells are cut above this, characters. */
const cellLengthMax = 80

export function formatTable<T>(rows: readonly T[], columns: readonly Column<T>[]): string {
  const cells = rows.map((row) => columns.map(({ cell }) => shownText(String(cell(row)))))
  const widths = columns.map(({ head }, i) => Math.max(head.length, ...cells.map((line) => line[i]?.length ?? 0)))
  const line = (texts: readonly string[]): string =>
    texts
      .map((text, i) => (columns[i]?.right === true ? text.padStart(widths[i] ?? 0) : text.padEnd(widths[i] ?? 0)))
      .join('  ')
      .trimEnd()
  return `${[columns.map(({ head }) => head), ...cells].map(line).join('\n')}\n`
}

/** Names and values below each other. */
export function formatPairs(pairs: Readonly<Record<string, string | number>>): string {
  const width = Math.max(...Object.keys(pairs).map((name) => name.length))
  return Object.entries(pairs)
    .map(([name, value]) => `${name.padEnd(width)}  ${shownText(String(value))}\n`)
    .join('')
}

export function shownText(text: string): string {
  const escaped = text.replaceAll(
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is escaped
    /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
  return escaped.length <= cellLengthMax ? escaped : `${escaped.slice(0, cellLengthMax - 1)}…`
}

/** `1,234`. */
export function grouped(value: number): string {
  return String(value).replaceAll(/\B(?=(\d{3})+$)/g, ',')
}

/** `17 B`, `2.5 KiB`. */
export function bytesText(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let value = bytes
  let unit = 0
  while (value >= 1_024 && unit < units.length - 1) {
    value /= 1_024
    unit++
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`
}

/** `3 d 4 h`, `12 min 5 s`. */
export function durationText(seconds: number): string {
  const parts: readonly (readonly [number, string])[] = [
    [86_400, 'd'],
    [3_600, 'h'],
    [60, 'min'],
    [1, 's'],
  ]
  const first = parts.findIndex(([size]) => seconds >= size)
  if (first === -1) return '0 s'
  let left = Math.floor(seconds)
  return parts
    .slice(first, first + 2)
    .map(([size, name]) => {
      const count = Math.floor(left / size)
      left -= count * size
      return `${count} ${name}`
    })
    .join(' ')
}
