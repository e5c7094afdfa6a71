/**
 * Finds the code in the documents that a reader may copy, so that the tests can run it.
 *
 * A fence says what it is after its language:
 *
 * - `ts run`, `sh run`: runs by itself and ends with exit code 0
 * - `sh run broker`: the same while an empty broker listens on 1883 and, for WebSocket, 8080; before the block runs, free
 *   ports take the place of these numbers, and of those of a cluster of four, 1884 to 1886 and 19793 to 19796, so that documents
 *   show the real defaults and tests collide with nothing
 * - `text output` after one of these: lines that its output must hold in this order, `…` standing for anything
 *
 * Lines the reader need not see go before the code from a comment just above the fence, `<!-- setup` … `-->`. Code that is
 * not run says why in the same place, `<!-- not run: it needs a second machine -->`; without that, the test fails.
 */

export interface Block {
  readonly file: string
  /** Of the opening fence, counted from 1. */
  readonly line: number
  readonly language: string
  readonly run: boolean
  readonly broker: boolean
  readonly code: string
  /** Expected output lines; empty if any will do. */
  readonly output: readonly string[]
  readonly notRunBecause: string | undefined
}

/** Languages a reader would run; other fences are pictures and samples. */
const runnable = new Set(['ts', 'js', 'sh', 'bash', 'python'])

/** All blocks of runnable code in one document, in order. */
export function blocksOf(file: string, markdown: string): Block[] {
  const lines = markdown.split('\n')
  const blocks: Block[] = []
  let above: string[] = []
  for (let i = 0; i < lines.length; i++) {
    const opening = /^(`{3,})(\S*)\s*(.*)$/u.exec(lines[i] ?? '')
    if (opening === null) {
      const comment = commentAt(lines, i)
      if (comment !== undefined || (lines[i] ?? '').trim() !== '') above = comment ?? []
      i += Math.max(0, (comment?.length ?? 0) - 1)
      continue
    }
    const end = lines.indexOf(opening[1] ?? '', i + 1)
    if (end < 0) throw new Error(`${file}:${i + 1}: the fence is never closed`)
    const body = lines.slice(i + 1, end)
    const [language = '', words] = [opening[2], new Set((opening[3] ?? '').split(/\s+/u))]
    if (words.has('output')) {
      const last = blocks.at(-1)
      if (last?.run !== true) throw new Error(`${file}:${i + 1}: output without a block that runs before it`)
      blocks[blocks.length - 1] = { ...last, output: body }
    } else if (runnable.has(language)) {
      const { setup, notRunBecause } = readComment(above)
      blocks.push({
        file,
        line: i + 1,
        language,
        run: words.has('run'),
        broker: words.has('broker'),
        code: [...setup, ...body, ''].join('\n'),
        output: [],
        notRunBecause,
      })
    }
    above = []
    i = end
  }
  return blocks
}

/** Whether the expected lines are in the text in this order, `…` standing for anything within a line. */
export function holdsInOrder(text: string, expected: readonly string[]): boolean {
  const lines = text.split('\n')
  let at = 0
  for (const wanted of expected) {
    const pattern = new RegExp(
      `^${wanted
        .split('…')
        .map((part) => RegExp.escape(part))
        .join('.*')}$`,
      'u',
    )
    const found = lines.findIndex((line, index) => index >= at && pattern.test(line.trimEnd()))
    if (found < 0) return false
    at = found + 1
  }
  return true
}

/** The comment that starts in this line, all its lines; undefined if none starts here. */
function commentAt(lines: readonly string[], start: number): string[] | undefined {
  if (!(lines[start] ?? '').startsWith('<!--')) return undefined
  const end = lines.findIndex((line, index) => index >= start && line.trimEnd().endsWith('-->'))
  return lines.slice(start, end < 0 ? undefined : end + 1)
}

function readComment(comment: readonly string[]): { setup: readonly string[]; notRunBecause: string | undefined } {
  const text = comment.join('\n')
  const reason = /^<!-- not run: (.+) -->$/su.exec(text)?.[1]
  return { setup: comment[0]?.trim() === '<!-- setup' ? comment.slice(1, -1) : [], notRunBecause: reason }
}
