/**
 * The order stops and goes on again and again, noticed late or at once, while clients publish and others come: nobody gets a message
 * twice, nobody misses one, and what has its place has one place (architecture section 3.5).
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FlowClient } from '../../../testing/testkit/src/flow-client.ts'
import { randomFrom } from '../../../testing/testkit/src/random.ts'
import type { Target } from '../../../testing/testkit/src/raw-client.ts'
import * as wire from '../../../testing/testkit/src/wire.ts'
import { type Cluster, closeAll, kept, openCluster } from './cluster-brokers.testkit.ts'

const nodes = 4
const publishers = 6
const messages = 150
const seeds = 6
const lateComers = 12

interface Listener {
  readonly client: FlowClient
  /** Payloads in the order in which they came, and those of them that are marked as without a place. */
  readonly got: string[]
  readonly marked: Set<string>
}

function isMarked(packet: wire.Received): boolean {
  return wire
    .propertiesOf(packet, 'userProperty')
    .some((pair) => Array.isArray(pair) && pair[0] === 'concord-ordered' && pair[1] === 'false')
}

async function listen(target: Target, options: wire.ConnectOptions): Promise<Listener> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const got: string[] = []
  const marked = new Set<string>()
  const client = new FlowClient(target, {
    version: 5,
    connect: options,
    onPacket: (packet, self) => {
      if (packet.type === 'CONNACK') self.send(wire.subscribe(5, 1, [['t/#', 1]]))
      else if (packet.type === 'SUBACK') resolve()
      else if (packet.type === 'PUBLISH') {
        got.push(packet.payload.toString())
        if (isMarked(packet)) marked.add(packet.payload.toString())
      }
    },
  })
  await promise
  return { client, got, marked }
}

/** Publishes as fast as its window lets it; at QoS 0 it just goes on. */
function publish(target: Target, name: string, qos: 0 | 1 | 2, between: () => Promise<void>): Promise<FlowClient> {
  const window = 8
  let inflight = 0
  let wake: (() => void) | undefined
  const { promise: connected, resolve } = Promise.withResolvers<void>()
  const client = new FlowClient(target, {
    version: 5,
    connect: { clientId: name },
    onPacket: ({ type }) => {
      if (type === 'CONNACK') resolve()
      if (type !== 'PUBACK' && type !== 'PUBCOMP') return
      inflight--
      wake?.()
    },
  })
  const run = async (): Promise<FlowClient> => {
    await connected
    for (let i = 0; i < messages; i++) {
      while (inflight >= window) await new Promise<void>((goOn) => (wake = goOn))
      if (qos > 0) inflight++
      client.send(wire.publish(5, `t/${name}`, `${name}:${i}`, { qos, ...(qos > 0 && { id: i + 1 }) }))
      await between()
    }
    while (inflight > 0) await new Promise<void>((goOn) => (wake = goOn))
    return client
  }
  return run()
}

/** Stops the order, now and then so that no node notices for a while, and lets it go on. */
async function stallAgainAndAgain({ log }: Cluster, random: ReturnType<typeof randomFrom>, ended: () => boolean) {
  const turns = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve))
  }
  while (!ended()) {
    await turns(random.below(60))
    log.stalled = true
    await turns(random.below(40))
    if (random.below(3) > 0) log.stall()
    await turns(random.below(60))
    log.heal()
  }
}

for (let seed = 1; seed <= seeds; seed++) {
  test(`an order that stops again and again delivers each message once, seed ${seed}`, {
    timeout: 60_000,
  }, async () => {
    const random = randomFrom(seed)
    const cluster = await openCluster(nodes, { log: { seed } })
    const { targets } = cluster
    const at = (i: number): Target => targets[i % nodes] as Target
    const clients: FlowClient[] = []
    try {
      const transient = await Promise.all(targets.map((target, i) => listen(target, { clientId: `transient-${i}` })))
      const sessions = await Promise.all(targets.map((target, i) => listen(target, kept(`session-${i}`))))
      clients.push(...[...transient, ...sessions].map(({ client }) => client))
      const between = async (): Promise<void> => {
        for (let i = random.below(4); i > 0; i--) await new Promise((resolve) => setImmediate(resolve))
      }
      let ended = false
      const stalls = stallAgainAndAgain(cluster, random, () => ended)
      const qosOf = (i: number): 0 | 1 | 2 => (i % 3) as 0 | 1 | 2
      const publishing = Array.from({ length: publishers }, (_, i) => publish(at(i), `p${i}`, qosOf(i), between))
      // They come at any time, and every one of them is let in.
      const late: Promise<Listener>[] = []
      for (let i = 0; i < lateComers; i++) {
        await between()
        late.push(listen(at(i), { clientId: `late-${i}` }))
      }
      clients.push(...(await Promise.all(publishing)), ...(await Promise.all(late)).map(({ client }) => client))
      ended = true
      await stalls
      const all = new Set(
        Array.from({ length: publishers * messages }, (_, i) => `p${i % publishers}:${Math.floor(i / publishers)}`),
      )
      const deadline = performance.now() + 20_000
      const listeners = [...transient, ...sessions]
      while (listeners.some(({ got }) => got.length < all.size) && performance.now() < deadline)
        await new Promise((resolve) => setTimeout(resolve, 5))
      for (const { got } of listeners) {
        assert.equal(new Set(got).size, got.length, 'none comes twice')
        assert.deepEqual(new Set(got), all)
      }
      for (const { marked } of sessions) assert.equal(marked.size, 0, 'sessions that are kept get what has its place')
      const [first, ...others] = sessions as [Listener, ...Listener[]]
      for (const { got } of others) assert.deepEqual(got, first.got, 'in one order')
      for (const { got } of await Promise.all(late)) assert.equal(new Set(got).size, got.length, 'nor to who came late')
      assert.ok(
        transient.some(({ marked }) => marked.size > 0),
        'some had no place yet',
      )
    } finally {
      for (const client of clients) client.disconnect()
      await closeAll(cluster.brokers)
    }
  })
}
