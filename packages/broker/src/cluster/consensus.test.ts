import assert from 'node:assert/strict'
import { createHash, createPublicKey, type KeyObject } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { type Epoch, type OrderedBatch, type OrderedMessage, type Status, verifyProof } from '@concordmq/consensus'
import type { OrderedApplication, Placement, SnapshotSource } from '../model/ordered-log.ts'
import type { RelayReceiver } from '../model/relay.ts'
import { nodeFiles } from '../storage/files.ts'
import { freeAddresses, type LogLine, makeKeys, makeTestEpoch, recordingLogger } from './cluster.testkit.ts'
import { Consensus, type ConsensusOptions } from './consensus.ts'
import { Verifier } from './host/cryptography.ts'
import { pointOf } from './identity/node-keys.ts'
import type { TransportChoice } from './links/open-transports.ts'
import { splitAddress } from './links/transport.ts'
import { signReconfiguration } from './reconfiguration.ts'

/** An application whose state is the list of what was ordered. */
class Recorder implements OrderedApplication {
  readonly messages: OrderedMessage[] = []
  nextPosition = 0
  mode = ''
  waiting: (() => void)[] = []

  ordered(batch: OrderedBatch): void {
    for (const message of batch.messages) {
      assert.equal(message.position, this.nextPosition, 'positions have no gaps')
      this.nextPosition++
      this.messages.push({ ...message, bytes: Uint8Array.from(message.bytes) })
    }
    for (const look of this.waiting) look()
  }

  checkpoint(): { hashes(): Promise<Uint8Array[]>; read(): Promise<Uint8Array>; release(): void } {
    const state = Buffer.from(
      JSON.stringify(
        this.messages.map(({ bytes, ...rest }) => ({ ...rest, bytes: Buffer.from(bytes).toString('hex') })),
      ),
    )
    return {
      hashes: async () => [createHash('sha256').update(state).digest()],
      read: async () => state,
      release: () => {},
    }
  }

  async install(source: SnapshotSource): Promise<void> {
    const messages = JSON.parse(Buffer.from(await source.read(0)).toString()) as (OrderedMessage & { bytes: string })[]
    this.messages.splice(0)
    this.messages.push(...messages.map(({ bytes, ...rest }) => ({ ...rest, bytes: Buffer.from(bytes, 'hex') })))
    this.nextPosition = source.position
    for (const look of this.waiting) look()
  }
  statusChanged(status: Status): void {
    this.mode = status.mode
    for (const look of this.waiting) look()
  }
  epochChanged(): void {}
  readonly relayed: string[] = []
  /** Bit i: node i is linked. */
  reached = 0
  readonly relay: RelayReceiver = {
    linked: (node, up) => {
      this.reached = up ? this.reached | (1 << node) : this.reached & ~(1 << node)
      for (const look of this.waiting) look()
    },
    relayed: (from, kind, bytes) => {
      this.relayed.push(`${from} ${kind} ${Buffer.from(bytes).toString()}`)
      for (const look of this.waiting) look()
      return Buffer.from(bytes).toString() === 'nonsense' ? 'it relays nonsense' : undefined
    },
  }

  get hash(): string {
    const hash = createHash('sha256')
    for (const { position, author, consensusUs, bytes } of this.messages)
      hash.update(`${position} ${author} ${consensusUs} `).update(bytes)
    return hash.digest('hex')
  }

  until(count: number, what: string): Promise<void> {
    return this.#when(() => this.messages.length >= count, `${count} messages: ${what}`)
  }

  untilMode(mode: string): Promise<void> {
    return this.#when(() => this.mode === mode, `mode ${mode}`)
  }

  untilHeard(holds: () => boolean, what: string): Promise<void> {
    return this.#when(holds, what)
  }

  #when(holds: () => boolean, what: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`waited for ${what}: ${this.messages.length} messages, mode ${this.mode}`)),
        30_000,
      )
      const look = (): void => {
        if (!holds()) return
        clearTimeout(timer)
        resolve()
      }
      this.waiting.push(look)
      look()
    })
  }
}

interface ClusterNode {
  readonly consensus: Consensus
  readonly recorder: Recorder
  readonly lines: LogLine[]
}

class TestCluster {
  readonly directory = mkdtempSync(join(tmpdir(), 'concordmq-cluster-'))
  readonly nodes: ClusterNode[] = []
  readonly keys: KeyObject[]
  readonly genesis: Epoch
  readonly #choice: TransportChoice

  private constructor(keys: KeyObject[], genesis: Epoch, choice: TransportChoice) {
    this.keys = keys
    this.genesis = genesis
    this.#choice = choice
  }

  static async start(n: number, choice: TransportChoice, operators: readonly KeyObject[] = []): Promise<TestCluster> {
    const keys = makeKeys(n)
    const cluster = new TestCluster(keys, makeTestEpoch({ keys, addresses: await freeAddresses(n), operators }), choice)
    for (let i = 0; i < n; i++) cluster.nodes.push(await cluster.#open(i, new Recorder()))
    return cluster
  }

  /** The node again, on its disk, with an application that has nothing. */
  async restart(index: number): Promise<void> {
    await this.nodes[index]?.consensus.stop()
    this.nodes[index] = await this.#open(index, new Recorder())
  }

  /** Only reads what the disk of a node holds. */
  openAs(index: number, others: Partial<ConsensusOptions>): Promise<Consensus> {
    return Consensus.open({ ...this.#options(index, []), ...others })
  }

  async #open(index: number, recorder: Recorder): Promise<ClusterNode> {
    const lines: LogLine[] = []
    const consensus = await Consensus.open(this.#options(index, lines))
    await consensus.start(recorder)
    return { consensus, recorder, lines }
  }

  #options(index: number, lines: LogLine[]): ConsensusOptions {
    return {
      genesis: this.genesis,
      privateKey: this.keys[index] as KeyObject,
      directory: join(this.directory, String(index)),
      durability: 'fsync',
      files: nodeFiles,
      transport: this.#choice,
      ...splitAddress(this.genesis.nodes[index]?.address ?? ''),
      settingsDigest: new Uint8Array(32),
      programVersion: '0.1.0',
      logger: recordingLogger(lines),
      onFailure: (error) => lines.push({ level: 'failure', fields: { event: 'failure' }, message: error.message }),
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map(({ consensus }) => consensus.stop()))
    rmSync(this.directory, { recursive: true })
  }
}

const submit = (consensus: Consensus, bytes: Uint8Array): Promise<Placement> =>
  new Promise((resolve) => consensus.submit(bytes, resolve))

test('a node alone orders what it is given, and again after a restart', async () => {
  const cluster = await TestCluster.start(1, 'tls')
  try {
    const [node] = cluster.nodes
    assert.ok(node)
    const placements = await Promise.all([1, 2, 3].map((i) => submit(node.consensus, Buffer.from([i]))))
    assert.deepEqual(
      placements.map((placement) => placement.type === 'placed' && placement.position),
      [0, 1, 2],
    )
    await cluster.restart(0)
    const again = cluster.nodes[0]
    assert.ok(again)
    await again.recorder.until(3, 'the log is repeated')
    assert.equal(again.recorder.hash, node.recorder.hash)
    const placement = await submit(again.consensus, Buffer.from([4]))
    assert.equal(placement.type === 'placed' && placement.position, 3)
  } finally {
    await cluster.stop()
  }
})

for (const choice of ['tls', 'quic'] as const) {
  test(`four nodes agree on one order over ${choice}`, async () => {
    const cluster = await TestCluster.start(4, choice)
    try {
      const each = 50
      const placements = await Promise.all(
        cluster.nodes.flatMap(({ consensus }, node) =>
          Array.from({ length: each }, (_, i) => submit(consensus, Buffer.from(`${node}:${i}`))),
        ),
      )
      assert.ok(placements.every(({ type }) => type === 'placed'))
      for (const { recorder } of cluster.nodes) await recorder.until(4 * each, 'all messages')
      const [first] = cluster.nodes
      for (const { recorder } of cluster.nodes) assert.equal(recorder.hash, first?.recorder.hash)
    } finally {
      await cluster.stop()
    }
  })
}

for (const choice of ['tls', 'quic'] as const) {
  test(`what nodes tell each other beside the order arrives over ${choice}, in order, and who breaks its rules is kept out`, async () => {
    const cluster = await TestCluster.start(4, choice)
    try {
      const [first, second] = cluster.nodes as [ClusterNode, ClusterNode]
      await first.recorder.untilHeard(() => first.recorder.reached === 0b1110, 'links to all others')
      for (let i = 0; i < 200; i++) {
        first.consensus.relay.send(1, 'messages', Buffer.from(`${i}`))
        if (i % 50 === 49) first.consensus.relay.send(1, 'taken', Buffer.from(`${i}`))
        first.consensus.relay.flush()
      }
      const { relayed } = second.recorder
      await second.recorder.untilHeard(() => relayed.length === 204, 'all of it')
      const messages = relayed.filter((line) => line.startsWith('0 messages'))
      assert.deepEqual(
        messages,
        Array.from({ length: 200 }, (_, i) => `0 messages ${i}`),
      )
      first.consensus.relay.send(1, 'messages', Buffer.from('nonsense'))
      first.consensus.relay.flush()
      await second.recorder.untilHeard(() => (second.recorder.reached & 1) === 0, 'the end of the link')
      const said = second.lines.filter(({ fields }) => fields['event'] === 'cluster.link.dropped')
      assert.match(said[0]?.message ?? '', /node 0 .*it relays nonsense/)
      assert.equal((await submit(first.consensus, Buffer.from('the order goes on'))).type, 'placed')
    } finally {
      await cluster.stop()
    }
  })
}

test('every node proves the positions of the log, with the keys of the book alone', async () => {
  const cluster = await TestCluster.start(4, 'tls')
  try {
    const [first] = cluster.nodes as [ClusterNode]
    const placement = await submit(first.consensus, Buffer.from('bid 17'))
    assert.equal(placement.type, 'placed')
    const { position } = placement
    await Promise.all(cluster.nodes.map(({ recorder }) => recorder.until(position + 1, 'the message on every node')))
    const proofs = await Promise.all(cluster.nodes.map(({ consensus }) => consensus.proof(position)))
    for (const proof of proofs) {
      const verified = verifyProof(cluster.genesis, proof, (bytes) => createHash('sha256').update(bytes).digest())
      assert.ok(verified.ok, verified.ok ? '' : verified.problem)
      const { message, signatures } = verified.value
      assert.equal(Buffer.from(message.bytes).toString(), 'bid 17')
      assert.equal(message.position, position)
      const verifier = new Verifier()
      assert.ok(signatures.length >= 4 && signatures.every((signature) => verifier.verify(signature)))
    }
    await assert.rejects(first.consensus.proof(1_000_000), { code: 'CMQ_PROOF_LATER', retryable: true })
  } finally {
    await cluster.stop()
  }
})

test('a node that was stopped has what it missed when it is back, and takes part again', async () => {
  const cluster = await TestCluster.start(4, 'tls')
  try {
    const [first, second] = cluster.nodes
    assert.ok(first && second)
    await submit(first.consensus, Buffer.from('before'))
    await cluster.nodes[3]?.consensus.stop()
    for (let i = 0; i < 20; i++) await submit(second.consensus, Buffer.from(`while away ${i}`))
    await cluster.restart(3)
    const returned = cluster.nodes[3]
    assert.ok(returned)
    await returned.recorder.until(21, 'what it missed')
    const placement = await submit(returned.consensus, Buffer.from('after'))
    assert.equal(placement.type, 'placed')
    for (const { recorder } of cluster.nodes) await recorder.until(22, 'its own message')
    for (const { recorder } of cluster.nodes) assert.equal(recorder.hash, returned.recorder.hash)
  } finally {
    await cluster.stop()
  }
})

test('two of four nodes order nothing and say so, and go on by themselves when a third is back', async () => {
  const cluster = await TestCluster.start(4, 'tls')
  try {
    const [first] = cluster.nodes
    assert.ok(first)
    await submit(first.consensus, Buffer.from('before'))
    for (const i of [2, 3]) await cluster.nodes[i]?.consensus.stop()
    let placed: Placement | undefined
    first.consensus.submit(Buffer.from('held'), (placement) => {
      placed = placement
    })
    await first.recorder.untilMode('stalled')
    assert.equal(placed, undefined)
    await cluster.restart(3)
    await first.recorder.until(2, 'the message that was held')
    await first.recorder.untilMode('active')
    assert.equal(placed === undefined ? '' : (placed as Placement).type, 'placed')
  } finally {
    await cluster.stop()
  }
})

test('a directory of another node or another network is refused before anything runs', async () => {
  const cluster = await TestCluster.start(1, 'tls')
  try {
    await cluster.nodes[0]?.consensus.stop()
    const [other] = makeKeys(1)
    assert.ok(other)
    await assert.rejects(cluster.openAs(0, { privateKey: other, genesis: makeTestEpoch({ keys: [other] }) }), {
      code: 'CMQ_CLUSTER_DIRECTORY',
      message: /belongs to the node with the key [0-9a-f]{16}, this one has [0-9a-f]{16}/,
    })
    await assert.rejects(cluster.openAs(0, { genesis: makeTestEpoch({ keys: cluster.keys, network: 'elsewhere' }) }), {
      code: 'CMQ_CLUSTER_DIRECTORY',
      message: /belongs to the network "test" with the book [0-9a-f]{16}, this node to "elsewhere"/,
    })
    await assert.rejects(
      cluster.openAs(0, { privateKey: other }),
      { code: 'CMQ_CLUSTER' },
      'its key is not in the book',
    )
  } finally {
    await cluster.stop()
  }
})

test('operators take a node out of the cluster: the others go on in the next epoch, and an unsigned change has no effect', async () => {
  const [operator, stranger] = makeKeys(2) as [KeyObject, KeyObject]
  const cluster = await TestCluster.start(4, 'tls', [operator])
  try {
    const [first] = cluster.nodes
    assert.ok(first)
    await submit(first.consensus, Buffer.from('before'))
    const { epoch } = first.consensus
    const left = epoch.nodes.slice(0, 3)
    await assert.rejects(
      first.consensus.reconfigure(signReconfiguration(epoch, left, [{ operator: 0, privateKey: stranger }])),
      { code: 'CMQ_CLUSTER_CHANGE', message: /0 operators signed it .*, 1 must/ },
    )
    await submit(first.consensus, Buffer.from('between'))
    assert.equal(first.consensus.epoch.number, 0)
    await first.consensus.reconfigure(signReconfiguration(epoch, left, [{ operator: 0, privateKey: operator }]))
    await submit(first.consensus, Buffer.from('after'))
    assert.equal(first.consensus.epoch.number, 1)
    assert.equal(first.consensus.nodes.length, 3)
    for (const { recorder } of cluster.nodes.slice(0, 3)) await recorder.until(4, 'the message of the new epoch')
    for (const { recorder } of cluster.nodes.slice(0, 3)) assert.equal(recorder.hash, first.recorder.hash)
    assert.equal(first.consensus.figures.links.length, 2)
  } finally {
    await cluster.stop()
  }
})

test('operators take a node into the cluster: it begins with a snapshot of the state, and has a part in the order', async () => {
  const [operator, joiner] = makeKeys(2) as [KeyObject, KeyObject]
  const cluster = await TestCluster.start(4, 'tls', [operator])
  const [address] = await freeAddresses(1)
  const recorder = new Recorder()
  const lines: LogLine[] = []
  const newcomer = await cluster.openAs(0, {
    privateKey: joiner,
    joining: true,
    directory: join(cluster.directory, 'newcomer'),
    ...splitAddress(address ?? ''),
    logger: recordingLogger(lines),
  })
  try {
    const [first] = cluster.nodes
    assert.ok(first)
    for (let i = 0; i < 5; i++) await submit(first.consensus, Buffer.from(`before ${i}`))
    await newcomer.start(recorder)
    const { epoch } = first.consensus
    const nodes = [...epoch.nodes, { publicKey: pointOf(createPublicKey(joiner)), address: address ?? '' }]
    await first.consensus.reconfigure(signReconfiguration(epoch, nodes, [{ operator: 0, privateKey: operator }]))
    await submit(first.consensus, Buffer.from('after'))
    await recorder.until(7, 'all that was ordered')
    assert.equal(newcomer.node, 4)
    const placement = await submit(newcomer, Buffer.from('of the newcomer'))
    assert.equal(placement.type, 'placed')
    for (const node of cluster.nodes) await node.recorder.until(8, 'the message of the newcomer')
    for (const node of cluster.nodes) assert.equal(node.recorder.hash, recorder.hash)
  } finally {
    await newcomer.stop()
    await cluster.stop()
  }
})
