/**
 * Which nodes live, as the order itself shows it (architecture section 3.2), so that all nodes see one fall at one position.
 *
 * A node is down at the first position with a time of at least s + `nodeTimeoutMs` and at least 8 steps with units since s,
 * where s is the time of the first unit that was emitted after the node's last linearised block; a jailed one is down at once.
 * The steps are there because a single unit may move the time of the order on by any span: an idle cluster has no time.
 */
import { endConnectionsOf } from '../sessions/connecting.ts'
import type { State } from '../state.ts'
import type { BundleEffects } from './bundle-effects.ts'

/** Steps with units that a silent node has at least, whatever the clocks say. */
export const SILENT_STEPS_MIN = 8
/** Nodes of a cluster. */
const NODES_MAX = 31

/** One unit of the order, as far as it tells who lives. */
export interface Heard {
  readonly step: number
  /** Bit i: a block of node i was linearised since the unit before. */
  readonly linearised: number
  /** Bit i: node i is jailed. */
  readonly jailed: number
}

/** Takes in a unit; its place is that of the clock. */
export function hear(state: State, { step, linearised, jailed }: Heard, effects: BundleEffects): void {
  const { records, clock, settings } = state
  for (let node = 0; node < NODES_MAX; node++) {
    const life = state.nodes.get(node)
    if (life === undefined || life.next === 0 || life.down) continue
    const bit = 1 << node
    if ((linearised & bit) !== 0) {
      if (life.isSilent) {
        records.touch(life)
        life.heard()
      }
    } else if (!life.isSilent || life.silentStep !== step) {
      records.touch(life)
      if (!life.isSilent) life.silentSinceUs = clock.timeUs
      life.silentSteps++
      life.silentStep = step
    }
    const silentTooLong =
      life.isSilent &&
      life.silentSteps >= SILENT_STEPS_MIN &&
      clock.timeUs >= life.silentSinceUs + settings.nodeTimeoutMs * 1000
    if (!silentTooLong && (jailed & bit) === 0) continue
    records.touch(life)
    life.down = true
    life.held.clear()
    life.heldBytes = 0
    endConnectionsOf(state, node, effects)
    effects.nodeFell(node, life.incarnation)
  }
}
