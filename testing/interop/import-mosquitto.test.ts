/**
 * A Mosquitto and the ConcordMQ made of its configuration by `config import-mosquitto`, side by side: the same clients are let
 * in, and the same topics may be written and read, over random ACL files. A failure prints the seed that repeats it.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { randomFrom } from '../testkit/src/random.ts'
import { connect, opened, type RawClient, type Target } from '../testkit/src/raw-client.ts'
import * as wire from '../testkit/src/wire.ts'
import { missing, Running } from './programs.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const bin = join(root, 'packages/concordmq/bin/concordmq.js')
const skip = missing('mosquitto', 'mosquitto_passwd')
const seed = Number(process.env['CONCORDMQ_TEST_SEED'] ?? 20_261_128)

/** With their passwords; `root` may do everything, `carol` stands in no ACL. */
const passwords: Readonly<Record<string, string>> = { root: 'r', alice: 'secret', bob: 'geheim', carol: 'tajné' }

/** Every topic of up to three levels of these. */
const topics = ['a', 'b', 'c'].flatMap((one) => [
  one,
  ...['a', 'b', 'c'].flatMap((two) => [`${one}/${two}`, `${one}/${two}/alice`, `${one}/${two}/c-bob`]),
])

interface Pair {
  readonly mosquitto: Target
  readonly concordmq: Target
}

describe('a Mosquitto configuration that was imported', { skip }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'concordmq-import-'))
  after(() => rmSync(folder, { recursive: true, force: true }))
  const at = (name: string): string => join(folder, name)
  const running: Running[] = []

  before(async () => {
    for (const [i, [name, password]] of Object.entries(passwords).entries()) {
      // Both forms that this Mosquitto writes.
      const form = ['-H', i % 2 === 0 ? 'sha512-pbkdf2' : 'sha512']
      const create = i === 0 ? ['-c'] : []
      await new Running('mosquitto_passwd', [...form, ...create, '-b', at('passwords'), name, password]).succeeded()
    }
  })

  async function start(acl: string): Promise<Pair> {
    const port = await freePort()
    writeFileSync(at('acl'), acl)
    writeFileSync(
      at('mosquitto.conf'),
      [
        `listener ${port} 127.0.0.1`,
        'allow_anonymous true',
        `password_file ${at('passwords')}`,
        `acl_file ${at('acl')}`,
        'log_dest stdout',
        ...(process.getuid?.() === 0 ? ['user root'] : []),
      ].join('\n'),
    )
    const imported = [bin, 'config', 'import-mosquitto', at('mosquitto.conf'), '-o', at('out'), '--force']
    const report = await new Running(process.execPath, imported, { cwd: folder }).succeeded()
    assert.match(report, /users\.toml, 4 users with their passwords/)
    const env = { ...process.env, PATH: `${dirname(process.execPath)}:${process.env['PATH'] ?? ''}` }
    const mosquitto = new Running('mosquitto', ['-c', at('mosquitto.conf')], { lineBuffered: true })
    const run = [bin, 'run', '-L', '127.0.0.1:0', '--http-addr', 'off', '--control-socket', 'off', at('out')]
    const concordmq = new Running(process.execPath, run, { env })
    running.push(mosquitto, concordmq)
    await mosquitto.until(/mosquitto version .* running|Opening ipv4 listen socket/u)
    const log = await concordmq.until(/node is ready/u)
    const host = '127.0.0.1'
    await untilOpen(port)
    return {
      mosquitto: { host, port },
      concordmq: { host, port: Number(/listen_addr=127\.0\.0\.1:(\d+)/u.exec(log)?.[1]) },
    }
  }

  async function stop(): Promise<void> {
    for (const program of running.splice(0)) await program.kill('SIGTERM')
  }
  after(stop)

  test('lets in and keeps out the same clients', async () => {
    const pair = await start('topic readwrite #\n')
    for (const [username, password] of [
      ...Object.entries(passwords),
      ...Object.keys(passwords).map((name) => [name, 'wrong'] as const),
      ['nobody', 'secret'],
      ['alice', ''],
      ['', ''],
      [undefined, undefined],
    ] as const) {
      for (const version of [4, 5] as const) {
        const login = { clientId: 'probe', ...(username !== undefined && { username, password: password ?? '' }) }
        const codes: number[] = []
        for (const target of [pair.mosquitto, pair.concordmq]) {
          const client = await opened(target, version, wire.connect(version, login))
          const connack = await client.expectPacket('CONNACK')
          codes.push(connack.reason === 0 ? 0 : 1)
          await client.drop()
        }
        assert.equal(codes[1], codes[0], `${username}:${password} over MQTT ${version}`)
      }
    }
    await stop()
  })

  for (let round = 0; round < 4; round++) {
    test(`decides about topics as Mosquitto does (random ACL ${round})`, async () => {
      const acl = randomAcl(seed + round)
      const pair = await start(acl)
      const context = `CONCORDMQ_TEST_SEED=${seed}, ACL ${round}:\n${acl}\n${readFileSync(join(at('out'), 'permissions.toml'), 'utf8')}`
      const [theirs, ours] = [await decisions(pair.mosquitto), await decisions(pair.concordmq)]
      assert.ok(theirs.some((line) => line.endsWith('yes')) && theirs.some((line) => line.endsWith('no')))
      assert.deepEqual(ours, theirs, context)
      await stop()
    })
  }
})

/** One line for each user, action and topic. */
async function decisions(target: Target): Promise<string[]> {
  const publisher = await connect(target, 5, { clientId: 'root', username: 'root', password: 'r' })
  const lines: string[] = []
  for (const username of [undefined, 'alice', 'bob', 'carol']) {
    const clientId = `c-${username ?? 'anonymous'}`
    const login = username === undefined ? {} : { username, password: passwords[username] ?? '' }
    const client = await connect(target, 5, { clientId, ...login })
    const id = client.newId()
    client.send(wire.subscribe(5, id, [['#', 0]]))
    // Mosquitto grants every subscription and sends nothing; a refusal that says so reads nothing either.
    await client.expectPacket('SUBACK', { id })
    for (const topic of topics) await publisher.publish(topic, 'x', { qos: 1 })
    const read = new Set(await received(client))
    for (const topic of topics) lines.push(`${username} read ${topic}: ${read.has(topic) ? 'yes' : 'no'}`)
    await client.unsubscribe('#')
    for (const topic of topics) {
      const packet = client.newId()
      client.send(wire.publish(5, topic, 'x', { qos: 1, id: packet }))
      const { reason } = await client.expectPacket('PUBACK', { id: packet })
      lines.push(`${username} write ${topic}: ${reason < 0x80 ? 'yes' : 'no'}`)
    }
    await client.drop()
  }
  await publisher.drop()
  return lines
}

/** Topics of all that has arrived before the answer to a ping. */
async function received(client: RawClient): Promise<string[]> {
  client.send(wire.pingreq)
  const found: string[] = []
  for (;;) {
    const packet = await client.next()
    assert.ok(packet !== undefined)
    if (packet.type === 'PINGRESP') return found
    found.push(packet.topic)
  }
}

function randomAcl(from: number): string {
  const { pick, below } = randomFrom(from)
  const filter = (names: readonly string[]): string => {
    const levels = Array.from({ length: 1 + below(3) }, () => pick(['a', 'b', 'c', '+', ...names]))
    return levels.join('/') + pick(['', '', '/#'])
  }
  const line = (keyword: string, names: readonly string[]): string =>
    `${keyword} ${pick(['read', 'write', 'readwrite', 'read', 'write', 'deny'])} ${filter(names)}`
  const lines = (count: number, keyword: string, names: readonly string[] = []): string[] =>
    Array.from({ length: count }, () => line(keyword, names))
  return [
    ...lines(2, 'topic'),
    'user root',
    'topic readwrite #',
    'user alice',
    ...lines(4, 'topic'),
    'user bob',
    ...lines(5, 'topic'),
    ...lines(2, 'pattern', ['%u', '%c']),
    '',
  ].join('\n')
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { readonly port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}

async function untilOpen(port: number): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      const client = await connect({ host: '127.0.0.1', port }, 4, { clientId: 'first' })
      await client.drop()
      return
    } catch (error) {
      if (tries === 100) throw error
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
}
