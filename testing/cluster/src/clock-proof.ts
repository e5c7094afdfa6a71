/**
 * The clock of one of four nodes is wrong by an hour, ahead and then behind: consensus time is that of the others, so no delayed will
 * and no expiry comes early, and the order is one.
 */
import type { Verdict } from './proof.ts'
import { type ProofTerms, runTrial } from './trial.ts'

const all = [0, 1, 2, 3]
const wrong = 3
const hourMs = 3_600_000
const preload = [new URL('preload/wrong-clock.ts', import.meta.url).href]
/** How far the time of the order may be from the clock of this machine: what a loaded machine takes to order a message. */
const agreedWithinMs = 60_000

export async function proveClock({ messages, withinMs, say }: ProofTerms): Promise<Verdict> {
  let offMs = hourMs
  return await runTrial(
    {
      ...{ nodes: all.length, messages, withinMs, say },
      cluster: () => ({
        special: (node) => (node === wrong ? { preload, environment: { CONCORDMQ_TEST_CLOCK_MS: String(offMs) } } : {}),
      }),
    },
    async (trial) => {
      const { cluster } = trial
      for (const [name, ms] of [
        ['ahead', hourMs],
        ['behind', -hourMs],
      ] as const) {
        offMs = ms
        await cluster.kill(wrong)
        await cluster.start(wrong)
        await trial.published(name, all)
        const offByMs = Math.max(...trial.subscribers.map(({ timeMs }) => Math.abs(timeMs - Date.now())))
        trial.figures[`${name}OffMs`] = Math.round(offByMs)
        if (offByMs > agreedWithinMs) trial.violations.push(`The order's time is ${offByMs} ms off, one clock ${name}`)
      }
      await trial.last(all)
    },
  )
}
