/**
 * What one rude crowd does to a broker. Each load runs in a process of its own with little priority, since in the world it
 * comes from other machines and takes nothing of the broker's cores.
 */
import { connect as connectSocket, type Socket } from 'node:net'
import type { Target } from '../../../testkit/src/raw-client.ts'

export interface LoadContext {
  readonly target: Target
  readonly websocket: Target
  /** Path of a Unix socket. The kernel buffers little there, where it takes megabytes for a TCP connection. */
  readonly unix: string
  /** 1 for the whole load; tests use less. */
  readonly scale: number
}

export interface Load {
  /** In one line, with its size. */
  readonly about: string
  /** The program in place of `concordmq`: one that embeds the broker. */
  readonly program?: string
  /** Settings of the broker, by their `CONCORDMQ_…` name. */
  readonly environment?: Readonly<Record<string, string>>
  /** Resolves when all of it is there; it goes on until `stop()`, which tells what it saw. */
  start(context: LoadContext): Promise<{ stop(): Promise<string> | string }>
}

/** A socket whose errors are nobody's business: being cut off is what this load must expect. */
export function openSocket(target: Target): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connectSocket({ ...target, noDelay: true })
    socket.once('connect', () => resolve(socket))
    socket.once('error', reject)
    socket.on('error', () => {})
  })
}

/** Runs `body` for each number below `count`, some at a time. */
export async function inLanes(count: number, body: (i: number) => Promise<void>, lanes = 50): Promise<void> {
  let next = 0
  await Promise.all(
    Array.from({ length: Math.min(lanes, count) }, async () => {
      while (next < count) await body(next++)
    }),
  )
}

/** Calls `body` with how many are due, at so many a second, until it is told to end. */
export function atRate(perSecond: number, body: (count: number) => void): { end(): void } {
  const begun = performance.now()
  let done = 0
  const timer = setInterval(() => {
    const due = Math.floor(((performance.now() - begun) * perSecond) / 1_000)
    // After a stall of our own the missed ones are left out: the load must not come in bursts.
    const count = Math.min(due - done, Math.ceil(perSecond / 20))
    done = due
    if (count > 0) body(count)
  }, 5)
  return { end: () => clearInterval(timer) }
}
