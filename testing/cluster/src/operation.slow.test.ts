/**
 * A cluster of real processes as its operators and its clients see it: what can be seen on its links, one owner of a session, figures
 * that agree, and a disk that was lost.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Status } from '../../../packages/consensus/src/model/status.ts'
import { type ClusterProcesses, startCluster } from '../../testkit/src/cluster-process.ts'
import { FlowClient } from '../../testkit/src/flow-client.ts'
import { randomFrom } from '../../testkit/src/random.ts'
import { connect, type Target } from '../../testkit/src/raw-client.ts'
import * as wire from '../../testkit/src/wire.ts'
import { RelayedNetwork } from './relay.ts'

const concordmq = fileURLToPath(new URL('../../../packages/concordmq/bin/concordmq.js', import.meta.url))
const preload = [new URL('preload/routes.ts', import.meta.url).href]
const SECRET = 'the payload that nobody on the wire may read'
const TOPIC = 'topic/that/nobody/may/read'

/** What `ctl cluster status --json` says, as far as it is compared. */
interface StatusAnswer extends Omit<Status, 'connected' | 'jailed' | 'demoted'> {
  readonly node: number
  readonly connected: readonly number[]
  readonly jailed: readonly number[]
  readonly demoted: readonly number[]
  readonly nodes: readonly { readonly keyId: string; readonly transport?: string }[]
}

describe('A cluster in operation', { timeout: 400_000 }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'concordmq-operation-'))
  const captured = { udp: [] as Buffer[], tcp: [] as Buffer[] }
  let network: RelayedNetwork | undefined
  let cluster: ClusterProcesses

  before(async () => {
    cluster = await startCluster({
      nodes: 4,
      directory,
      preload,
      environment: { CONCORDMQ_SYS_INTERVAL_SECONDS: '1' },
      beforeStart: async (addresses) => {
        network = await RelayedNetwork.open(addresses, randomFrom(1), (bytes, over) =>
          captured[over].push(Buffer.from(bytes)),
        )
      },
      // Two nodes speak TLS only, so both transports are in use.
      special: (node) => ({
        flags: node < 2 ? ['--cluster-transport', 'tls'] : [],
        environment: { CONCORDMQ_TEST_ROUTES: network?.routesOf(node) ?? '{}' },
      }),
    })
    for (let node = 0; node < 4; node++) await cluster.served(node)
  })

  after(async () => {
    await cluster[Symbol.asyncDispose]()
    network?.close()
    rmSync(directory, { recursive: true })
  })

  const at = (node: number): Target => cluster.process(node).target

  const status = async (node: number): Promise<StatusAnswer> => {
    const args = ['ctl', 'cluster', 'status', '--json', '--directory', directory, '--node', String(node)]
    const { stdout } = await promisify(execFile)(process.execPath, [concordmq, ...args])
    return JSON.parse(stdout) as StatusAnswer
  }

  it('shows nothing of topics and payloads on its links, over QUIC or TLS [row F19]', async () => {
    using subscriber = await connect(at(3), 5)
    await subscriber.subscribe(TOPIC, 1)
    using publisher = await connect(at(0), 5)
    for (let i = 0; i < 20; i++) await publisher.publish(TOPIC, SECRET, { qos: 1 })
    for (let i = 0; i < 20; i++) assert.equal((await subscriber.receive()).payload.toString(), SECRET)
    const kinds = (await status(3)).nodes.map(({ transport }) => transport)
    assert.deepEqual([kinds.includes('tls'), kinds.includes('quic')], [true, true], kinds.join())
    for (const over of ['udp', 'tcp'] as const) {
      const bytes = Buffer.concat(captured[over])
      assert.ok(bytes.length > 20 * SECRET.length, `only ${bytes.length} bytes were seen over ${over}`)
      for (const text of [SECRET, TOPIC, 'nobody on the wire'])
        assert.equal(bytes.indexOf(text), -1, `${text}, ${over}`)
    }
    // What TLS says in the open is there: who looks finds what can be found.
    assert.notEqual(Buffer.concat(captured.tcp).indexOf('concordmq'), -1)
  })

  it('closes the older connection of a session within a second when it goes on at another node, with 0x8E [row U14]', async () => {
    let fastestMs = Number.POSITIVE_INFINITY
    // The machine may have other things to do.
    for (let i = 0; i < 5; i++) {
      using older = await connect(at(i % 4), 5, { clientId: 'roaming', cleanStart: false })
      const begunMs = performance.now()
      using newer = await connect(at((i + 1) % 4), 5, { clientId: 'roaming', cleanStart: false })
      await older.expectRefusal(0x8e)
      fastestMs = Math.min(fastestMs, performance.now() - begunMs)
      await newer.ping()
      await newer.disconnect()
    }
    assert.ok(fastestMs < 1000, `${fastestMs} ms`)
  })

  it('has the same figures in $SYS/cluster as in `ctl cluster status`, on every node', async () => {
    for (let node = 0; node < 4; node++) {
      const told = new Map<string, string>()
      const client = watchSys(at(node), told)
      const deadline = performance.now() + 60_000
      for (;;) {
        const shown = sysForm(await status(node))
        const differing = Object.keys(shown).filter((name) => told.get(name) !== shown[name])
        if (differing.length === 0) break
        const values = differing.map((name) => `${name}: ${told.get(name)} and ${shown[name]}`)
        assert.ok(performance.now() < deadline, `node ${node}: ${values.join(', ')}`)
      }
      client.disconnect()
    }
  })

  it('has a node back that lost its disk, which asks what it signed and contradicts nothing', async () => {
    const { nodes } = await status(0)
    await cluster.kill(3)
    using publisher = await connect(at(0), 5)
    await publisher.publish('kept', 'while away', { qos: 1, retain: true })
    rmSync(join(directory, 'data', nodes[3]?.keyId ?? ''), { recursive: true })
    await cluster.start(3)
    assert.ok(await cluster.served(3, 120_000), cluster.process(3).log)
    using client = await connect(at(3), 5)
    await client.subscribe('kept', 1)
    assert.equal((await client.receive()).payload.toString(), 'while away')
    using reader = await connect(at(1), 5)
    await reader.subscribe('again', 1)
    await client.publish('again', 'from the node without a past', { qos: 2 })
    assert.equal((await reader.receive()).payload.toString(), 'from the node without a past')
    for (const node of [0, 1, 2, 3]) assert.deepEqual((await status(node)).jailed, [])
  })
})

/** Keeps the values below `$SYS/cluster/`, by topic: each is told again when it changes. */
function watchSys(target: Target, told: Map<string, string>): FlowClient {
  return new FlowClient(target, {
    version: 5,
    connect: { clientId: `watches-${target.port}` },
    onPacket: ({ type, topic, payload }, client) => {
      if (type === 'CONNACK') client.send(wire.subscribe(5, 1, [['$SYS/cluster/#', 0]]))
      else if (type === 'PUBLISH') told.set(topic.slice('$SYS/cluster/'.length), payload.toString())
    },
  })
}

/** The same figures as `ctl` has them. */
function sysForm(answer: StatusAnswer): Record<string, string> {
  return {
    mode: answer.mode,
    node: String(answer.node),
    'nodes/count': String(answer.nodes.length),
    'nodes/connected': answer.connected.join(' '),
    'nodes/jailed': answer.jailed.join(' '),
    'nodes/demoted': answer.demoted.join(' '),
    epoch: String(answer.epoch),
    round: String(answer.round),
    step: String(answer.nextStep),
    position: String(answer.position),
    time: String(Math.floor(answer.consensusUs / 1_000_000)),
    'checkpoint/step': String(answer.checkpointStep),
    'fair/cuts': String(answer.fairCuts),
    'fair/late': String(answer.fairLate),
    'queue/messages': String(answer.queuedMessages),
    'queue/bytes': String(answer.queuedBytes),
  }
}
