/** Where clients come in: opens one listener of any kind. The broker counts and keeps the handles. */
import { checkListener } from '../config/check.ts'
import type { ListenerHandle, ListenerOptions } from '../config/options.ts'
import type { ListenerDeps } from './deps.ts'
import { openStreamListener } from './stream-listener.ts'
import { openWebSocketListener } from './websocket-listener.ts'

/** Opens a listener. Rejects with a `ConcordError` that names the address and the remedy. */
export async function openListener(options: ListenerOptions, deps: ListenerDeps): Promise<ListenerHandle> {
  checkListener(options)
  switch (options.kind) {
    case 'tcp':
    case 'tls':
    case 'unix':
      return openStreamListener(options, deps)
    case 'ws':
    case 'wss':
      return openWebSocketListener(options, deps)
  }
}
