/**
 * A seeded load on a broker through real sockets, made to leave much in the state at any moment: kept sessions with queues,
 * QoS 2 handshakes cut in every place, wills that wait, retained messages, shared groups that lose members, expiry in
 * seconds. What clients receive is not checked here; the tests of the norms do that.
 */
import { randomFrom } from '../../testkit/src/random.ts'
import { connect, type RawClient, type Target } from '../../testkit/src/raw-client.ts'
import type { Property, Received, Version } from '../../testkit/src/wire.ts'
import * as wire from '../../testkit/src/wire.ts'

export interface LoadOptions {
  readonly seed: number
  readonly steps: number
}

interface Session {
  readonly clientId: string
  readonly version: Version
  client: RawClient | undefined
}

const topics = ['a', 'a/b', 'a/b/c', 'd/e', 'd/f'] as const
const filters = [...topics, '#', 'a/#', '+/b', 'd/+', '$share/one/a/#', '$share/two/d/+'] as const

export async function runLoad(target: Target, { seed, steps }: LoadOptions): Promise<void> {
  const { below, pick } = randomFrom(seed)
  const sessions: Session[] = ([3, 4, 4, 5, 5, 5, 5] as const).map((version, i) => ({
    clientId: `load${seed}n${i}`,
    version,
    client: undefined,
  }))
  for (let step = 0; step < steps; step++) {
    const session = pick(sessions)
    const { version } = session
    if (session.client === undefined) {
      session.client = await connect(target, version, connectOptions(session, below))
      continue
    }
    const { client } = session
    const topic = pick(topics)
    switch (below(10)) {
      case 0:
        await client.drop()
        session.client = undefined
        break
      case 1:
        client.send(wire.disconnect(version === 5 && below(2) === 0 ? 0x04 : undefined))
        await client.untilClosed()
        session.client = undefined
        break
      case 2:
      case 3:
        client.send(wire.subscribe(version, client.newId(), [[pick(filters), below(3)]]))
        break
      case 4:
        client.send(wire.unsubscribe(version, client.newId(), [pick(filters)]))
        break
      default: {
        const qos = below(3)
        const expiry: readonly Property[] = below(3) === 0 ? [['messageExpiryInterval', 1 + below(2)]] : []
        client.send(
          wire.publish(version, topic, below(8) === 0 ? '' : 'x'.repeat(below(300)), {
            qos,
            retain: below(4) === 0,
            ...(qos === 0 ? {} : { id: client.newId() }),
            properties: expiry,
          }),
        )
      }
    }
    if (session.client !== undefined) await answer(session.client, below)
  }
  for (const { client } of sessions) await client?.drop()
}

function connectOptions({ clientId, version }: Session, below: (n: number) => number): wire.ConnectOptions {
  const expiry: readonly Property[] = below(4) === 0 ? [] : [['sessionExpiryInterval', 1 + below(60)]]
  const delay: readonly Property[] = below(2) === 0 ? [] : [['willDelayInterval', 1 + below(3)]]
  return {
    clientId,
    cleanStart: below(5) === 0,
    will: { topic: 'a/b', payload: `will of ${clientId}`, qos: below(3), retain: below(2) === 0, properties: delay },
    ...(version === 5 ? { properties: [...expiry, ['receiveMaximum', 1 + below(8)]] } : {}),
  }
}

/** Takes what has arrived up to the answer to a PINGREQ, and acknowledges most of it: what is left stays half done. */
async function answer(client: RawClient, below: (n: number) => number): Promise<void> {
  client.send(wire.pingreq)
  for (;;) {
    const received: Received | undefined = await client.next()
    if (received === undefined || received.type === 'PINGRESP') return
    if (below(6) === 0) continue
    const { type, qos, id } = received
    if (type === 'PUBLISH' && qos === 1) client.send(wire.acknowledge('PUBACK', id))
    else if (type === 'PUBLISH' && qos === 2) client.send(wire.acknowledge('PUBREC', id))
    else if (type === 'PUBREC') client.send(wire.acknowledge('PUBREL', id))
    else if (type === 'PUBREL') client.send(wire.acknowledge('PUBCOMP', id))
  }
}
