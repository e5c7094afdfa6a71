/**
 * The disk of one of four nodes is full for a while: the others go on without it, it says why it stands aside and acknowledges nothing
 * that it cannot keep, and when there is room again it takes part as before, without a restart.
 */
import { join } from 'node:path'
import type { Verdict } from './proof.ts'
import { runTrial } from './trial.ts'

export interface DiskProofOptions {
  /** Of each publisher in each step. */
  readonly messages: number
  /** Writes that fail, one after the other, counted from this one on. */
  readonly failAt: number
  readonly failFor: number
  readonly withinMs: number
  readonly say?: (line: string) => void
}

const all = [0, 1, 2, 3]
const others = [0, 1, 2]
const full = 3
const preload = [new URL('../../crash/src/recording-files.ts', import.meta.url).href]

export async function proveFullDisk(options: DiskProofOptions): Promise<Verdict> {
  const { messages, failAt, failFor, withinMs, say } = options
  return await runTrial(
    {
      ...{ nodes: all.length, messages, withinMs, say },
      cluster: (directory) => ({
        special: (node) =>
          node !== full
            ? {}
            : {
                preload,
                environment: {
                  CONCORDMQ_TEST_LEDGER_FOLDER: join(directory, 'data'),
                  CONCORDMQ_TEST_FAIL_AT: String(failAt),
                  CONCORDMQ_TEST_FAIL_FOR: String(failFor),
                  CONCORDMQ_TEST_FAIL_WITH: 'ENOSPC',
                },
              },
      }),
    },
    async (trial) => {
      // Enough for the disk to fill up on the way.
      for (let round = 0; round < 3; round++) {
        const waiting = trial.publish(`full-${round}`, full)
        const begunMs = performance.now()
        await trial.published(`others-${round}`, others)
        trial.figures[`others${round}Ms`] = Math.round(performance.now() - begunMs)
        await trial.finished([waiting.done])
      }
      const { complaints } = trial.cluster.process(full)
      if (!complaints.some((line) => line.includes('ENOSPC'))) {
        trial.violations.push(`The node says nothing of its disk: ${complaints.join(' ') || 'no warning'}`)
      }
      await trial.last(all)
    },
  )
}
