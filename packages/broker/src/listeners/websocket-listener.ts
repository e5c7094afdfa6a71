import type { ListenerHandle, ListenerOptions } from '../config/options.ts'
import type { ListenerDeps } from './deps.ts'
export async function openWebSocketListener(
  _o: Extract<ListenerOptions, { readonly kind: 'ws' | 'wss' }>,
  _d: ListenerDeps,
): Promise<ListenerHandle> {
  throw new Error('wip')
}
