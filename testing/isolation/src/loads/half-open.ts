/** Connections that say nothing, half a CONNECT, or a byte now and then; one that is closed comes again. */
import type { Socket } from 'node:net'
import * as wire from '../../../testkit/src/wire.ts'
import { atRate, inLanes, type Load, openSocket } from './load.ts'

const connections = 1_000
const timeoutMs = 4_000
const connectPacket = wire.connect(4, { clientId: 'x'.repeat(60_000) })

export const halfOpen: Load = {
  about:
    '1,000 connections that say nothing, half a CONNECT or a byte now and then; 250 a second time out and come again',
  environment: { CONCORDMQ_LIMITS_CONNECT_TIMEOUT_MS: String(timeoutMs) },
  async start({ target, scale }) {
    const count = Math.ceil(connections * scale)
    const sockets = new Map<number, Socket>()
    let opened = 0
    let ended = false
    const open = async (i: number): Promise<void> => {
      if (ended) return
      const socket = await openSocket(target)
      opened++
      sockets.set(i, socket)
      if (i % 3 > 0) socket.write(connectPacket.subarray(0, i % 3 === 1 ? 30_000 : 1))
      socket.on('close', () => {
        sockets.delete(i)
        // Those that are closed in one moment do not come again in one.
        setTimeout(() => void open(i).catch(() => {}), (i * 37) % 250)
      })
      socket.resume()
    }
    // Spread over the time-out, so that they do not all come again in one moment.
    const begun = performance.now()
    await inLanes(count, async (i) => {
      const waitMs = begun + (i * timeoutMs) / count - performance.now()
      if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs))
      await open(i)
    })
    let at = 1
    const dripping = atRate(500, (due) => {
      for (let n = 0; n < due; n++) {
        const i = (at++ * 3 + 2) % count
        sockets.get(i)?.write(connectPacket.subarray(1, 2))
      }
    })
    return {
      stop: () => {
        ended = true
        dripping.end()
        return `${sockets.size} at the end, ${opened} opened in all`
      },
    }
  },
}
