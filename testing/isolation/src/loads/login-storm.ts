/** Wrong passwords, 1,000 connections at once; who is refused comes again at once, so the storm lasts. */
import { FlowClient } from '../../../testkit/src/flow-client.ts'
import type { Load } from './load.ts'

const connections = 1_000

export const loginStorm: Load = {
  about: '1,000 clients log in with wrong passwords, and again when they are refused',
  async start({ target, scale }) {
    const count = Math.ceil(connections * scale)
    const refused = new Map<number, number>()
    let attempts = 0
    let closed = 0
    let ended = false
    const { promise: begun, resolve } = Promise.withResolvers<void>()
    const attempt = (i: number): void => {
      if (ended) return
      attempts++
      new FlowClient(target, {
        version: i % 2 === 0 ? 4 : 5,
        connect: { clientId: `storm${i}`, username: i % 3 === 0 ? 'nobody' : 'healthy', password: `wrong${attempts}` },
        onPacket: ({ type, reason }) => {
          if (type !== 'CONNACK') return
          refused.set(reason, (refused.get(reason) ?? 0) + 1)
        },
        onClose: () => {
          // Later, as a client does that is told to try again: at most 1,000 attempts a second from all.
          if (++closed >= 20) resolve()
          setTimeout(attempt, 1_000, i)
        },
      })
    }
    for (let i = 0; i < count; i++) attempt(i)
    await begun
    return {
      stop: () => {
        ended = true
        return `${attempts} attempts, refused with ${JSON.stringify(Object.fromEntries(refused))}`
      },
    }
  },
}
