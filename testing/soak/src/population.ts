/**
 * The clients of the soak: steady ones that check what they get, sleepers whose sessions are kept, passers-by that come, do
 * something and go in every possible way, strangers whose sessions expire, and readers that stop. All choices come from one
 * seed. `calm()` sends everybody home and ends what was kept, so that what the broker holds then can be compared from one
 * sample to the next.
 */
import assert from 'node:assert/strict'
import { type FlowClient, openFlow } from '../../testkit/src/flow-client.ts'
import { type Random, randomFrom } from '../../testkit/src/random.ts'
import { connect, type RawClient, type Target } from '../../testkit/src/raw-client.ts'
import type { ConnectOptions, Property, PublishOptions, Received, Version } from '../../testkit/src/wire.ts'
import * as wire from '../../testkit/src/wire.ts'

const versions: readonly Version[] = [3, 4, 5]
const areas = 20
const steadyPairs = 6
const sleepers = 60
const retainedTopics = 400
/** Passers-by and readers that stop, at once. */
const guestsMax = 80
/** Seconds for which a stranger's session is kept. */
const strangerExpiry = 1
/** A steady publisher stops at so many messages without acknowledgement: a slow machine must not become a flood. */
const unsettledMax = 500

export interface Counts {
  published: number
  delivered: number
  checked: number
  connects: number
  wills: number
  duplicatesSeen: number
}

interface Steady {
  readonly publisher: FlowClient
  readonly subscriber: FlowClient
  readonly topic: string
  readonly qos: number
  next: number
  unsettled: number
}

interface Sleeper {
  readonly id: string
  readonly version: Version
  client: FlowClient | undefined
  busy: boolean
}

export class Population {
  readonly counts: Counts = { published: 0, delivered: 0, checked: 0, connects: 0, wills: 0, duplicatesSeen: 0 }
  /** The first promise that was broken. */
  fault: string | undefined
  readonly #target: Target
  readonly #random: Random
  readonly #open = new Set<FlowClient>()
  readonly #sleepers: readonly Sleeper[]
  readonly #guests = new Set<FlowClient>()
  readonly #timers = new Set<NodeJS.Timeout>()
  #steady: Steady[] = []
  #number = 0
  #calm = false

  constructor(target: Target, seed: number) {
    this.#target = target
    this.#random = randomFrom(seed)
    this.#sleepers = Array.from({ length: sleepers }, (_, i) => ({
      id: `sleeper${i}`,
      version: versions[i % 3] as Version,
      client: undefined,
      busy: false,
    }))
  }

  /** Connects those that stay until the next calm. */
  async gather(): Promise<void> {
    this.#calm = false
    this.#steady = await Promise.all(Array.from({ length: steadyPairs }, (_, i) => this.#pair(i)))
    for (const filter of ['soak/#', 'soak/+/1', '$share/crowd/soak/#', '$share/crowd/soak/#']) {
      const client = await this.#come(5, { clientId: `listener${this.#number++}` })
      client.send(wire.subscribe(client.version, 1, [[filter, this.#random.below(3)]]))
    }
  }

  /** One thing that happens. */
  act(): void {
    const { below } = this.#random
    const choice = below(100)
    if (choice < 40) this.#publishSteady()
    else if (choice < 75) this.#publishAnything()
    else if (choice < 85) this.#wakeOrSleep(this.#random.pick(this.#sleepers))
    else if (choice < 97) this.#pass()
    else this.#stall()
  }

  /** Sends everybody home, ends all sessions, removes all retained messages, and waits until `$SYS` says so. */
  async calm(): Promise<void> {
    this.#calm = true
    await this.#settle()
    for (const timer of this.#timers) clearTimeout(timer)
    this.#timers.clear()
    await until(() => this.#sleepers.every(({ busy }) => !busy), 'sleepers that connect')
    for (const client of this.#open) {
      // One that does not read never learns that it is closed.
      client.resume()
      client.disconnect()
    }
    this.#steady = []
    for (const sleeper of this.#sleepers) sleeper.client = undefined
    await until(() => this.#open.size === 0, 'clients to be gone')
    for (const { id, version } of this.#sleepers) {
      const client = await connect(this.#target, version, { clientId: id, cleanStart: true })
      await client.disconnect()
    }
    await untilEmpty(this.#target)
  }

  /** Every steady message has arrived. */
  async #settle(): Promise<void> {
    await until(
      () => this.#steady.every(({ unsettled }) => unsettled === 0) || this.fault !== undefined,
      'steady messages',
    )
  }

  async #pair(i: number): Promise<Steady> {
    const topic = `steady/${i}`
    const qos = 1 + (i % 2)
    const pair: { -readonly [K in keyof Steady]: Steady[K] } = { topic, qos, next: 0, unsettled: 0 } as Steady
    let expected = 0
    pair.subscriber = await this.#come(versions[(i + 1) % 3] as Version, { clientId: `steady${i}s` }, (packet) => {
      if (packet.type !== 'PUBLISH') return
      const number = Number(packet.payload.subarray(0, 10).toString())
      if (number !== expected) this.fault ??= `${topic}: message ${number} came in place of ${expected}`
      expected = number + 1
      pair.unsettled--
      this.counts.checked++
    })
    pair.subscriber.send(wire.subscribe(pair.subscriber.version, 1, [[topic, qos]]))
    pair.publisher = await this.#come(versions[i % 3] as Version, { clientId: `steady${i}p` })
    return pair
  }

  #publishSteady(): void {
    const pair = this.#random.pick(this.#steady)
    if (pair.unsettled >= unsettledMax) return
    if (pair.publisher.closed || pair.subscriber.closed) {
      this.fault ??= `${pair.topic}: a steady client was disconnected`
      return
    }
    const number = pair.next++
    pair.unsettled++
    const payload = `${number}`.padStart(10, '0') + 'x'.repeat(this.#random.below(200))
    pair.publisher.send(
      wire.publish(pair.publisher.version, pair.topic, payload, { qos: pair.qos, id: (number % 65_535) + 1 }),
    )
    this.counts.published++
  }

  #publishAnything(): void {
    const { publisher } = this.#random.pick(this.#steady)
    const { below } = this.#random
    const retain = below(10) === 0
    const topic = retain ? `soak/kept/${below(retainedTopics)}` : `soak/${below(areas)}/${below(50)}`
    const empty = retain && below(3) === 0
    const payload = empty ? '' : Buffer.alloc(below(500) === 0 ? 65_536 : below(1_000), 0x61)
    publisher.send(
      wire.publish(publisher.version, topic, payload, { retain, ...this.#publishProperties(publisher.version) }),
    )
    this.counts.published++
  }

  #publishProperties(version: Version): PublishOptions {
    if (version !== 5 || this.#random.below(2) === 0) return {}
    const list: Property[] = [['messageExpiryInterval', 1 + this.#random.below(5)]]
    for (let i = this.#random.below(5); i > 0; i--) list.push(['userProperty', [`key${i}`, 'value']])
    return { properties: list }
  }

  #wakeOrSleep(sleeper: Sleeper): void {
    if (sleeper.busy) return
    const { client } = sleeper
    if (client !== undefined) {
      sleeper.client = undefined
      this.#leave(client)
      return
    }
    sleeper.busy = true
    const { id, version } = sleeper
    const properties: Property[] = [['sessionExpiryInterval', 3_600]]
    this.#come(version, {
      clientId: id,
      cleanStart: false,
      ...(version === 5 ? { properties } : {}),
      ...this.#will(version),
    })
      .then((come) => {
        sleeper.client = come
        const area = this.#random.below(areas)
        come.send(wire.subscribe(version, 7, [[`soak/${area}/+`, 1 + this.#random.below(2)]]))
        if (this.#random.below(3) === 0)
          come.send(wire.unsubscribe(version, 8, [`soak/${this.#random.below(areas)}/+`]))
        if (this.#random.below(4) === 0) come.send(wire.subscribe(version, 9, [['$share/sleepers/soak/+/2', 2]]))
        if (this.#random.below(4) === 0) {
          come.send(wire.publish(version, `soak/${area}/9`, 'from a sleeper', { qos: 2, id: 5 }))
        }
      })
      .catch(() => {})
      .finally(() => {
        sleeper.busy = false
      })
  }

  /** Comes, does a thing or two, and goes. */
  #pass(): void {
    if (this.#guests.size >= guestsMax) return
    const { below } = this.#random
    const version = this.#random.pick(versions)
    // One in ten takes over another's connection; one in three leaves a session behind that expires.
    const id = below(10) === 0 ? 'contested' : `guest${this.#number++}`
    const stranger = version === 5 && below(3) === 0
    const properties: Property[] = stranger ? [['sessionExpiryInterval', strangerExpiry]] : []
    this.#come(version, { clientId: id, ...(version === 5 ? { properties } : {}), ...this.#will(version) })
      .then((guest) => {
        this.#guests.add(guest)
        const filters = Array.from({ length: 1 + below(4) }, () => [this.#filter(), below(3)] as const)
        guest.send(wire.subscribe(version, 1, filters))
        for (let i = below(4); i > 0; i--) {
          const qos = below(3)
          guest.send(wire.publish(version, `soak/${below(areas)}/${i}`, 'hello', qos === 0 ? {} : { qos, id: 100 + i }))
          this.counts.published++
        }
        this.#later(below(500), () => this.#leave(guest))
      })
      .catch(() => {})
  }

  /** Subscribes to much and stops reading for a while. */
  #stall(): void {
    if (this.#guests.size >= guestsMax) return
    const version = this.#random.pick(versions)
    this.#come(version, { clientId: `staller${this.#number++}` })
      .then((guest) => {
        this.#guests.add(guest)
        guest.send(wire.subscribe(version, 1, [['soak/#', this.#random.below(3)]]))
        this.#later(50, () => guest.pause())
        this.#later(500 + this.#random.below(2_000), () => guest.resume())
        this.#later(3_000, () => this.#leave(guest))
      })
      .catch(() => {})
  }

  #filter(): string {
    const { below, pick } = this.#random
    return pick([
      `soak/${below(areas)}/+`,
      `soak/+/${below(50)}`,
      `soak/${below(areas)}/#`,
      '+/+/3',
      `$share/group${below(5)}/soak/${below(areas)}/#`,
      `soak/kept/${below(retainedTopics)}`,
      'gone/#',
    ])
  }

  #will(version: Version): Pick<ConnectOptions, 'will'> {
    const { below } = this.#random
    if (below(2) === 0) return {}
    this.counts.wills++
    const properties: Property[] = below(2) === 0 ? [['willDelayInterval', 1]] : []
    const will = { topic: `gone/${below(50)}`, payload: 'gone', qos: below(3), retain: below(4) === 0 }
    return { will: version === 5 ? { ...will, properties } : will }
  }

  #leave(client: FlowClient): void {
    const how = this.#random.below(4)
    if (how === 0) client.drop()
    else if (how === 1) client.reset()
    // 0x04: with the will; before 5.0 a DISCONNECT with a reason would be malformed.
    else if (how === 2 && client.version === 5) client.disconnect(4)
    else client.disconnect()
  }

  #later(ms: number, body: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      body()
    }, ms)
    this.#timers.add(timer)
  }

  async #come(
    version: Version,
    options: ConnectOptions,
    onPacket: (packet: Received) => void = () => {},
  ): Promise<FlowClient> {
    const { client } = await openFlow(this.#target, {
      version,
      connect: { keepAlive: 60, ...options },
      onPacket: (packet) => {
        if (packet.type === 'PUBLISH') {
          this.counts.delivered++
          if (packet.dup) this.counts.duplicatesSeen++
        }
        onPacket(packet)
      },
      onClose: (gone) => {
        this.#open.delete(gone)
        this.#guests.delete(gone)
        for (const sleeper of this.#sleepers) if (sleeper.client === gone) sleeper.client = undefined
      },
    })
    this.counts.connects++
    if (!client.closed) this.#open.add(client)
    if (this.#calm) client.disconnect()
    return client
  }
}

/** Removes retained messages until `$SYS` counts none, and nobody but the one who asks. */
async function untilEmpty(target: Target): Promise<void> {
  const client = await connect(target, 5, { clientId: 'observer' })
  const wanted = new Map([
    ['$SYS/broker/clients/total', '1'],
    ['$SYS/broker/retained messages/count', '0'],
    ['$SYS/broker/store/messages/count', '0'],
  ])
  const seen = new Map<string, string>()
  const deadline = performance.now() + 60_000
  do {
    assert.ok(performance.now() < deadline, `Not forgotten: ${JSON.stringify([...seen])}`)
    // Wills that were delayed may still come, retained ones among them.
    for (const { topic } of await retainedOf(client, '#')) client.send(wire.publish(5, topic, '', { retain: true }))
    await new Promise((resolve) => setTimeout(resolve, 250))
    for (const { topic, payload } of await retainedOf(client, '$SYS/broker/#')) seen.set(topic, payload.toString())
  } while ([...wanted].some(([topic, value]) => seen.get(topic) !== value))
  await client.disconnect()
}

async function retainedOf(client: RawClient, filter: string): Promise<readonly Received[]> {
  const found: Received[] = []
  const take = (received: Received): void => {
    if (received.type === 'PUBLISH' && received.retain) found.push(received)
  }
  for (const packet of [
    wire.subscribe(5, client.newId(), [[filter, 0]]),
    wire.unsubscribe(5, client.newId(), [filter]),
  ]) {
    client.send(packet, wire.pingreq)
    for (;;) {
      const received = await client.next()
      assert.ok(received !== undefined, 'The observer was disconnected')
      if (received.type === 'PINGRESP') break
      take(received)
    }
  }
  return found
}

async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 60_000
  while (!condition()) {
    assert.ok(performance.now() < deadline, `Waited for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
