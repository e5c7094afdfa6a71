/** Packets that consist of user properties: of little use, and laborious to read and to write. */
import { openFlow } from '../../../testkit/src/flow-client.ts'
import type { Property } from '../../../testkit/src/wire.ts'
import * as wire from '../../../testkit/src/wire.ts'
import { atRate, type Load, openSocket } from './load.ts'

const many: readonly Property[] = Array.from({ length: 5_000 }, (_, i) => ['userProperty', [`k${i}`, 'v']] as const)

export const propertyBombs: Load = {
  about:
    'PUBLISH with 5,000 user properties, 50 a second, for a 5.0 and a 3.1.1 subscriber; CONNECT with as many, 20 a second',
  async start({ target, scale }) {
    let delivered = 0
    for (const version of [4, 5] as const) {
      const { client } = await openFlow(target, { version, connect: { clientId: `bombed${version}` } })
      client.send(wire.subscribe(version, 1, [['bomb', 0]]))
    }
    const counter = await openSocket(target)
    counter.write(wire.connect(5, { clientId: 'bomb-counter' }))
    counter.write(wire.subscribe(5, 1, [['bomb', 0]]))
    counter.on('data', (bytes) => {
      delivered += bytes.length
    })
    const publisher = await openSocket(target)
    publisher.write(wire.connect(5, { clientId: 'bomber' }))
    publisher.resume()
    const bomb = wire.publish(5, 'bomb', '', { properties: many })
    const hello = wire.connect(5, { clientId: 'bomb-connect', properties: many })
    const publishing = atRate(50 * scale, (due) => {
      if (publisher.writableLength < 4_000_000) for (let n = 0; n < due; n++) publisher.write(bomb)
    })
    let connects = 0
    const connecting = atRate(20 * scale, (due) => {
      for (let n = 0; n < due; n++) {
        connects++
        openSocket(target).then(
          (socket) => {
            socket.resume()
            socket.end(hello)
          },
          () => {},
        )
      }
    })
    return {
      stop: () => {
        publishing.end()
        connecting.end()
        return `${Math.floor(delivered / bomb.length)} bombs of ${bomb.length} bytes delivered to each, ${connects} connects`
      },
    }
  },
}
