/**
 * An upgrade as operators do it: node by node is asked to end and started again, under load. Clients that go on with another node
 * have no publish refused and lose nothing.
 */
import type { Verdict } from './proof.ts'
import { runTrial } from './trial.ts'

export interface UpgradeProofOptions {
  readonly nodes: number
  /** Of each publisher and node that is upgraded. */
  readonly messages: number
  readonly withinMs: number
  readonly say?: (line: string) => void
}

export async function proveUpgrade({ nodes, messages, withinMs, say }: UpgradeProofOptions): Promise<Verdict> {
  const all = Array.from({ length: nodes }, (_, node) => node)
  return await runTrial({ nodes, messages, withinMs, say }, async (trial) => {
    const { cluster } = trial
    for (const node of all) {
      trial.say(`node ${node} is upgraded`)
      const load = all.map((at) => trial.publish(`during-${node}`, at, { stays: false }))
      const [observer] = trial.subscribers.filter((_, at) => at !== node)
      await trial.finished([observer?.whenHas(observer.messages.length + messages) ?? Promise.resolve()])
      const code = await cluster.end(node)
      if (code !== 0) trial.violations.push(`Node ${node} ended with ${code}`)
      await cluster.start(node)
      await trial.finished(load.map((one) => one.done))
    }
    await trial.last(all)
  })
}
