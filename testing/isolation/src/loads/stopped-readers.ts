/**
 * Subscribers that stop reading while there is more and more for them. They come over a Unix socket: of a TCP connection
 * that nobody reads the kernel takes about 4 MB, and 1,000 of them would fill its memory for TCP before the broker's queues.
 */
import { openFlow } from '../../../testkit/src/flow-client.ts'
import * as wire from '../../../testkit/src/wire.ts'
import { atRate, inLanes, type Load } from './load.ts'

const readers = 1_000
const perSecond = 50
const payload = Buffer.alloc(4_096, 0x61)
/** More than kernel and queue take for one reader. */
const fillBytes = 1_000_000
const fillPayload = Buffer.alloc(16_384, 0x61)

export const stoppedReaders: Load = {
  about: '1,000 subscribers that stopped reading and whose queues are full; 200 KB/s more for each of them',
  environment: { CONCORDMQ_DELIVERY_QUEUE_BYTES_MAX: '65536' },
  async start({ target, unix, scale }) {
    const count = Math.ceil(readers * scale)
    let closed = 0
    await inLanes(count, async (i) => {
      const { promise, resolve } = Promise.withResolvers<void>()
      const { client } = await openFlow(
        { path: unix },
        {
          version: i % 2 === 0 ? 4 : 5,
          connect: { clientId: `stopped${i}` },
          onPacket: ({ type }) => {
            if (type === 'SUBACK') resolve()
          },
          onClose: () => closed++,
        },
      )
      client.send(wire.subscribe(client.version, 1, [['flood', 0]]))
      await promise
      client.pause()
    })
    let acknowledged = () => {}
    const { client: publisher } = await openFlow(target, {
      version: 4,
      connect: { clientId: 'flooder' },
      onPacket: ({ type }) => {
        if (type === 'PUBACK') acknowledged()
      },
    })
    for (let filled = 0; filled < fillBytes; filled += fillPayload.length) {
      const { promise, resolve } = Promise.withResolvers<void>()
      acknowledged = resolve
      publisher.send(wire.publish(4, 'flood', fillPayload, { qos: 1, id: 1 }))
      await promise
    }
    let sent = 0
    const publishing = atRate(perSecond, (due) => {
      for (let i = 0; i < due; i++)
        publisher.send(wire.publish(4, 'flood', payload, { qos: 1, id: (sent++ % 60_000) + 1 }))
    })
    return {
      stop: () => {
        publishing.end()
        return `${count} readers, ${closed} closed by the broker, ${sent} messages for each`
      },
    }
  },
}
