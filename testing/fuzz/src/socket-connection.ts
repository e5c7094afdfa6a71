/**
 * Plays one case on a socket, and checks what can be checked of any client: what the broker writes is well-formed in the
 * version of the CONNECT, and a connection whose client has closed its side is closed by the broker too.
 */
import assert from 'node:assert/strict'
import { connect, type Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import type { Target } from '../../testkit/src/raw-client.ts'
import * as wire from '../../testkit/src/wire.ts'
import type { SocketCase } from './socket-case.ts'

/** How long a broker may take to close after its client has. */
const closeMs = 20_000

export async function playCase(target: Target, number: number, one: SocketCase): Promise<void> {
  const socket = await open(target, number)
  const { promise: closed, resolve } = Promise.withResolvers<void>()
  socket.on('close', () => resolve())
  // A reset is a way of closing.
  socket.on('error', () => {})
  let malformed: Error | undefined
  if (one.deaf) socket.pause()
  else {
    const check = one.version === undefined || one.transport === 'ws' ? () => {} : checker(one.version)
    socket.on('data', (chunk: Buffer) => {
      try {
        check(chunk)
      } catch (error) {
        malformed ??= error as Error
      }
    })
  }
  for (const chunk of one.chunks) {
    if (socket.destroyed || socket.writableEnded) break
    socket.write(chunk)
    await turn()
  }
  if (one.ending === 'end') {
    socket.end()
    // A deaf client's system still takes bytes; it has to read to learn of the end.
    socket.resume()
    const timer = setTimeout(() => socket.destroy(new Error('late')), closeMs)
    const late = new Promise<boolean>((settle) => {
      socket.once('error', (error) => settle(error.message === 'late'))
      void closed.then(() => settle(false))
    })
    assert.equal(await late, false, `The broker did not close within ${closeMs} ms after its client had`)
    clearTimeout(timer)
  } else if (one.ending === 'reset') socket.resetAndDestroy()
  else socket.destroy()
  await closed
  if (malformed !== undefined) throw malformed
}

/** Takes chunks and throws when they are no packets of a server. */
function checker(version: wire.Version): (chunk: Buffer) => void {
  let arrived: Buffer = Buffer.alloc(0)
  return (chunk) => {
    arrived = arrived.length === 0 ? chunk : Buffer.concat([arrived, chunk])
    for (;;) {
      const received = wire.decode(version, arrived)
      if (received === undefined) return
      arrived = arrived.subarray(received.length)
    }
  }
}

/** From many loopback addresses where there are many: one has too few ports for thousands of connections in a minute. */
function open({ host, port }: Target, number: number): Promise<Socket> {
  const many = process.platform === 'linux' && host === '127.0.0.1'
  return new Promise((resolve, reject) => {
    const socket = connect({
      host,
      port,
      noDelay: true,
      allowHalfOpen: false,
      ...(many ? { localAddress: `127.0.1.${1 + (number % 200)}` } : {}),
    })
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.off('error', reject)
      resolve(socket)
    })
  })
}
