/**
 * What operators see of a cluster one day: a node stands still for a moment, two of four stand still and come back, all lose
 * power at once, one dies for good while a client with a will is connected to it. After each the lists of kept subscribers are
 * the same at all nodes, with everything that was acknowledged in them.
 */
import { setTimeout as after } from 'node:timers/promises'
import type { Verdict } from './proof.ts'
import { runTrial, type Trial } from './trial.ts'

export interface FaultProofOptions {
  /** Of each step. */
  readonly messages: number
  /** A node that stands still for less than the nodes' time-out of 10 s keeps its clients. */
  readonly pauseMs: number
  readonly withinMs: number
  readonly say?: (line: string) => void
}

const all = [0, 1, 2, 3]
/** How soon the order must go on when enough nodes are back. */
const healWithinMs = 10_000

export async function proveFaults({ pauseMs, ...rest }: FaultProofOptions): Promise<Verdict> {
  return await runTrial({ nodes: all.length, ...rest }, async (trial) => {
    await oneStandsStill(trial, pauseMs)
    await twoStandStill(trial, pauseMs)
    await allLosePower(trial)
    await oneDiesWithWill(trial)
    await trial.last(all)
    if (trial.wills.join() !== 'widow') trial.violations.push(`Wills that were published: ${trial.wills.join()}`)
  })
}

async function oneStandsStill(trial: Trial, pauseMs: number): Promise<void> {
  const will = await trial.clientWithWill('paused', 3)
  trial.cluster.stop(3)
  await trial.published('one-still', [0, 1, 2])
  await after(pauseMs)
  trial.cluster.goOn(3)
  await trial.published('one-back', all)
  will.disconnect()
}

async function twoStandStill(trial: Trial, pauseMs: number): Promise<void> {
  trial.cluster.stop(2)
  trial.cluster.stop(3)
  // Of QoS 2: PUBREC waits for the order whatever is done about QoS 1.
  const waiting = trial.publish('two-still', 0, { qos: [2] })
  await after(pauseMs)
  if (waiting.acknowledged.size > 0) trial.violations.push('Two nodes of four acknowledged a message of QoS 2')
  trial.cluster.goOn(2)
  trial.cluster.goOn(3)
  const begunMs = performance.now()
  await trial.finished([waiting.done])
  const healMs = Math.round(performance.now() - begunMs)
  trial.figures['healMs'] = healMs
  if (healMs > healWithinMs) trial.violations.push(`The order went on only after ${healMs} ms`)
}

async function allLosePower(trial: Trial): Promise<void> {
  await trial.published('before', all)
  await Promise.all(all.map((node) => trial.cluster.kill(node)))
  const begunMs = performance.now()
  await trial.cluster.startAll()
  await trial.published('after', all)
  trial.figures['restartAllMs'] = Math.round(performance.now() - begunMs)
}

async function oneDiesWithWill(trial: Trial): Promise<void> {
  await trial.clientWithWill('widow', 3)
  await trial.cluster.kill(3)
  const begunMs = performance.now()
  await trial.finished(trial.subscribers.slice(0, 3).map((one) => one.until('order/will widow:0')))
  trial.figures['willMs'] = Math.round(performance.now() - begunMs)
  await trial.cluster.start(3)
}
