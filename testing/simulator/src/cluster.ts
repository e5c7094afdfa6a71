/**
 * A whole cluster in one process and in virtual time, as a scenario describes it: engines with their hosts, liars, links, disks,
 * clocks, and those who watch. It puts the parts together and does to nodes what befalls them; `run.ts` says what happens when.
 */
import type { KnownBlocks } from '../../../packages/consensus/src/bytes/block-codec.ts'
import { Domain } from '../../../packages/consensus/src/bytes/domain.ts'
import { makeEpoch } from '../../../packages/consensus/src/bytes/epoch-record.ts'
import { Engine } from '../../../packages/consensus/src/engine.ts'
import { type Block, MessageKind } from '../../../packages/consensus/src/model/block.ts'
import { constantsFor } from '../../../packages/consensus/src/model/constants.ts'
import type { Epoch } from '../../../packages/consensus/src/model/epoch.ts'
import { LyingBuilder } from './byzantine/builder.ts'
import { LyingWire } from './byzantine/wire.ts'
import { Watch } from './invariants/watch.ts'
import type { Liar, Scenario } from './scenario.ts'
import { Agenda } from './world/agenda.ts'
import { BlockReader } from './world/block-reader.ts'
import { WallClock } from './world/clock.ts'
import { type Delays, delaysOf } from './world/delays.ts'
import { Disk } from './world/disk.ts'
import { type Draws, drawsFrom } from './world/draws.ts'
import { fastKeyring, type Keyring } from './world/fast-cryptography.ts'
import { knownBlocks } from './world/known-blocks.ts'
import { Network } from './world/network.ts'
import { type EngineSource, type NodeObserver, SimulatedNode } from './world/node.ts'
import { messageOf } from './world/traffic.ts'

/** Whatever sits at one end of the links: a node, or a liar. */
export interface Participant {
  readonly receive: (from: number, frame: Uint8Array) => void
  readonly link: (peer: number, up: boolean) => void
}

export interface ClusterOptions {
  readonly scenario: Scenario
  readonly engines: EngineSource
  readonly keyring?: Keyring
  /** Blocks that engines share cannot be changed. */
  readonly frozenBlocks?: boolean
  /** What a link carries, bytes per µs; without it any amount. */
  readonly bytesPerUs?: number
  readonly trace?: ((line: string) => void) | undefined
}

export class Cluster {
  readonly scenario: Scenario
  readonly agenda = new Agenda()
  readonly genesis: Epoch
  readonly domain: Domain
  readonly network: Network
  readonly delays: Delays
  readonly watch: Watch
  /** Indices of nodes with an engine under test. */
  readonly correct: readonly number[]
  /** The node whose disk is lost in this run. */
  readonly forgetful: number | undefined
  readonly nodes: readonly (SimulatedNode | undefined)[]
  readonly draws: Draws
  /** Draws what is kept later, and when; undefined: nothing is. */
  readonly #keeping: Draws | undefined
  readonly #o: ClusterOptions
  readonly #keyring: Keyring
  readonly #reader: BlockReader
  readonly #knownBlocks: KnownBlocks
  readonly #participants: readonly Participant[]
  readonly #liars: (LyingBuilder | LyingWire)[] = []
  readonly #messageCounts: number[]
  /** Nodes whose disk was lost while they were down. */
  readonly #lost = new Set<number>()

  constructor(options: ClusterOptions) {
    const { scenario } = options
    const { n, seed } = scenario
    this.#o = options
    this.scenario = scenario
    this.draws = drawsFrom(seed).stream('cluster')
    this.#keeping = scenario.keptLater ? this.draws.stream('keptLater') : undefined
    this.#keyring = options.keyring ?? fastKeyring(n)
    this.genesis = this.#makeGenesis()
    this.domain = new Domain(this.genesis.hash, this.#keyring.cryptography(0))
    const frozen = options.frozenBlocks ?? false
    const reader = new BlockReader(this.genesis, this.domain, this.#keyring, { frozen })
    this.#reader = reader
    const isProduct = options.engines === Engine
    this.#knownBlocks = knownBlocks({ frozen }, isProduct ? (bytes) => reader.find(bytes) : undefined)
    const { delays: shape, baseUs, farTimes } = scenario
    this.delays = delaysOf({ n, shape, baseUs, farTimes, draws: this.draws.stream('delays') })
    this.network = new Network({
      n,
      agenda: this.agenda,
      draws: this.draws.stream('network'),
      delays: this.delays,
      faults: scenario,
      ...(options.bytesPerUs === undefined ? {} : { bytesPerUs: options.bytesPerUs }),
      deliver: (from, to, frame) => this.#participants[to]?.receive(from, frame),
      link: (node, peer, up) => this.#participants[node]?.link(peer, up),
    })
    const lying = new Set(scenario.liars.map(({ node }) => node))
    this.correct = Array.from({ length: n }, (_, node) => node).filter((node) => !lying.has(node))
    this.forgetful = scenario.lostDisk ? this.draws.stream('forgetful').pick(this.correct) : undefined
    this.watch = new Watch({
      genesis: this.genesis,
      correct: this.correct,
      forgetful: this.forgetful,
      untold: scenario.untold,
      reader: this.#reader,
      nowUs: () => this.agenda.nowUs,
      nodeOf: (node) => this.node(node),
      trace: this.#trace(),
    })
    this.nodes = Array.from({ length: n }, (_, node) =>
      lying.has(node) ? undefined : this.#makeNode(node, this.watch),
    )
    const liars = scenario.liars.map((liar) => this.#makeLiar(liar))
    this.#liars.push(...liars)
    this.#participants = this.nodes.map((node, i) => node ?? (liars.find(({ index }) => index === i) as Participant))
    this.#messageCounts = Array.from({ length: n }, () => 0)
  }

  node(index: number): SimulatedNode {
    const node = this.nodes[index]
    if (node === undefined) throw new Error(`Node ${index} is a liar`)
    return node
  }

  get running(): SimulatedNode[] {
    return this.nodes.filter((node) => node?.isRunning === true) as SimulatedNode[]
  }

  /** Every block that a correct node made or was sent, in the order in which they were first seen. */
  blocks(): Block[] {
    return this.#reader.all()
  }

  /** Everybody starts, one soon after the other. */
  start(): void {
    for (const node of this.correct) {
      this.agenda.after(this.draws.below(this.scenario.baseUs * 3), () => this.#startNode(node))
    }
    for (const liar of this.#liars) {
      liar.start()
      this.network.nodeUp(liar.index)
    }
  }

  /** A client of the node publishes something new; nothing, if the node is down or has not answered too much of what came before. */
  submit(index: number): void {
    const node = this.nodes[index]
    if (node === undefined || !node.isRunning) return
    if (this.watch.unanswered(index) >= this.scenario.unansweredMax) return
    const number = (this.#messageCounts[index] as number) + 1
    this.#messageCounts[index] = number
    const bytes = messageOf(index, number, this.draws.below(40))
    this.watch.agreement.submitted(index, number, MessageKind.payload, bytes)
    this.watch.submitted(index, node.nextSubmission, number)
    const id = node.nextSubmission
    node.submit(MessageKind.payload, bytes, { keep: this.draws.chance(0.2) })
    if (this.#keeping?.chance(0.3)) {
      this.agenda.after(this.#keeping.below(20 * this.scenario.baseUs), () => node.keep(id))
    }
  }

  crash(index: number, effects: number, downUs: number): void {
    const node = this.node(index)
    if (!node.isRunning) return
    node.crashAfter(effects, () => {
      this.network.nodeDown(index)
      this.agenda.after(downUs, () => this.#startNode(index))
    })
  }

  loseDisk(downUs: number): void {
    const index = this.forgetful
    if (index === undefined) return
    const node = this.node(index)
    const lose = (): void => {
      node.disk.lose()
      this.#lost.add(index)
      this.watch.lost(index)
      if (this.draws.chance(0.5)) node.application.loseAll()
    }
    if (!node.isRunning) lose()
    else {
      node.crashAfter(0, () => {
        this.network.nodeDown(index)
        lose()
        this.agenda.after(downUs, () => this.#startNode(index))
      })
    }
  }

  /** Liars say nothing more. */
  hush(): void {
    for (const liar of this.#liars) liar.stop()
  }

  #startNode(index: number): void {
    const node = this.node(index)
    if (node.isRunning) return
    const isLost = this.#lost.delete(index) || (node.disk.size === 0 && node.disk.wasUsed)
    node.start({ amnesia: this.scenario.untold && node.disk.size === 0 ? 'unlessNew' : isLost })
    if (node.isRunning) this.network.nodeUp(index)
  }

  #makeGenesis(): Epoch {
    const { n, keepRounds, checkpointSteps } = this.scenario
    return makeEpoch(
      {
        number: 0,
        networkId: Uint8Array.from(Buffer.from('simulated')),
        nodes: this.#keyring.publicKeys.map((publicKey, index) => ({ publicKey, address: `node-${index}:1` })),
        constants: constantsFor(n, { checkpointSteps, ...(keepRounds === undefined ? {} : { keepRounds }) }),
        operators: { threshold: 0, keys: [] },
        previousHash: new Uint8Array(32),
      },
      this.#keyring.cryptography(0),
    )
  }

  #makeNode(index: number, observer: NodeObserver, send?: (to: number, frame: Uint8Array) => void): SimulatedNode {
    const { scenario, agenda } = this
    const draws = this.draws.stream(`node ${index}`)
    const syncUs = scenario.syncUs[index] as number
    return new SimulatedNode({
      index,
      genesis: this.genesis,
      engines: this.#o.engines,
      keyring: this.#keyring,
      agenda,
      draws,
      disk: new Disk(agenda, draws.stream('disk'), { syncUs, checkpointLag: scenario.checkpointLag ?? 0 }),
      clock: new WallClock(() => agenda.nowUs, {
        offsetUs: scenario.clockOffsetsUs[index] as number,
        driftPpm: scenario.clockDriftsPpm[index] as number,
      }),
      observer,
      knownBlocks: this.#knownBlocks,
      verifyUs: scenario.verifyUs[index] as number,
      frameUs: scenario.frameUs[index] as number,
      send: send ?? ((to, frame) => this.network.send(index, to, frame)),
      roundTripUs: (peer) => this.delays.next(index, peer) + this.delays.next(peer, index),
      drop: (peer, why) => {
        this.#o.trace?.(`${agenda.nowUs} ${index} drops ${peer}: ${why}`)
        this.network.reset(index, peer)
      },
      trace: this.#trace(),
    })
  }

  #makeLiar(liar: Liar): LyingBuilder | LyingWire {
    const draws = this.draws.stream(`liar ${liar.node}`)
    const { agenda, genesis, scenario, network } = this
    const shared = {
      index: liar.node,
      genesis,
      agenda,
      draws,
      baseUs: scenario.baseUs,
      send: (to: number, frame: Uint8Array) => network.send(liar.node, to, frame),
    }
    if (liar.kind === 'builder') {
      return new LyingBuilder({
        ...shared,
        habits: new Set(liar.habits),
        cryptography: this.#keyring.cryptography(liar.node),
        reader: this.#reader,
        fellows: () => (scenario.colluding ? this.#liars.filter((other) => other instanceof LyingBuilder) : []),
        made: (block) => this.watch.liarMade(block),
        trace: this.#trace(),
      })
    }
    return new LyingWire({
      ...shared,
      habits: new Set(liar.habits),
      makeNode: (observer, send) => this.#makeNode(liar.node, observer, send),
    })
  }

  #trace(): ((line: string) => void) | undefined {
    const { trace } = this.#o
    return trace === undefined ? undefined : (line) => trace(`${this.agenda.nowUs} ${line}`)
  }
}
