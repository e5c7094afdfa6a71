/** 10 MB/s for one session that is away and whose queue is full, and for one that is there and does not read. */
import { openFlow } from '../../../testkit/src/flow-client.ts'
import * as wire from '../../../testkit/src/wire.ts'
import { atRate, type Load, type LoadContext, openSocket } from './load.ts'

const bytesPerSecond = 10_000_000
const payload = Buffer.alloc(1_000, 0x61)
const environment = {
  CONCORDMQ_SESSIONS_QUEUE_MESSAGES_MAX: '1000',
  CONCORDMQ_DELIVERY_QUEUE_BYTES_MAX: '1048576',
}

export const fullQueue: Load = {
  about: '10 MB/s in messages of 1 KB, QoS 1, for the full queues of an absent session and of a reader that stopped',
  environment,
  async start(context) {
    for (const clientId of ['absent', 'stopped']) {
      const { promise, resolve } = Promise.withResolvers<void>()
      const { client } = await openFlow(context.target, {
        version: 4,
        connect: { clientId, cleanStart: false },
        onPacket: ({ type }) => {
          if (type === 'SUBACK') resolve()
        },
      })
      client.send(wire.subscribe(4, 1, [['flood', clientId === 'absent' ? 1 : 0]]))
      await promise
      if (clientId === 'absent') client.disconnect()
      else client.pause()
    }
    return flood(context)
  },
}

/** What the same bytes cost when nobody wants them: the share of the machine and of the load itself in the figures. */
export const floodForNobody: Load = {
  about: 'for comparison: the same 10 MB/s without a subscriber',
  environment,
  start: flood,
}

/** The publisher reads and writes plain bytes: what it costs itself is taken from the same cores. */
async function flood({ target, scale }: LoadContext): Promise<{ stop(): string }> {
  const socket = await openSocket(target)
  socket.write(wire.connect(4, { clientId: 'flooder' }))
  let received = 0
  socket.on('data', (bytes) => {
    received += bytes.length
  })
  const one = wire.publish(4, 'flood', payload, { qos: 1, id: 1 })
  const batch = Buffer.concat(Array.from({ length: 1_000 }, () => one))
  const idAt = one.indexOf('flood') + 5
  let sent = 0
  let heldBack = 0
  const publishing = atRate((bytesPerSecond * scale) / payload.length, (due) => {
    if (socket.writableLength > 4_000_000) {
      heldBack += due
      return
    }
    const some = Buffer.from(batch.subarray(0, due * one.length))
    for (let i = 0; i < due; i++) some.writeUInt16BE((sent++ % 60_000) + 1, i * one.length + idAt)
    socket.write(some)
  })
  return {
    stop: () => {
      publishing.end()
      return `${sent} sent, ${Math.floor((received - 4) / 4)} acknowledged, ${heldBack} held back by back-pressure`
    },
  }
}
