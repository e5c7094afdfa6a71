import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { StepTimer } from './step-timer.ts'

const HOUR_US = 3_600_000_000

function wallUs(): number {
  return Date.now() * 1000
}

describe('StepTimer', () => {
  it('rings once, not before its time', async () => {
    const started = performance.now()
    const rang: number[] = []
    await new Promise<void>((resolve) => {
      const timer = new StepTimer(wallUs, () => {
        rang.push(performance.now() - started)
        setTimeout(resolve, 20)
      })
      timer.set(wallUs() + 50_000)
      timer.set(wallUs() + 30_000)
    })
    assert.equal(rang.length, 1)
    assert.ok((rang[0] ?? 0) >= 28, String(rang))
  })

  it('rings although the wall clock was set back while it waited', { timeout: 5000 }, async () => {
    let setBackUs = 0
    const nowUs = await new Promise<number>((resolve) => {
      const timer = new StepTimer(() => wallUs() - setBackUs, resolve)
      timer.set(wallUs() + 20_000)
      setBackUs = HOUR_US
    })
    assert.ok(nowUs < wallUs() - HOUR_US / 2, 'the engine is told the new time')
  })
})
