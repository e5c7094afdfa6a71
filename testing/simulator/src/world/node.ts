/**
 * The host of one simulated node: gives the engine its inputs and carries out its effects, with a disk, a clock and links that
 * fail. It crashes between any two effects, and comes back with what its disk kept.
 *
 *     network, agenda, clients ▶ inputs ▶ engine.step ▶ effects ▶ network, disk, application, agenda
 *
 * A live host does the same with sockets and files (`packages/broker/src/cluster`); nothing here knows of faults but crashes.
 */
import type { KnownBlocks } from '../../../../packages/consensus/src/bytes/block-codec.ts'
import type { EngineOptions } from '../../../../packages/consensus/src/core/options.ts'
import type { Engine } from '../../../../packages/consensus/src/engine.ts'
import type { MessageKind } from '../../../../packages/consensus/src/model/block.ts'
import type { Alarm, Effect, OrderedBatch, WalRecord } from '../../../../packages/consensus/src/model/effect.ts'
import type { Epoch } from '../../../../packages/consensus/src/model/epoch.ts'
import type { Input } from '../../../../packages/consensus/src/model/input.ts'
import type { Status } from '../../../../packages/consensus/src/model/status.ts'
import type { Agenda } from './agenda.ts'
import { Application } from './application.ts'
import type { WallClock } from './clock.ts'
import type { Disk } from './disk.ts'
import type { Draws } from './draws.ts'
import type { Keyring } from './fast-cryptography.ts'

/** The engine under test: the product's, or a copy with a fault planted in it. */
export interface EngineSource {
  readonly open: (options: EngineOptions, records: Iterable<WalRecord>) => Engine
}

/** What the invariants are told; `node` is the index of the world, which no epoch changes. */
export interface NodeObserver {
  readonly arrived: (node: number, from: number, frame: Uint8Array) => void
  /** Every signature that came so far is checked. */
  readonly checked: (node: number) => void
  readonly leaves: (node: number, frame: Uint8Array) => void
  readonly appended: (node: number, records: readonly WalRecord[]) => void
  readonly durable: (node: number, records: readonly WalRecord[]) => void
  readonly emitted: (node: number, batch: OrderedBatch) => void
  readonly installed: (node: number, position: number) => void
  readonly placed: (node: number, id: number, position: number) => void
  readonly kept: (node: number, id: number) => void
  readonly refused: (node: number, id: number, why: string) => void
  readonly alarm: (node: number, alarm: Alarm) => void
  readonly crashed: (node: number) => void
  readonly restarted: (node: number, position: number) => void
}

export interface NodeOptions {
  readonly index: number
  readonly genesis: Epoch
  readonly engines: EngineSource
  readonly keyring: Keyring
  readonly agenda: Agenda
  readonly draws: Draws
  readonly disk: Disk
  readonly clock: WallClock
  readonly observer: NodeObserver
  /** What the engines of the cluster share. */
  readonly knownBlocks: KnownBlocks
  readonly tunables?: EngineOptions['tunables']
  /** µs until a signature is checked; 0: before the next input. */
  readonly verifyUs: number
  /** µs of CPU that a frame costs: the next one is read only then; 0: none. */
  readonly frameUs: number
  /** Hands a frame to the network, by indices of the world. */
  readonly send: (to: number, frame: Uint8Array) => void
  readonly roundTripUs: (peer: number) => number
  /** The engine asks to be rid of a peer. */
  readonly drop: (peer: number, why: string) => void
  readonly trace?: ((line: string) => void) | undefined
}

/** CPU that a round is said to cost beside its frames, and the most it is said to cost, as in the live host; µs. */
const roundCpuUs = 100
const roundCpuUsMax = 20_000
const readUs = 100
/** The application saves its state after so many messages, on the average. */
const saveEvery = 20

export class SimulatedNode {
  readonly index: number
  readonly application = new Application()
  readonly clock: WallClock
  readonly disk: Disk
  crashes = 0
  readonly #o: NodeOptions
  #engine: Engine | undefined
  /** Of the engine behind its last step, once somebody asked. */
  #status: Status | undefined
  /** Counts up with each start and crash: answers to an earlier life are dropped. */
  #life = 0
  #submitted = 0
  /** Effects until the crash, or undefined. */
  #crashIn: number | undefined
  #onCrash: () => void = () => undefined
  /** The step that is being carried out takes a snapshot of others. */
  #installs = false
  readonly #inputs: Input[] = []
  #stepping = false
  #frameUs: number
  /** Signatures whose checks are under way. */
  #checks = 0
  /** Frames that came and are not read yet, and the CPU that those since the last own block have cost, µs. */
  #unread: (() => void)[] = []
  #spentUs = 0
  #timerDueUs = Number.POSITIVE_INFINITY
  #timerEnteredUs = Number.POSITIVE_INFINITY
  /** By index in the current book: the node of the world, or -1; and the other way. */
  #worldOf: readonly number[] = []
  #peerOf = new Map<number, number>()

  constructor(options: NodeOptions) {
    this.index = options.index
    this.clock = options.clock
    this.disk = options.disk
    this.#o = options
    this.#frameUs = options.frameUs
  }

  get isRunning(): boolean {
    return this.#engine !== undefined
  }

  /** What `submit` will answer next. */
  get nextSubmission(): number {
    return this.#submitted + 1
  }

  /** How its engine stands; undefined while it is down. */
  get status(): Status | undefined {
    this.#status ??= this.#engine?.status
    return this.#status
  }

  start({ amnesia }: { readonly amnesia: boolean | 'unlessNew' }): void {
    const { genesis, engines, keyring, disk, tunables, index, draws, knownBlocks } = this.#o
    this.#life++
    this.#enter(genesis)
    this.application.restart()
    this.#status = undefined
    this.#engine = engines.open(
      {
        genesis,
        ...(tunables === undefined ? {} : { tunables }),
        publicKey: keyring.publicKeys[index] as Uint8Array,
        cryptography: keyring.cryptography(index),
        seed: draws.below(2 ** 31),
        appliedPosition: this.application.position,
        amnesia,
        knownBlocks,
      },
      disk.all(),
    )
    this.#o.observer.restarted(index, this.application.position)
    this.#trace(
      () => `starts with ${disk.size} records${amnesia === true ? ', amnesic' : amnesia === false ? '' : ', untold'}`,
    )
    this.#give({ type: 'start', nowUs: this.clock.read() })
  }

  receive(from: number, frame: Uint8Array): void {
    if (this.#engine === undefined) return
    if (this.#frameUs === 0 && this.#unread.length === 0) return this.#read(from, frame)
    this.#unread.push(() => this.#read(from, frame))
    if (this.#unread.length === 1) this.#readNext()
  }

  /** From now on frames cost it nothing. */
  relieve(): void {
    this.#frameUs = 0
  }

  /** One frame after the other, each when the one before is done with. */
  #readNext(): void {
    const frameUs = this.#frameUs
    const life = this.#life
    this.#o.agenda.after(frameUs, () => {
      if (life !== this.#life) return
      this.#spentUs += frameUs
      this.#unread[0]?.()
      this.#unread.shift()
      if (this.#unread.length > 0) this.#readNext()
    })
  }

  #read(from: number, frame: Uint8Array): void {
    if (this.#engine === undefined) return
    const peer = this.#peerOf.get(from)
    if (peer === undefined) return
    this.#o.observer.arrived(this.index, from, frame)
    this.#give({ type: 'frame', from: peer, bytes: frame, arrivalUs: this.clock.read() })
  }

  link(peer: number, up: boolean): void {
    const index = this.#peerOf.get(peer)
    if (index === undefined || this.#engine === undefined) return
    this.#give({ type: 'link', peer: index, up, nowUs: this.clock.read() })
    if (up && this.isRunning) this.#give({ type: 'rtt', peer: index, rttUs: this.#o.roundTripUs(peer) })
  }

  /** Submits a message; its identifier is what `nextSubmission` said. `keep`: it is to be kept over a crash. */
  submit(kind: MessageKind, bytes: Uint8Array, { keep }: { readonly keep: boolean }): void {
    this.#submitted++
    this.#give({ type: 'submit', id: this.#submitted, kind, bytes, keep, nowUs: this.clock.read() })
  }

  /** Asks that what was submitted be kept over a crash from now on. */
  keep(id: number): void {
    if (this.isRunning) this.#give({ type: 'keep', id, nowUs: this.clock.read() })
  }

  /** Crashes in between the effects to come: after so many of them, 0 for now. */
  crashAfter(effects: number, onCrash: () => void): void {
    this.#onCrash = onCrash
    if (effects === 0 && !this.#stepping) this.#crash()
    else this.#crashIn = effects
  }

  #enter(epoch: Epoch): void {
    const { publicKeys } = this.#o.keyring
    this.#worldOf = epoch.nodes.map(({ publicKey }) =>
      publicKeys.findIndex((key) => Buffer.compare(key, publicKey) === 0),
    )
    this.#peerOf = new Map(this.#worldOf.map((world, peer) => [world, peer]))
  }

  #give(input: Input): void {
    this.#inputs.push(input)
    if (this.#stepping) return
    this.#stepping = true
    for (let next = this.#inputs.shift(); next !== undefined; next = this.#inputs.shift()) {
      if (this.#engine === undefined) break
      this.#step(next)
    }
    this.#inputs.length = 0
    this.#stepping = false
  }

  #step(input: Input): void {
    this.#status = undefined
    const effects = this.#engine?.step(input) ?? []
    this.#installs = effects.some(({ type }) => type === 'install')
    for (const effect of effects) {
      if (this.#crashIn !== undefined && this.#crashIn-- <= 0) {
        this.#crash()
        return
      }
      this.#carryOut(effect)
    }
    if (input.type === 'verified' && --this.#checks === 0) this.#o.observer.checked(this.index)
  }

  #crash(): void {
    this.#crashIn = undefined
    this.#engine = undefined
    this.#status = undefined
    this.#life++
    this.#inputs.length = 0
    this.#checks = 0
    this.#unread = []
    this.#spentUs = 0
    this.#timerDueUs = Number.POSITIVE_INFINITY
    this.#timerEnteredUs = Number.POSITIVE_INFINITY
    this.crashes++
    const { kept, cut } = this.disk.crash()
    this.#trace(() => `crashes, ${cut} records cut`)
    this.#o.observer.durable(this.index, kept)
    this.#o.observer.crashed(this.index)
    this.#onCrash()
  }

  #carryOut(effect: Effect): void {
    const { observer, disk, index } = this.#o
    switch (effect.type) {
      case 'send':
        this.#send(effect.to, effect.frame)
        break
      case 'persist':
        disk.append(effect.records, { checkpointNow: this.#installs })
        observer.appended(index, effect.records)
        if (effect.barrier !== undefined) this.#sync(effect.barrier)
        break
      case 'verify':
        this.#verify(effect)
        break
      case 'timerAt':
        this.#timerDueUs = this.#o.agenda.nowUs + this.clock.untilShows(effect.atUs)
        this.#armTimer()
        break
      case 'emit':
        this.#emit(effect.batch)
        break
      case 'placed':
        observer.placed(index, effect.id, effect.position)
        break
      case 'kept':
        observer.kept(index, effect.id)
        break
      case 'refused':
        observer.refused(index, effect.id, effect.why)
        break
      case 'checkpoint':
        this.#snapshot(effect.step)
        break
      case 'appChunk':
        this.application.take(effect.step, effect.chunk, effect.bytes)
        break
      case 'install':
        this.application.install(effect.step)
        this.#trace(() => `installs the snapshot of step ${effect.step}, position ${effect.position}`)
        observer.installed(index, effect.position)
        break
      case 'read':
        this.#readBack(effect)
        break
      case 'forget':
        disk.forget(effect.below)
        break
      case 'epoch':
        this.#enter(effect.epoch)
        break
      case 'opened':
      case 'certified':
      case 'status':
        // For operators and proofs; `Watch` reads the engine's status itself.
        break
      case 'drop': {
        const peer = this.#worldOf[effect.peer]
        if (peer !== undefined) this.#o.drop(peer, effect.why)
        break
      }
      case 'alarm':
        this.#trace(() => `alarm ${JSON.stringify(effect.what)}`)
        observer.alarm(index, effect.what)
        break
    }
  }

  #send(to: number | 'all', frame: Uint8Array): void {
    const { observer, index, send } = this.#o
    observer.leaves(index, frame)
    if (to !== 'all') {
      const peer = this.#worldOf[to]
      if (peer !== undefined && peer >= 0) send(peer, frame)
      return
    }
    for (const peer of this.#worldOf) if (peer !== index && peer >= 0) send(peer, frame)
  }

  #sync(barrier: number): void {
    const { disk, observer, index } = this.#o
    const life = this.#life
    disk.sync((fresh) => {
      if (life !== this.#life) return
      observer.durable(index, fresh)
      this.#give({ type: 'durable', barrier, nowUs: this.clock.read() })
      // A barrier goes before an own block.
      if (!this.isRunning) return
      this.#give({ type: 'cost', cpuUs: Math.min(roundCpuUs + this.#spentUs, roundCpuUsMax) })
      this.#spentUs = 0
    })
  }

  #verify({ handle, publicKey, bytes, signature }: Effect & { readonly type: 'verify' }): void {
    const ok = this.#o.keyring.verify(publicKey, bytes, signature)
    this.#checks++
    const { verifyUs } = this.#o
    if (verifyUs === 0) this.#give({ type: 'verified', handle, ok, nowUs: this.clock.read() })
    else
      this.#later(verifyUs * this.#o.draws.between(1, 3), () => ({
        type: 'verified',
        handle,
        ok,
        nowUs: this.clock.read(),
      }))
  }

  #emit(batch: OrderedBatch): void {
    this.#o.observer.emitted(this.index, batch)
    for (const message of batch.messages) this.application.apply(message)
    if (!this.#o.draws.chance(1 / saveEvery)) return
    this.application.save()
    this.#give({ type: 'applied', position: this.application.position, nowUs: this.clock.read() })
  }

  #snapshot(step: number): void {
    const cryptography = this.#o.keyring.cryptography(this.index)
    const hashes = this.application.snapshot(step, (bytes) => cryptography.sha256(bytes))
    this.#later(readUs, () => ({ type: 'appState', step, hashes, nowUs: this.clock.read() }))
  }

  #readBack({ handle, what }: Effect & { readonly type: 'read' }): void {
    const bytes =
      what.type === 'record' ? this.disk.read(what.mark)?.bytes : this.application.chunk(what.step, what.chunk)
    this.#later(readUs, () => ({ type: 'read', handle, bytes, nowUs: this.clock.read() }))
  }

  #later(us: number, input: () => Input): void {
    const life = this.#life
    this.#o.agenda.after(us, () => {
      if (life === this.#life && this.isRunning) this.#give(input())
    })
  }

  /** One entry of the agenda at a time: engines ask anew with every step, mostly for later. */
  #armTimer(): void {
    if (this.#timerEnteredUs <= this.#timerDueUs) return
    const life = this.#life
    const at = this.#timerDueUs
    this.#timerEnteredUs = at
    this.#o.agenda.at(at, () => {
      if (life !== this.#life || this.#timerEnteredUs !== at) return
      this.#timerEnteredUs = Number.POSITIVE_INFINITY
      if (this.#timerDueUs > this.#o.agenda.nowUs) {
        this.#armTimer()
        return
      }
      this.#timerDueUs = Number.POSITIVE_INFINITY
      if (this.isRunning) this.#give({ type: 'timer', nowUs: this.clock.read() })
    })
  }

  #trace(line: () => string): void {
    this.#o.trace?.(`${this.index} ${line()}`)
  }
}
