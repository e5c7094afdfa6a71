/**
 * Whether a machine is there, without a raw socket: it is if it takes a TCP connection or refuses one, and is not if nothing
 * answers. No ICMP: Node has none.
 */
import { connect } from 'node:net'

export interface Pong {
  readonly ip: string
  readonly alive: boolean
  /** Milliseconds until the answer; absent: there was none. */
  readonly rttMs?: number
  /** Why there was none, as a system error code. */
  readonly error?: string
  /** When it was asked. */
  readonly time: string
}

export interface PingOptions {
  readonly port: number
  readonly timeoutMs: number
}

/** Never rejects. */
export function ping(ip: string, { port, timeoutMs }: PingOptions): Promise<Pong> {
  const time = new Date().toISOString()
  const started = performance.now()
  const { promise, resolve } = Promise.withResolvers<Pong>()
  const socket = connect({ host: ip, port, timeout: timeoutMs })
  const end = (error?: string): void => {
    socket.destroy()
    const rttMs = Math.round((performance.now() - started) * 1000) / 1000
    resolve(error === undefined ? { ip, alive: true, rttMs, time } : { ip, alive: false, error, time })
  }
  socket.once('connect', () => end())
  socket.once('timeout', () => end('ETIMEDOUT'))
  // A refusal is an answer too: of a machine that is there and does not listen on this port.
  socket.once('error', ({ code }: NodeJS.ErrnoException) =>
    end(code === 'ECONNREFUSED' ? undefined : (code ?? 'unknown')),
  )
  return promise
}
