/** Chooses the transport by the scheme of the address. Node's sockets are loaded only where they are used. */
import type { DialOptions, Transport, TransportSink } from './transport.ts'
import { dialWebSocket } from './websocket.ts'

export async function dial(options: DialOptions, sink: TransportSink): Promise<Transport> {
  const { scheme } = options.address
  if (scheme === 'ws' || scheme === 'wss') return dialWebSocket(options, sink)
  const { dialStream } = await import('./stream.ts')
  return dialStream(options, sink)
}
