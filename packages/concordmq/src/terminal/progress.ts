/** A progress line on standard error for work that takes longer than a moment; nothing when nobody watches a terminal. */

export interface Progress {
  /** How many of the total are done. */
  update(done: number): void
  /** Removes the line. */
  end(): void
}

const redrawMsMin = 100

export function openProgress(what: string, total: number, output: NodeJS.WriteStream = process.stderr): Progress {
  if (!output.isTTY) return { update() {}, end() {} }
  let drawnAtMs = Date.now()
  let drawn = false
  return {
    update: (done) => {
      const nowMs = Date.now()
      if (nowMs - drawnAtMs < redrawMsMin) return
      drawnAtMs = nowMs
      drawn = true
      output.write(`\r${what}: ${done} of ${total} (${Math.floor((100 * done) / total)} %)\u001b[K`)
    },
    end: () => {
      if (drawn) output.write('\r\u001b[K')
    },
  }
}
