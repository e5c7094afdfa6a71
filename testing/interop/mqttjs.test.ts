/** MQTT.js over TCP, TLS, WebSocket and WebSocket over TLS, in its versions 3.1, 3.1.1 and 5.0. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import mqtt, { type IClientOptions, type IConnackPacket, type IPublishPacket, type MqttClient } from 'mqtt'
import { useInteropBroker } from './broker.ts'

const made = useInteropBroker()

const versions = [
  { protocolId: 'MQIsdp', protocolVersion: 3 },
  { protocolId: 'MQTT', protocolVersion: 4 },
  { protocolId: 'MQTT', protocolVersion: 5 },
] as const
const transports = {
  tcp: () => `mqtt://127.0.0.1:${made.tcp}`,
  tls: () => `mqtts://127.0.0.1:${made.tls}`,
  ws: () => `ws://127.0.0.1:${made.ws}/mqtt`,
  wss: () => `wss://127.0.0.1:${made.wss}/`,
} as const
type Transport = keyof typeof transports

/** A connected client that ends with its test. */
class TestClient {
  readonly mqtt: MqttClient
  readonly #arrived: IPublishPacket[] = []
  #wake: (() => void) | undefined

  constructor(client: MqttClient) {
    this.mqtt = client
    client.on('message', (_topic, _payload, packet) => {
      this.#arrived.push(packet)
      this.#wake?.()
    })
    // Without a listener a lost connection would end the process; what a test waits for fails by its own deadline.
    client.on('error', () => {})
  }

  static async connect(transport: Transport, options: IClientOptions): Promise<TestClient> {
    const client = await mqtt.connectAsync(transports[transport](), {
      ca: made.ca,
      reconnectPeriod: 0,
      connectTimeout: 10_000,
      ...options,
    })
    return new TestClient(client)
  }

  /** The next `count` messages. */
  async messages(count: number): Promise<IPublishPacket[]> {
    while (this.#arrived.length < count) {
      await new Promise<void>((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`${this.#arrived.length} of ${count} messages came`)), 10_000)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
    return this.#arrived.splice(0, count)
  }

  /** Ends the connection without DISCONNECT. */
  async cut(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.mqtt.once('close', () => resolve()))
    this.mqtt.stream.destroy()
    await closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.mqtt.endAsync(true)
  }
}

let count = 0
/** At most 23 characters, letters and digits, as 3.1 asks of client identifiers. */
function unique(name: string): string {
  return `${name}${process.pid.toString(36)}n${count++}`
}

function texts(packets: readonly IPublishPacket[]): string[] {
  return packets.map(({ payload, qos, retain }) => `${payload.toString()}|${qos}${retain ? '|retained' : ''}`)
}

for (const transport of Object.keys(transports) as Transport[]) {
  for (const version of versions) {
    const isV5 = version.protocolVersion === 5
    const client = (options: IClientOptions = {}): Promise<TestClient> =>
      TestClient.connect(transport, { ...version, clientId: unique('c'), ...options })

    describe(`MQTT.js, ${transport}, version ${version.protocolVersion}`, { concurrency: 4 }, () => {
      test('every QoS in both directions, in order', async () => {
        await using subscriber = await client()
        await using publisher = await client()
        const topic = unique('t')
        await subscriber.mqtt.subscribeAsync({ [`${topic}/0`]: { qos: 0 }, [`${topic}/+`]: { qos: 2 } })
        const sent: string[] = []
        for (let i = 0; i < 20; i++) {
          sent.push(`${i}|2`)
          void publisher.mqtt.publishAsync(`${topic}/2`, `${i}`, { qos: 2 })
        }
        assert.deepEqual(texts(await subscriber.messages(20)), sent)
        await publisher.mqtt.publishAsync(`${topic}/1`, 'once or more', { qos: 1 })
        await publisher.mqtt.publishAsync(`${topic}/1`, 'perhaps', { qos: 0 })
        assert.deepEqual(texts(await subscriber.messages(2)), ['once or more|1', 'perhaps|0'])
      })

      test('retained messages are kept, and cleared by an empty one', async () => {
        await using publisher = await client()
        const topic = unique('r')
        await publisher.mqtt.publishAsync(topic, 'state', { qos: 1, retain: true })
        await using first = await client()
        await first.mqtt.subscribeAsync(topic, { qos: 1 })
        assert.deepEqual(texts(await first.messages(1)), ['state|1|retained'])
        await publisher.mqtt.publishAsync(topic, '', { qos: 1, retain: true })
        await using second = await client()
        await second.mqtt.subscribeAsync(topic, { qos: 1 })
        await publisher.mqtt.publishAsync(topic, 'live', { qos: 1 })
        assert.deepEqual(texts(await second.messages(1)), ['live|1'])
      })

      test('the will of a connection that was cut is published, of one that ended it is not', async () => {
        const topic = unique('w')
        await using watcher = await client()
        await watcher.mqtt.subscribeAsync(`${topic}/#`, { qos: 2 })
        const will = (name: string): IClientOptions => ({
          will: { topic: `${topic}/${name}`, payload: Buffer.from(name), qos: 2, retain: false },
        })
        const polite = await client(will('polite'))
        await polite.mqtt.endAsync()
        await using lost = await client(will('lost'))
        await lost.cut()
        assert.deepEqual(texts(await watcher.messages(1)), ['lost|2'])
      })

      test('a kept session is resumed by the reconnect, with what came meanwhile', async () => {
        const topic = unique('k')
        await using subscriber = await client({
          clean: false,
          resubscribe: false,
          ...(isV5 ? { properties: { sessionExpiryInterval: 60 } } : {}),
        })
        await subscriber.mqtt.subscribeAsync(topic, { qos: 2 })
        await subscriber.cut()
        await using publisher = await client()
        await publisher.mqtt.publishAsync(topic, 'one', { qos: 1 })
        await publisher.mqtt.publishAsync(topic, 'two', { qos: 2 })
        const connected = new Promise<IConnackPacket>((resolve) => subscriber.mqtt.once('connect', resolve))
        subscriber.mqtt.reconnect()
        // 3.1 has no session present flag.
        assert.equal((await connected).sessionPresent, version.protocolVersion > 3)
        assert.deepEqual(texts(await subscriber.messages(2)), ['one|1', 'two|2'])
      })

      test('messages of 1 MiB arrive as they were, at every QoS', async () => {
        await using one = await client()
        const topic = unique('b')
        await one.mqtt.subscribeAsync(topic, { qos: 2 })
        for (const qos of [0, 1, 2] as const) {
          const content = randomBytes(1 << 20)
          await one.mqtt.publishAsync(topic, content, { qos })
          const [packet] = await one.messages(1)
          assert.equal(packet?.qos, qos)
          assert.ok(content.equals(Buffer.from(packet?.payload ?? '')))
        }
      })

      test('unsubscribed is unsubscribed', async () => {
        await using one = await client()
        const topic = unique('u')
        await one.mqtt.subscribeAsync([`${topic}/a`, `${topic}/b`], { qos: 1 })
        await one.mqtt.unsubscribeAsync(`${topic}/a`)
        await one.mqtt.publishAsync(`${topic}/a`, 'unheard', { qos: 1 })
        await one.mqtt.publishAsync(`${topic}/b`, 'heard', { qos: 1 })
        assert.deepEqual(texts(await one.messages(1)), ['heard|1'])
      })

      if (isV5) {
        test('topic aliases, in both directions', async () => {
          await using publisher = await client({ autoAssignTopicAlias: true })
          await using subscriber = await client({ properties: { topicAliasMaximum: 3 } })
          const topic = unique('a')
          await subscriber.mqtt.subscribeAsync(`${topic}/#`, { qos: 1 })
          const topics = Array.from({ length: 12 }, (_, i) => `${topic}/${i % 5}`)
          const onTheWire: string[] = []
          publisher.mqtt.on('packetsend', (packet) => {
            if (packet.cmd === 'publish') onTheWire.push(packet.topic)
          })
          for (const each of topics) await publisher.mqtt.publishAsync(each, each, { qos: 1 })
          assert.ok(onTheWire.includes(''), 'no alias stood for a topic')
          const arrived = await subscriber.messages(topics.length)
          assert.deepEqual(
            arrived.map(({ payload }) => payload.toString()),
            topics,
          )
          assert.deepEqual(
            arrived.map((packet) => packet.topic),
            topics,
          )
        })

        test('subscription identifiers of every matching subscription', async () => {
          await using one = await client()
          const topic = unique('i')
          await one.mqtt.subscribeAsync(`${topic}/#`, { qos: 1, properties: { subscriptionIdentifier: 7 } })
          await one.mqtt.subscribeAsync(`${topic}/+`, { qos: 1, properties: { subscriptionIdentifier: 268_435_455 } })
          await one.mqtt.publishAsync(`${topic}/x`, 'both', { qos: 1 })
          const [packet] = await one.messages(1)
          assert.deepEqual(new Set([packet?.properties?.subscriptionIdentifier].flat()), new Set([7, 268_435_455]))
        })

        test('properties, no local, retain as published, retain handling', async () => {
          await using one = await client()
          await using two = await client()
          const topic = unique('p')
          const properties = {
            payloadFormatIndicator: true,
            contentType: 'text/plain',
            responseTopic: `${topic}/answer`,
            correlationData: Buffer.from([0, 1, 255]),
            userProperties: { colour: ['red', 'blue'] },
          }
          await two.mqtt.publishAsync(topic, 'first', { qos: 1, retain: true, properties })
          await one.mqtt.subscribeAsync(topic, { qos: 1, nl: true })
          await two.mqtt.subscribeAsync(topic, { qos: 1, rap: true, rh: 2 })
          await one.mqtt.publishAsync(topic, 'second', { qos: 1, retain: true, properties })
          await two.mqtt.publishAsync(topic, 'third', { qos: 1 })
          assert.deepEqual(texts(await one.messages(2)), ['first|1|retained', 'third|1'])
          const [second] = await two.messages(1)
          assert.deepEqual(texts(second === undefined ? [] : [second]), ['second|1|retained'])
          const { userProperties, ...rest } = second?.properties ?? {}
          const { userProperties: sent, ...sentRest } = properties
          assert.deepEqual({ ...rest }, sentRest)
          assert.deepEqual({ ...userProperties }, sent)
        })

        test('receive maximum of one: every message still arrives, one at a time', async () => {
          await using subscriber = await client({ properties: { receiveMaximum: 1 } })
          await using publisher = await client()
          const topic = unique('f')
          await subscriber.mqtt.subscribeAsync(topic, { qos: 2 })
          const sent = Array.from({ length: 30 }, (_, i) => `${i}`)
          await Promise.all(sent.map((payload) => publisher.mqtt.publishAsync(topic, payload, { qos: 2 })))
          assert.deepEqual(
            (await subscriber.messages(30)).map(({ payload }) => payload.toString()),
            sent,
          )
        })
      }

      if (version.protocolVersion > 3) {
        test('a shared subscription gives each message to one member', async () => {
          await using one = await client()
          await using two = await client()
          await using publisher = await client()
          const topic = unique('s')
          for (const member of [one, two]) await member.mqtt.subscribeAsync(`$share/g/${topic}`, { qos: 1 })
          for (let i = 0; i < 10; i++) await publisher.mqtt.publishAsync(topic, `${i}`, { qos: 1 })
          const got = [...(await one.messages(5)), ...(await two.messages(5))].map(({ payload }) => Number(payload))
          assert.deepEqual(
            got.sort((a, b) => a - b),
            Array.from({ length: 10 }, (_, i) => i),
          )
        })
      }
    })
  }
}
