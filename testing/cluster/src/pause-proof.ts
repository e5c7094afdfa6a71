/**
 * A node stands still (SIGSTOP) for less than the nodes' time-out, and then for longer: the first time nothing happens to its clients,
 * the second time they count as lost, their wills are published once, and they are told when the node goes on.
 */
import { setTimeout as after } from 'node:timers/promises'
import type { Verdict } from './proof.ts'
import { runTrial } from './trial.ts'

export interface PauseProofOptions {
  /** Of each publisher in each step. */
  readonly messages: number
  /** Below and above the nodes' time-out of 10 s. */
  readonly shortMs: number
  readonly longMs: number
  readonly withinMs: number
  readonly say?: (line: string) => void
}

const all = [0, 1, 2, 3]
const others = [0, 1, 2]
const still = 3

export async function provePauses({ messages, shortMs, longMs, withinMs, say }: PauseProofOptions): Promise<Verdict> {
  return await runTrial({ nodes: all.length, messages, withinMs, say }, async (trial) => {
    const { cluster } = trial
    for (const [name, ms] of [
      ['short', shortMs],
      ['long', longMs],
    ] as const) {
      await trial.clientWithWill(name, still)
      cluster.stop(still)
      const stoppedMs = performance.now()
      await trial.published(`${name}-others`, others)
      await after(Math.max(0, ms - (performance.now() - stoppedMs)))
      cluster.goOn(still)
      const begunMs = performance.now()
      await trial.published(`${name}-all`, all)
      trial.figures[`${name}BackMs`] = Math.round(performance.now() - begunMs)
      const wills = trial.wills.join()
      if (name === 'short' && wills !== '') trial.violations.push(`A will was published after ${ms} ms: ${wills}`)
    }
    await trial.last(all)
    // The client of the first pause was still there in the second one.
    const wills = trial.wills.toSorted().join()
    if (wills !== 'long,short') trial.violations.push(`Wills that were published: ${wills || 'none'}`)
  })
}
