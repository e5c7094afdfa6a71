/**
 * What a person sees of the demonstration: on a terminal a table that is drawn over itself, elsewhere the same table every few
 * seconds. Events stand above it.
 */
import { formatTable, grouped } from '../terminal/table.ts'

export interface DemoRow {
  readonly node: number
  readonly mode: string
  readonly position: number | undefined
  readonly messages: number
  readonly perSecond: number
  readonly hash: string
  readonly p50Ms: number | undefined
  readonly p99Ms: number | undefined
}

export interface DemoOutput {
  readonly isTTY?: boolean
  write(text: string): unknown
}

const plainEveryMs = 4_000

export class DemoView {
  readonly #output: DemoOutput
  readonly #live: boolean
  readonly #begunMs = performance.now()
  #drawnLines = 0
  #drawnMs = Number.NEGATIVE_INFINITY

  constructor(output: DemoOutput) {
    this.#output = output
    this.#live = output.isTTY === true && process.env.TERM !== 'dumb'
  }

  /** A line that stays. */
  say(text: string): void {
    this.#erase()
    const seconds = ((performance.now() - this.#begunMs) / 1000).toFixed(1).padStart(5)
    this.#output.write(`${seconds} s  ${text}\n`)
  }

  /** `comparedAt`: how many messages the hashes are over. */
  table(rows: readonly DemoRow[], comparedAt: number): void {
    const now = performance.now()
    if (!this.#live && now - this.#drawnMs < plainEveryMs) return
    this.#erase()
    this.#drawnMs = now
    const text = formatTable(rows, [
      { head: 'node', cell: ({ node }) => node },
      { head: 'mode', cell: ({ mode }) => mode.padEnd('starting'.length) },
      { head: 'position', cell: ({ position }) => (position === undefined ? '-' : grouped(position)), right: true },
      { head: 'delivered', cell: ({ messages }) => grouped(messages), right: true },
      { head: 'msg/s', cell: ({ perSecond }) => grouped(Math.round(perSecond)), right: true },
      { head: 'p50 ms', cell: ({ p50Ms }) => p50Ms?.toFixed(1) ?? '-', right: true },
      { head: 'p99 ms', cell: ({ p99Ms }) => p99Ms?.toFixed(1) ?? '-', right: true },
      { head: `order hash of the first ${grouped(comparedAt)}`, cell: ({ hash }) => hash },
    ])
    this.#output.write(`\n${text}\n`)
    this.#drawnLines = text.split('\n').length + 1
  }

  #erase(): void {
    if (this.#live && this.#drawnLines > 0) this.#output.write(`\u001b[${this.#drawnLines}A\u001b[0J`)
    this.#drawnLines = 0
  }
}
