/**
 * MQTT over WebSocket (5.0, section 6) through the platform's own `WebSocket`: browsers, and Node from 24 on. One class for
 * both, and no dependency; in exchange there is no way to stop reading, and `wss:` trusts what the platform trusts.
 */
import { addressText } from '../server-address.ts'
import type { DialOptions, Transport, TransportSink } from './transport.ts'

/** Bytes that may wait inside the WebSocket before publications wait in the client's queue instead. */
const BUFFERED_BYTES_MAX = 1024 * 1024
/** How often to look whether they have left: the platform tells nobody. */
const DRAIN_POLL_MS = 20

export function dialWebSocket({ address, connectTimeoutMs }: DialOptions, sink: TransportSink): Transport {
  // [MQTT-6.0.0-3] The client offers the subprotocol "mqtt".
  const socket = new WebSocket(addressText(address), 'mqtt')
  socket.binaryType = 'arraybuffer'
  let failure: Error | undefined
  let closed = false
  let poll: ReturnType<typeof setTimeout> | undefined
  const timer = setTimeout(() => finish(new Error(`no connection within ${connectTimeoutMs} ms`)), connectTimeoutMs)

  function finish(error: Error | undefined): void {
    if (closed) return
    closed = true
    clearTimeout(timer)
    clearTimeout(poll)
    socket.close()
    sink.closed(error)
  }
  function watchDrain(): void {
    if (poll !== undefined || closed) return
    poll = setTimeout(() => {
      poll = undefined
      if (socket.bufferedAmount > BUFFERED_BYTES_MAX / 2) watchDrain()
      else sink.drain()
    }, DRAIN_POLL_MS)
  }

  socket.addEventListener('open', () => {
    clearTimeout(timer)
    if (closed) return
    if (socket.protocol === 'mqtt') sink.opened()
    // [MQTT-6.0.0-4] The server has to choose it.
    else finish(new Error('the server did not choose the WebSocket subprotocol "mqtt"'))
  })
  socket.addEventListener('message', ({ data }: { data: unknown }) => {
    if (closed) return
    // [MQTT-6.0.0-1] Only binary frames.
    if (data instanceof ArrayBuffer) sink.data(new Uint8Array(data))
    else finish(new Error('the server sent a WebSocket text frame'))
  })
  socket.addEventListener('error', () => {
    failure ??= new Error('the WebSocket connection failed')
  })
  socket.addEventListener('close', () => finish(failure))

  return {
    canPause: false,
    write(bytes, written) {
      if (closed) return true
      socket.send(bytes as Uint8Array<ArrayBuffer>)
      written?.()
      if (socket.bufferedAmount <= BUFFERED_BYTES_MAX) return true
      watchDrain()
      return false
    },
    pause() {},
    resume() {},
    end: () => socket.close(),
    destroy: () => finish(undefined),
  }
}
