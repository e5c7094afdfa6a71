/**
 * Where a node's data lie: `data/<key id>/` in the configuration directory, so that several nodes can share one, as the
 * recipe has it; a node without a key of its own, which has another identifier at each start, uses `data/node/`.
 */
import { join } from 'node:path'
import type { Configuration } from '../config/settings.ts'
import type { NodeKey } from '../identity/secret-key.ts'

/** Undefined: nothing is kept. */
export function dataPlace({ directory, settings }: Configuration, key: NodeKey): string | undefined {
  if (settings.durability === 'memory') return undefined
  return settings['data-dir'] ?? join(directory, 'data', key.random ? 'node' : key.id)
}
