/** Topics and filters that are deep, long or wild. */
import { openFlow } from '../../../testkit/src/flow-client.ts'
import type { Version } from '../../../testkit/src/wire.ts'
import * as wire from '../../../testkit/src/wire.ts'
import { atRate, type Load, openSocket } from './load.ts'

/** SUBSCRIBE packets for all filters, 200 in each, and until the last of them is answered. */
async function subscribeAll(
  target: { readonly host: string; readonly port: number },
  clientId: string,
  filters: readonly string[],
): Promise<{ readonly granted: number; readonly refused: number }> {
  const version: Version = 5
  let granted = 0
  let refused = 0
  const { promise, resolve } = Promise.withResolvers<void>()
  const { client } = await openFlow(target, {
    version,
    connect: { clientId },
    onPacket: ({ type, reasons }) => {
      if (type !== 'SUBACK') return
      for (const reason of reasons) {
        if (reason < 3) granted++
        else refused++
      }
      if (granted + refused === filters.length) resolve()
    },
    onClose: () => resolve(),
  })
  for (let at = 0; at < filters.length; at += 200) {
    const some = filters.slice(at, at + 200).map((filter) => [filter, 0] as const)
    client.send(wire.subscribe(version, at / 200 + 1, some))
  }
  await promise
  // What comes for it is nobody's business, and reading it would cost more than the broker's part.
  client.pause()
  return { granted, refused }
}

export const deepTopics: Load = {
  about: '2,000 filters of 128 levels; 200 messages a second on topics of 128 levels, 50 on topics of 65,535 bytes',
  async start({ target, scale }) {
    const deep = (i: number): string =>
      Array.from({ length: 127 }, (_, level) => ((i >> (level % 11)) & 1 ? '+' : 'a')).join('/') + `/${i}`
    const { granted, refused } = await subscribeAll(
      target,
      'deep',
      Array.from({ length: Math.ceil(2_000 * scale) }, (_, i) => deep(i)),
    )
    const publisher = await openSocket(target)
    let closed = 0
    publisher.write(wire.connect(4, { clientId: 'deep-publisher' }))
    publisher.on('close', () => closed++)
    publisher.resume()
    let sent = 0
    const publishing = atRate(200, (due) => {
      for (let n = 0; n < due && publisher.writableLength < 4_000_000; n++) {
        const topic = `${'a/'.repeat(127)}${sent++ % 4_000}`
        publisher.write(wire.publish(4, topic, 'x'))
        if (sent % 4 === 0) publisher.write(wire.publish(4, `${'b'.repeat(65_520)}${sent}`, 'x'))
      }
    })
    return {
      stop: () => {
        publishing.end()
        return `${granted} filters granted, ${refused} refused, ${sent} messages, ${closed} closed`
      },
    }
  },
}

const levels = 16

export const wildcardStorm: Load = {
  about:
    'one client with 65,536 filters that all match one topic of 16 levels, and 100,000 like +/+/N; 20 messages a second on the topic while a filter that matches comes and goes',
  async start({ target, scale }) {
    const count = Math.ceil(2 ** levels * scale)
    const all = (i: number): string =>
      Array.from({ length: levels }, (_, level) => ((i >> level) & 1 ? '+' : 'a')).join('/')
    const first = await subscribeAll(
      target,
      'wild',
      Array.from({ length: count }, (_, i) => all(i)),
    )
    const second = await subscribeAll(
      target,
      'wilder',
      Array.from({ length: Math.ceil(100_000 * scale) }, (_, i) => `+/+/${i}`),
    )
    const { client } = await openFlow(target, { version: 4, connect: { clientId: 'wild-publisher' } })
    const topic = Array.from({ length: levels }, () => 'a').join('/')
    let sent = 0
    const publishing = atRate(20, (due) => {
      for (let n = 0; n < due; n++) {
        // A subscription that matches makes the broker look for all of them anew.
        client.send(sent % 2 === 0 ? wire.subscribe(4, 9, [['a/#', 0]]) : wire.unsubscribe(4, 9, ['a/#']))
        client.send(wire.publish(4, topic, 'x'))
        client.send(wire.publish(4, `x/y/${sent++}`, 'x'))
      }
    })
    return {
      stop: () => {
        publishing.end()
        return `${first.granted} and ${second.granted} granted, ${first.refused + second.refused} refused, ${sent} messages`
      },
    }
  },
}

export const retainedScan: Load = {
  about: '50,000 retained messages, and 20 clients that subscribe to # again and again, 10 times a second together',
  async start({ target, scale }) {
    const count = Math.ceil(50_000 * scale)
    const { promise, resolve } = Promise.withResolvers<void>()
    const { client } = await openFlow(target, {
      version: 4,
      connect: { clientId: 'retainer' },
      onPacket: ({ type }) => {
        if (type === 'PINGRESP') resolve()
      },
    })
    for (let i = 0; i < count; i++) client.send(wire.publish(4, `kept/${i % 100}/${i}`, 'retained', { retain: true }))
    client.send(wire.pingreq)
    await promise
    let received = 0
    const scanners = await Promise.all(
      Array.from({ length: 20 }, async (_, i) => {
        const socket = await openSocket(target)
        socket.write(wire.connect(4, { clientId: `scanner${i}` }))
        socket.on('data', (bytes) => {
          received += bytes.length
        })
        return socket
      }),
    )
    let scans = 0
    const scanning = atRate(10, (due) => {
      for (let n = 0; n < due; n++) scanners[scans++ % scanners.length]?.write(wire.subscribe(4, 1, [['kept/#', 0]]))
    })
    return {
      stop: () => {
        scanning.end()
        return `${scans} scans, ${(received / 1_048_576).toFixed(0)} MiB received`
      },
    }
  },
}
