/** Sessions, groups and identifiers that come and go faster than anybody needs. */
import { openFlow } from '../../../testkit/src/flow-client.ts'
import * as wire from '../../../testkit/src/wire.ts'
import { atRate, type Load, openSocket } from './load.ts'

export const sharedChurn: Load = {
  about:
    '200 members join and leave 20 shared groups, 1,000 times a second, while 500 messages a second go to each group',
  async start({ target, scale }) {
    const members = await Promise.all(
      Array.from({ length: Math.ceil(200 * scale) }, async (_, i) => {
        const { client } = await openFlow(target, { version: 5, connect: { clientId: `member${i}` } })
        return client
      }),
    )
    const publisher = await openSocket(target)
    publisher.write(wire.connect(4, { clientId: 'shared-publisher' }))
    publisher.resume()
    let changes = 0
    const churning = atRate(1_000 * scale, (due) => {
      for (let n = 0; n < due; n++) {
        const member = members[changes % members.length]
        const filter = `$share/group${changes % 20}/shared/#`
        const id = (changes % 60_000) + 1
        member?.send(changes++ % 400 < 200 ? wire.subscribe(5, id, [[filter, 1]]) : wire.unsubscribe(5, id, [filter]))
      }
    })
    let sent = 0
    const publishing = atRate(500 * scale, (due) => {
      for (let n = 0; n < due && publisher.writableLength < 1_000_000; n++) {
        publisher.write(wire.publish(4, `shared/${sent % 50}`, 'x', { qos: 1, id: (sent++ % 60_000) + 1 }))
      }
    })
    return {
      stop: () => {
        churning.end()
        publishing.end()
        return `${changes} changes, ${sent} messages`
      },
    }
  },
}

/** Connects, says what it has to say, and goes when CONNACK has come. */
function passBy(target: { readonly host: string; readonly port: number }, connect: Buffer, onGone: () => void): void {
  openSocket(target).then(
    (socket) => {
      socket.once('data', () => socket.end(wire.disconnect()))
      socket.on('close', onGone)
      socket.write(connect)
    },
    () => onGone(),
  )
}

export const sessionFlood: Load = {
  about: 'kept sessions under new client identifiers, 300 a second, every tenth identifier of 60,000 bytes',
  // An operator's ceiling; without one they would be kept for good.
  environment: { CONCORDMQ_SESSIONS_EXPIRY_MAX: '5' },
  async start({ target, scale }) {
    let made = 0
    let under = 0
    const flooding = atRate(300 * scale, (due) => {
      for (let n = 0; n < due && under < 200; n++) {
        under++
        const clientId = `${made % 10 === 0 ? 'x'.repeat(60_000) : 'flood'}${made++}`
        passBy(target, wire.connect(4, { clientId, cleanStart: false }), () => under--)
      }
    })
    return {
      stop: () => {
        flooding.end()
        return `${made} sessions`
      },
    }
  },
}

export const takeoverStorm: Load = {
  about:
    '100 connections fight for 4 client identifiers, with wills, kept sessions and subscriptions, 300 takeovers a second',
  async start({ target, scale }) {
    let takeovers = 0
    let wills = 0
    const { client } = await openFlow(target, {
      version: 5,
      connect: { clientId: 'mourner' },
      onPacket: ({ type }) => {
        if (type === 'PUBLISH') wills++
      },
    })
    client.send(wire.subscribe(5, 1, [['fight', 0]]))
    const open: Awaited<ReturnType<typeof openSocket>>[] = []
    const fighting = atRate(300 * scale, (due) => {
      for (let n = 0; n < due; n++) {
        openSocket(target).then(
          (socket) => {
            const number = takeovers++
            socket.resume()
            socket.write(
              wire.connect(5, {
                clientId: `fighter${number % 4}`,
                cleanStart: number % 3 === 0,
                properties: [['sessionExpiryInterval', 60]],
                will: { topic: 'fight', payload: 'gone' },
              }),
            )
            socket.write(wire.subscribe(5, 1, [[`fight/${number % 50}`, 1]]))
            open.push(socket)
            if (open.length > 100) open.shift()?.destroy()
          },
          () => {},
        )
      }
    })
    return {
      stop: () => {
        fighting.end()
        for (const socket of open) socket.destroy()
        return `${takeovers} connects, ${wills} wills`
      },
    }
  },
}
