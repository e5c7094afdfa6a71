/** Whole nodes of a cluster in one process, with an application that keeps what was ordered. For tests. */
import assert from 'node:assert/strict'
import { createHash, type KeyObject } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Epoch, OrderedBatch, OrderedMessage, Status } from '@concordmq/consensus'
import type { OrderedApplication, Placement, SealedVerdict, SnapshotSource } from '../model/ordered-log.ts'
import type { RelayReceiver } from '../model/relay.ts'
import { nodeFiles } from '../storage/files.ts'
import { freeAddresses, type LogLine, makeKeys, makeTestEpoch, recordingLogger } from './cluster.testkit.ts'
import { Consensus, type ConsensusOptions } from './consensus.ts'
import type { TransportChoice } from './links/open-transports.ts'
import { splitAddress } from './links/transport.ts'

/** An application whose state is the list of what was ordered. */
export class Recorder implements OrderedApplication {
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

  readonly verdicts: string[] = []

  opened({ position, content }: SealedVerdict): void {
    this.verdicts.push(`${position} ${content === undefined ? 'void' : Buffer.from(content).toString()}`)
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

export interface ClusterNode {
  readonly consensus: Consensus
  readonly recorder: Recorder
  readonly lines: LogLine[]
}

export class TestCluster {
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

export const submit = (consensus: Consensus, bytes: Uint8Array): Promise<Placement> =>
  new Promise((resolve) => consensus.submit(bytes, resolve))
