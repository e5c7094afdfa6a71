/**
 * The single-node recipe of the FoxMQ document (section 7), line by line with our name in place of theirs, and its samples
 * (section 9) as they stand against the node it starts. The texts lie in `fixtures/`.
 *
 * The lines have no room for ports, so these come through the environment; the samples have the standard ports in them, and
 * are run by `run-samples.py` and `run-sample.mjs`, which replace them when a connection is made.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import mqtt, { type IPublishPacket, type MqttClient } from 'mqtt'
import { missing, missingPaho, python, Running } from './programs.ts'

const here = fileURLToPath(new URL('.', import.meta.url))
const root = join(here, '../..')
const fixture = (name: string): string => join(here, 'fixtures', name)
const around = (name: string): string => join(here, 'around-samples', name)
const login = { username: 'myagent', password: 'mypassword' }

const recipe = readFileSync(fixture('foxmq-7-single-node.sh'), 'utf8')
  .trimEnd()
  .split('\n')
  .map((line) => line.replace('./foxmq', 'concordmq').replaceAll('foxmq.d', 'concordmq.d'))

const env = {
  ...process.env,
  PATH: [dirname(process.execPath), join(root, 'node_modules/.bin'), process.env['PATH'] ?? ''].join(delimiter),
  CONCORDMQ_MQTT_ADDR: '127.0.0.1:0',
  CONCORDMQ_MQTTS_ENABLED: 'true',
  CONCORDMQ_MQTTS_ADDR: '127.0.0.1:0',
  CONCORDMQ_WEBSOCKETS_ENABLED: 'true',
  CONCORDMQ_WEBSOCKETS_ADDR: '127.0.0.1:0',
  CONCORDMQ_HTTP_ADDR: 'off',
  CONCORDMQ_LOG_FORMAT: 'json',
}

describe('the recipe and the samples of the FoxMQ document', () => {
  const folder = mkdtempSync(join(tmpdir(), 'concordmq-recipe-'))
  const shell = (line: string, input?: string): Running =>
    new Running('bash', ['-c', `exec ${line}`], { cwd: folder, env, ...(input === undefined ? {} : { input }) })
  let node: Running
  /** By the port that the document has. */
  let ports: Readonly<Record<'1883' | '8883' | '8080', number>>

  before(async () => {
    const [addressBook = '', userAdd = '', run = ''] = recipe
    assert.equal(addressBook, 'concordmq address-book from-range 127.0.0.1 19793 19793')
    await shell(addressBook).succeeded()
    assert.equal(userAdd, 'concordmq user add')
    await shell(userAdd, 'myagent\nmypassword\n').succeeded()
    assert.equal(run, 'concordmq run --secret-key-file=concordmq.d/key_0.pem')
    assert.equal(recipe.length, 3)
    node = shell(run)
    const log = await node.until(/node is ready/u)
    ports = { '1883': portOf(log, 'tcp'), '8883': portOf(log, 'tls'), '8080': portOf(log, 'ws') }
    // Sample 9.6 names their directory.
    symlinkSync('concordmq.d', join(folder, 'foxmq.d'))
  })
  after(async () => {
    const { code, output } = await node.kill('SIGTERM')
    rmSync(folder, { recursive: true })
    assert.equal(code, 0, output)
    assert.doesNotMatch(output, /"level":"(ERROR|WARN)"/u)
  })

  const observe = async (filter: string): Promise<{ client: MqttClient; next: () => Promise<IPublishPacket> }> => {
    const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${ports['1883']}`, { ...login, protocolVersion: 5 })
    const arrived: IPublishPacket[] = []
    let wake = (): void => {}
    client.on('message', (_topic, _payload, packet) => {
      arrived.push(packet)
      wake()
    })
    await client.subscribeAsync(filter, { qos: 2, rap: true })
    return {
      client,
      next: async () => {
        if (arrived.length === 0) {
          await new Promise<void>((resolve, reject) => {
            const timer = setTimeout(() => reject(new Error(`Nothing came on ${filter}`)), 20_000)
            wake = () => {
              clearTimeout(timer)
              resolve()
            }
          })
        }
        return arrived.shift() as IPublishPacket
      },
    }
  }
  const samples = (...files: readonly string[]): Running => {
    const pairs = Object.entries(ports).map(([old, port]) => `${old}=${port}`)
    return new Running(python, ['-u', join(here, 'run-samples.py'), pairs.join(','), ...files], { cwd: folder, env })
  }

  test('the node logs lines with the keys of the document', () => {
    for (const line of node.output.trimEnd().split('\n')) {
      const entry = JSON.parse(line) as Record<string, unknown>
      assert.deepEqual(Object.keys(entry).sort(), ['fields', 'level', 'target', 'timestamp'], line)
    }
    assert.match(node.output, /"fields":\{"message":"listening for connections",.*"listen_addr":"127\.0\.0\.1:\d+"/u)
  })

  test('only its owner can read the key', () => {
    assert.equal(statSync(join(folder, 'concordmq.d/key_0.pem')).mode & 0o777, 0o600)
  })

  test('the user of the recipe is let in, others are not', async () => {
    const url = `mqtt://127.0.0.1:${ports['1883']}`
    await (await mqtt.connectAsync(url, login)).endAsync()
    const refused = { reconnectPeriod: 0 }
    await assert.rejects(mqtt.connectAsync(url, { ...login, password: 'wrong', ...refused }), /not authorized/iu)
    await assert.rejects(mqtt.connectAsync(url, refused), /not authorized/iu)
  })

  test('mosquitto_pub reaches it over TLS with the certificate it made', {
    skip: missing('mosquitto_pub'),
  }, async () => {
    const { client, next } = await observe('from/mosquitto')
    const line =
      `mosquitto_pub -h 127.0.0.1 -p ${ports['8883']} --cafile foxmq.d/key_0.crt ` +
      '-u myagent -P mypassword -t from/mosquitto -m hello -q 1'
    await shell(line).succeeded()
    assert.equal((await next()).payload.toString(), 'hello')
    await client.endAsync()
  })

  describe('Python samples', { skip: missingPaho() }, () => {
    test('9.1 connects, subscribes and prints what comes', async () => {
      const { client } = await observe('unused')
      // It shows that the sample has subscribed.
      await client.publishAsync('swarm/state/before', 'kept', { qos: 1, retain: true })
      await using sample = samples(fixture('foxmq-9.1-connect-and-subscribe.py'))
      await sample.until(/^\[swarm\/state\/before\] kept$/mu)
      await client.publishAsync('swarm/hello/a', 'live', { qos: 2 })
      await sample.until(/^\[swarm\/hello\/a\] live$/mu)
      await client.publishAsync('swarm/state/before', '', { qos: 1, retain: true })
      await client.endAsync()
    })

    test('9.2, 9.4 and 9.5 publish state, keep it, clear it, and subscribe with wildcards', async () => {
      const { client, next } = await observe('swarm/#')
      const output = await samples(
        around('before-9.2.py'),
        fixture('foxmq-9.2-publish-json-state.py'),
        fixture('foxmq-9.4-retained-messages.py'),
        fixture('foxmq-9.5-wildcard-subscriptions.py'),
        around('after-9.5.py'),
      ).succeeded()
      const state = await next()
      assert.deepEqual(
        [state.topic, state.payload.toString(), state.qos, state.retain],
        ['swarm/state/agent_a', '{"role": "scout"}', 1, true],
      )
      const cleared = await next()
      assert.deepEqual(
        [cleared.topic, cleared.payload.length, cleared.qos, cleared.retain],
        ['swarm/state/agent_a', 0, 1, true],
      )
      const published = await next()
      assert.equal(published.topic, 'swarm/state/agent_b')
      const { agent_id, role, status } = JSON.parse(published.payload.toString()) as Record<string, unknown>
      assert.deepEqual([agent_id, role, status], ['agent_b', 'scout', 'ready'])
      assert.match(output, /^\[swarm\/agent_a\/status\] up$/mu)
      // Two subscriptions match; a message comes once.
      assert.equal(output.split('[swarm/agent_a/status]').length, 2)
      await client.endAsync()
    })

    test('9.6 connects over TLS with foxmq.d/key_0.crt', async () => {
      const { client, next } = await observe('swarm/private')
      await samples(around('before-9.6.py'), fixture('foxmq-9.6-tls-connection.py'), around('after-9.6.py')).succeeded()
      assert.equal((await next()).payload.toString(), 'over TLS')
      await client.endAsync()
    })
  })

  test('9.7 connects over WebSocket, publishes and prints what comes', async () => {
    const { client, next } = await observe('swarm/hello')
    const args = [join(here, 'run-sample.mjs'), `8080=${ports['8080']}`]
    await using sample = new Running(process.execPath, [...args, fixture('foxmq-9.7-websocket-connection.js')], { env })
    assert.equal((await next()).payload.toString(), '{"agent":"js_agent"}')
    await client.publishAsync('swarm/task/1', 'for all', { qos: 1 })
    await sample.until(/^swarm\/task\/1 for all$/mu)
    await client.endAsync()
  })
})

/** The port that a log line names for a transport. */
function portOf(log: string, transport: string): number {
  for (const line of log.split('\n')) {
    if (!line.includes('"listener.open"')) continue
    const { fields } = JSON.parse(line) as { fields: { transport: string; listen_addr: string } }
    if (fields.transport === transport) return Number(fields.listen_addr.split(':').at(-1))
  }
  throw new Error(`No listener for ${transport}:\n${log}`)
}
