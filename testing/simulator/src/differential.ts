/**
 * The oracles of the package beside a run: sections 7 and 8 as they are written, slow and without caches, over all blocks that the
 * run made. What the cluster ordered must be what they say, unit by unit, with step and time.
 *
 * Left to the package's own tests: forks and parents that do not exist, since the oracles know neither evidence messages nor what
 * a node cannot accept.
 */
import type { Domain } from '../../../packages/consensus/src/bytes/domain.ts'
import type { Block } from '../../../packages/consensus/src/model/block.ts'
import type { Epoch } from '../../../packages/consensus/src/model/epoch.ts'
import { CommitOracle, nameOf } from '../../../packages/consensus/testing/oracle/commit-rule.ts'
import { FairOrderOracle } from '../../../packages/consensus/testing/oracle/fair-order-oracle.ts'
import type { LogEntry } from './invariants/agreement.ts'
import { hex, violated } from './invariants/violation.ts'
import type { Scenario } from './scenario.ts'

interface Ordered {
  readonly unit: string
  readonly step: number
  readonly consensusUs: number
}

/** The same trouble without what the oracles do not know. */
export function withoutForks(scenario: Scenario): Scenario {
  const liars = scenario.liars.map((liar) => {
    if (liar.kind === 'wire') return liar
    return { ...liar, habits: liar.habits.filter((habit) => habit !== 'fork' && habit !== 'junkParents') }
  })
  return { ...scenario, liars }
}

/** Throws a `Violation` where the log is not what the oracles say of these blocks. Answers how many units were compared. */
export function compareWithOracles(
  epoch: Epoch,
  domain: Domain,
  blocks: readonly Block[],
  log: readonly LogEntry[],
): number {
  const expected = orderOf(epoch, domain, blocks)
  const units = unitsOf(log)
  // A unit without a new message has no place in the log.
  const inLog = new Set(units.map(({ unit }) => unit))
  const named = expected.filter(({ unit }) => inLog.has(unit))
  for (const [i, actual] of units.entries()) {
    const oracle = named[i]
    if (oracle?.unit === actual.unit && oracle.step === actual.step && oracle.consensusUs === actual.consensusUs)
      continue
    violated(`Unit ${i} of the log is ${JSON.stringify(actual)}, the oracles say ${JSON.stringify(oracle)}`)
  }
  return units.length
}

function orderOf(epoch: Epoch, domain: Domain, blocks: readonly Block[]): Ordered[] {
  const byName = new Map(blocks.map((block) => [nameOf(block), block]))
  const fair = new FairOrderOracle(epoch, 0)
  return new CommitOracle(epoch, domain, blocks).steps().flatMap(({ round, linearised }) => {
    for (const name of linearised) fair.evidence(byName.get(name) as Block, round)
    return fair.fairOrder(round).map(({ name, consensusUs }) => ({ unit: hex(name.digest), step: round, consensusUs }))
  })
}

function unitsOf(log: readonly LogEntry[]): Ordered[] {
  const units: Ordered[] = []
  for (const { unit, step, message } of log) {
    const name = hex(unit)
    if (units.at(-1)?.unit !== name) units.push({ unit: name, step, consensusUs: message.consensusUs })
  }
  return units
}
