/** Frames that are many, empty, fragmented or promise much, and upgrades that never end. */
import type { Socket } from 'node:net'
import * as wire from '../../../testkit/src/wire.ts'
import { atRate, inLanes, type Load, openSocket } from './load.ts'

const upgrade =
  'GET /mqtt HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n' +
  'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: mqtt\r\n'

/** A frame with a mask of zeros, which leaves the content as it is. */
function frame(opcode: number, content: Uint8Array, { final = true } = {}): Buffer {
  const first = (final ? 0x80 : 0) | opcode
  const mask = Buffer.alloc(4)
  const { length } = content
  const header =
    length < 126 ? Buffer.from([first, 0x80 | length]) : Buffer.from([first, 0xfe, length >> 8, length & 255])
  return Buffer.concat([header, mask, content])
}

export const websocketGames: Load = {
  about:
    '60 WebSockets: pings and empty frames, 100,000 a second together, packets in fragments of a byte, frames that promise 2^40 bytes; 100 upgrades that never end',
  async start({ websocket, scale }) {
    const count = Math.ceil(60 * scale)
    let closed = 0
    const sockets: Socket[] = []
    await inLanes(count, async (i) => {
      const socket = await openSocket(websocket)
      socket.on('close', () => closed++)
      socket.write(`${upgrade}\r\n`)
      await new Promise((resolve) => socket.once('data', resolve))
      socket.resume()
      socket.write(frame(2, wire.connect(4, { clientId: `game${i}` })))
      if (i % 4 === 3) socket.write(Buffer.from([0x82, 0xff, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]))
      sockets.push(socket)
    })
    const slow = await Promise.all(Array.from({ length: Math.ceil(100 * scale) }, () => openSocket(websocket)))
    for (const socket of slow) socket.write(upgrade)
    const floods = [
      Buffer.concat(Array.from({ length: 100 }, () => frame(9, Buffer.from('ping')))),
      Buffer.concat(Array.from({ length: 100 }, () => frame(2, Buffer.alloc(0)))),
      Buffer.concat([...wire.publish(4, 'game', 'x')].map((byte) => frame(2, Buffer.from([byte])))),
    ]
    let heldBack = 0
    let at = 0
    const playing = atRate(1_000 * scale, (due) => {
      for (let n = 0; n < due; n++) {
        const i = at++ % sockets.length
        const socket = sockets[i] as Socket
        if (socket.writableLength > 65_536) heldBack++
        else if (i % 4 < 3 && !socket.destroyed) socket.write(floods[i % 4] as Buffer)
      }
    })
    const trickling = atRate(200, (due) => {
      for (let n = 0; n < due; n++) slow[n % slow.length]?.write(`X-Header-${n}: ${'x'.repeat(20)}\r\n`)
    })
    return {
      stop: () => {
        playing.end()
        trickling.end()
        return `${count} WebSockets, ${closed} closed by the broker, ${heldBack} writes held back`
      },
    }
  },
}
