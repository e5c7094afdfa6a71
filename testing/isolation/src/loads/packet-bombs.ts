/** Packets that promise much, and packets that are as small and as many as can be. */
import * as wire from '../../../testkit/src/wire.ts'
import { atRate, inLanes, type Load, openSocket } from './load.ts'

/** PUBLISH with the longest remaining length that MQTT can write, and with the longest that the broker takes. */
const promises = [Buffer.from([0x30, 0xff, 0xff, 0xff, 0x7f]), Buffer.from([0x30, 0xfb, 0xff, 0xff, 0x07])]
const trickle = Buffer.alloc(4_096, 0x61)

export const promisedPackets: Load = {
  about: '300 logged-in connections promise packets of 16 MiB or 256 MiB and send 4 KB of them now and then',
  async start({ target, scale }) {
    const count = Math.ceil(300 * scale)
    const sockets = new Set<Awaited<ReturnType<typeof openSocket>>>()
    let closed = 0
    await inLanes(count, async (i) => {
      const socket = await openSocket(target)
      sockets.add(socket)
      socket.on('close', () => {
        closed++
        sockets.delete(socket)
      })
      socket.resume()
      socket.write(wire.connect(4, { clientId: `promise${i}` }))
      socket.write(promises[i % 2] as Buffer)
    })
    let at = 0
    const trickling = atRate(200, (due) => {
      const open = [...sockets]
      for (let n = 0; n < due && open.length > 0; n++) open[at++ % open.length]?.write(trickle)
    })
    return {
      stop: () => {
        trickling.end()
        return `${count} connections, ${closed} closed by the broker`
      },
    }
  },
}

export const tinyPackets: Load = {
  about: '20 connections, together 500,000 PINGREQ a second where the broker takes them',
  async start({ target, scale }) {
    const count = Math.ceil(20 * scale)
    const pings = Buffer.concat(Array.from({ length: 125 }, () => wire.pingreq))
    let answered = 0
    let heldBack = 0
    const sockets: Awaited<ReturnType<typeof openSocket>>[] = []
    await inLanes(count, async (i) => {
      const socket = await openSocket(target)
      socket.on('data', (bytes) => {
        answered += bytes.length
      })
      socket.write(wire.connect(4, { clientId: `tiny${i}` }))
      sockets.push(socket)
    })
    const sending = atRate(4_000, (due) => {
      for (let n = 0; n < due; n++) {
        const socket = sockets[n % sockets.length]
        if (socket === undefined || socket.writableLength > 65_536) heldBack++
        else socket.write(pings)
      }
    })
    return {
      stop: () => {
        sending.end()
        return `${Math.floor(answered / 2)} answered, ${heldBack} of 125 held back by back-pressure`
      },
    }
  },
}
