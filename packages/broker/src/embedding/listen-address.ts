/** A listener written as one text: `tcp://127.0.0.1:1883`, `ws://[::1]:8080`, `unix:/run/mqtt.sock` (row S1). */
import type { ListenerOptions } from '../config/options.ts'
import { ConcordError } from '../errors.ts'

/** Throws `CMQ_OPTIONS` for what is no such text. TLS needs a certificate, hence an object. */
export function listenerOf(text: string): ListenerOptions {
  if (text.startsWith('unix:')) return { kind: 'unix', path: text.slice('unix:'.length).replace(/^\/\//u, '') }
  const found = /^(tcp|mqtt|ws):\/\/(\[[0-9a-fA-F:.]+\]|[^:/?#[\]]*):(\d{1,5})\/?$/u.exec(text)
  const [, scheme, host, port] = found ?? []
  if (scheme === undefined || Number(port) > 65_535) {
    throw new ConcordError(
      'CMQ_OPTIONS',
      `Cannot listen on ${JSON.stringify(text.slice(0, 100))}: write tcp://HOST:PORT, ws://HOST:PORT or unix:PATH, or give an object for TLS`,
    )
  }
  return {
    kind: scheme === 'ws' ? 'ws' : 'tcp',
    ...(host !== undefined && host !== '' && { host }),
    port: Number(port),
  }
}
