/** A hook that does not answer: clients whose publishes wait for it, more and more of them, and clients that wait at the door. */
import { fileURLToPath } from 'node:url'
import * as wire from '../../../testkit/src/wire.ts'
import { atRate, inLanes, type Load, openSocket } from './load.ts'

const payload = Buffer.alloc(1_000, 0x61)

export const blockedHook: Load = {
  about: 'a hook that never answers: 500 clients publish 1 MB/s together into it, 500 wait with their CONNECT',
  program: fileURLToPath(new URL('../hook-host.ts', import.meta.url)),
  async start({ target, scale }) {
    const sockets: Awaited<ReturnType<typeof openSocket>>[] = []
    let answers = 0
    await inLanes(Math.ceil(1_000 * scale), async (i) => {
      const socket = await openSocket(target)
      socket.write(wire.connect(4, { clientId: `${i % 2 === 0 ? 'blocked' : 'undecided'}${i}` }))
      if (i % 2 === 0) {
        await new Promise((resolve) => socket.once('data', resolve))
        sockets.push(socket)
      }
      socket.on('data', () => answers++)
    })
    let sent = 0
    let heldBack = 0
    const publishing = atRate(1_000 * scale, (due) => {
      for (let n = 0; n < due; n++) {
        const socket = sockets[sent++ % sockets.length]
        if (socket === undefined || socket.writableLength > 65_536) heldBack++
        else socket.write(wire.publish(4, 'blocked', payload, { qos: 1, id: (sent % 60_000) + 1 }))
      }
    })
    return {
      stop: () => {
        publishing.end()
        return `${sent} sent, ${heldBack} held back by back-pressure, ${answers} answers`
      },
    }
  },
}
