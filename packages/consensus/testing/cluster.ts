/**
 * A few engines in one process, on a virtual clock: enough network, disk and signatures for the tests beside the code. Delays
 * are drawn from a seed; disks forget what was not synced when a node crashes. Faults of every kind are the simulator's
 * (`testing/simulator`), this one stays small enough to read when a test fails.
 */
import { createHash } from 'node:crypto'
import { makeEpoch } from '../src/bytes/epoch-record.ts'
import type { Tunables } from '../src/core/tunables.ts'
import { Engine } from '../src/engine.ts'
import { MessageKind } from '../src/model/block.ts'
import { type Constants, constantsFor } from '../src/model/constants.ts'
import type { Cryptography } from '../src/model/cryptography.ts'
import type { Alarm, Effect, OrderedBatch, WalRecord } from '../src/model/effect.ts'
import type { Epoch } from '../src/model/epoch.ts'
import type { Input } from '../src/model/input.ts'

export interface ClusterOptions {
  readonly n: number
  /** Nodes that run from the start and are not in the first book. */
  readonly newcomers?: number
  readonly seed: number
  readonly constants?: Partial<Constants>
  readonly tunables?: Partial<Tunables>
  /** One way, µs; the network draws between these, per frame. */
  readonly delayUs?: readonly [number, number]
  /** What a frame takes longer than that, µs. */
  readonly moreUs?: (from: number, to: number) => number
  /** Nodes do not know that they are new: their hosts found an empty directory. */
  readonly fresh?: boolean
  /** What a sync takes, µs. */
  readonly syncUs?: number
}

/** A message as a node has it in its log. */
export interface Placed {
  readonly position: number
  readonly author: number
  readonly seq: number
  readonly consensusUs: number
  readonly text: string
}

const START_US = 1_700_000_000_000_000

/** SHA-256, as the host gives it. */
export const sha256 = (bytes: Uint8Array): Uint8Array => new Uint8Array(createHash('sha256').update(bytes).digest())

/** Signatures that only this harness could tell from real ones: a hash over key and bytes, twice. */
export function signature(publicKey: Uint8Array, bytes: Uint8Array): Uint8Array {
  const half = createHash('sha256').update(publicKey).update(bytes).digest()
  return new Uint8Array(Buffer.concat([half, half]))
}

function isSignature(publicKey: Uint8Array, bytes: Uint8Array, given: Uint8Array): boolean {
  return signature(publicKey, bytes).every((byte, i) => byte === given[i])
}

/** A certificate as this harness has them, for a minute: made by whoever knows the root. */
export function certificateOf(root: Uint8Array, publicKey: Uint8Array): Uint8Array {
  return sha256(Buffer.concat([root, publicKey]))
}

function isCertificate(root: Uint8Array, publicKey: Uint8Array, given: Uint8Array): boolean {
  return Buffer.compare(certificateOf(root, publicKey), given) === 0
}

export function keyOf(node: number): Uint8Array {
  const key = new Uint8Array(65).fill(node + 1)
  key[0] = 4
  return key
}

export function cryptographyOf(node: number): Cryptography {
  return {
    sha256,
    sign: (bytes) => signature(keyOf(node), bytes),
    verify: isSignature,
    certifies: ({ roots, chain, publicKey, atUs }) => {
      const [certificate] = chain
      if (certificate === undefined || !roots.some((root) => isCertificate(root, publicKey, certificate)))
        return 'it is not of a root'
      return atUs < START_US + 60_000_000 ? undefined : 'it has expired'
    },
    open: (key, nonce, ciphertext) => {
      const content = ciphertext.subarray(32)
      const expected = sealedContent(key, nonce, content)
      return expected.every((byte, i) => byte === ciphertext[i]) ? content : undefined
    },
    decryptShare: (encrypted) => masked(keyOf(node), encrypted),
  }
}

/** Content as it is sealed here: in the open, behind a hash that only the key's holder makes. */
export function sealedContent(key: Uint8Array, nonce: Uint8Array, content: Uint8Array): Uint8Array {
  const tag = createHash('sha256').update(key).update(nonce).update(content).digest()
  return new Uint8Array(Buffer.concat([tag, content]))
}

/** A share as it is encrypted here, and back. */
export function masked(publicKey: Uint8Array, share: Uint8Array): Uint8Array {
  const mask = sha256(publicKey)
  return share.map((byte, i) => byte ^ (mask[i % 32] as number))
}

/** The one root of the network. */
export const rootOfTests = sha256(Uint8Array.of(7))

/** The first epoch of a network with these nodes. */
export function genesisOf(n: number, constants: Partial<Constants> = {}): Epoch {
  const record = {
    number: 0,
    networkId: new TextEncoder().encode('test'),
    nodes: Array.from({ length: n }, (_, i) => ({ publicKey: keyOf(i), address: `127.0.0.1:${i + 1}` })),
    constants: constantsFor(n, constants),
    operators: { threshold: 1, keys: [keyOf(100)], roots: [rootOfTests] },
    previousHash: new Uint8Array(32),
  }
  return makeEpoch(record, cryptographyOf(0))
}

export class TestNode {
  engine: Engine
  up = true
  readonly log: Placed[] = []
  readonly placed = new Map<number, number>()
  /** What became of sealed messages, by position; undefined: void. */
  readonly opened = new Map<number, string | undefined>()
  readonly refused: string[] = []
  readonly alarms: Alarm[] = []
  readonly statuses: string[] = []
  /** Frames that this node sent, by type. */
  readonly sent = new Map<number, number>()
  wal: WalRecord[] = []
  /** Records up to this mark survive a crash. */
  syncedMark = 0
  /** Counts restarts: what was under way for an earlier life is void. */
  life = 0
  timer = 0
  /** Nodes that its engine was told to be linked with, in its epoch. */
  readonly linked = new Set<number>()
  /** Snapshots of the application by step, in chunks, and the one that is coming in. */
  readonly snapshots = new Map<number, readonly Uint8Array[]>()
  readonly incoming = new Map<number, Uint8Array>()
  installs = 0

  /** The epoch that it is in. */
  epoch: Epoch

  constructor(engine: Engine, epoch: Epoch) {
    this.engine = engine
    this.epoch = epoch
  }
}

interface Event {
  readonly atUs: number
  readonly order: number
  readonly run: () => void
}

export class Cluster {
  nowUs = START_US
  readonly epoch: Epoch
  readonly nodes: TestNode[] = []
  /** Whether a frame from one node to another is lost; for partitions. */
  cut: (from: number, to: number) => boolean = () => false
  /** Sees every effect before it is carried out; true: it is left out, since the watcher does otherwise. */
  watch: (node: number, effect: Effect) => boolean = () => false
  readonly #options: ClusterOptions
  readonly #events: Event[] = []
  #order = 0
  #random: number
  #nextId = 1

  constructor(options: ClusterOptions) {
    this.#options = options
    this.#random = options.seed * 2_654_435_761 + 12_345
    this.epoch = genesisOf(options.n, options.constants)
    const count = options.n + (options.newcomers ?? 0)
    for (let i = 0; i < count; i++)
      this.nodes.push(new TestNode(this.#engine(i, [], 0, options.fresh === true ? 'unlessNew' : false), this.epoch))
    for (let i = 0; i < count; i++) this.input(i, { type: 'start', nowUs: this.nowUs })
  }

  /** 0 to below 1, from the seed. */
  random(): number {
    this.#random = (Math.imul(this.#random, 1_103_515_245) + 12_345) & 0x7fff_ffff
    return ((this.#random >>> 8) & 0xffff) / 0x1_0000
  }

  /** Gives a node an input, and carries out what it answers. */
  input(node: number, input: Input): void {
    const { engine } = this.#node(node)
    for (const effect of engine.step(input)) if (!this.watch(node, effect)) this.#carryOut(node, effect)
  }

  /** Submits a text at a node; its number among all submissions. */
  submit(node: number, text: string): number {
    const id = this.#nextId++
    const bytes = new TextEncoder().encode(text)
    this.input(node, { type: 'submit', id, kind: MessageKind.payload, bytes, nowUs: this.nowUs })
    return id
  }

  /** Runs for so long, or until nothing is left to do. */
  run(forUs: number): void {
    const end = this.nowUs + forUs
    for (let next = this.#events[0]; next !== undefined && next.atUs <= end; next = this.#events[0]) {
      this.#pop()
      this.nowUs = next.atUs
      next.run()
    }
    this.nowUs = end
  }

  /** Runs until this holds; false: it did not within the time. */
  runUntil(holds: () => boolean, withinUs: number): boolean {
    const end = this.nowUs + withinUs
    while (!holds()) {
      const next = this.#events[0]
      if (next === undefined || next.atUs > end) return false
      this.#pop()
      this.nowUs = next.atUs
      next.run()
    }
    return true
  }

  /** Brings a frame from one node to another, as the network does. */
  deliver(from: number, to: number, frame: Uint8Array): void {
    const [least, most] = this.#options.delayUs ?? [1000, 1000]
    const delay = least + this.random() * (most - least) + (this.#options.moreUs?.(from, to) ?? 0)
    this.#later(to, delay, () => {
      const sender = indexIn(this.#node(to).epoch, from)
      if (sender === undefined) return
      this.input(to, { type: 'frame', from: sender, bytes: frame.slice(), arrivalUs: this.nowUs })
    })
  }

  at(afterUs: number, run: () => void): void {
    const event = { atUs: this.nowUs + afterUs, order: this.#order++, run }
    const events = this.#events
    events.push(event)
    for (let at = events.length - 1; at > 0; ) {
      const parent = (at - 1) >> 1
      if (!isBefore(events[at]!, events[parent]!)) break
      ;[events[at], events[parent]] = [events[parent]!, events[at]!]
      at = parent
    }
  }

  /** The node is gone at once; what its disk had not synced is lost. */
  crash(node: number, options: { loseDisk?: boolean } = {}): void {
    const dead = this.#node(node)
    dead.up = false
    dead.life++
    dead.linked.clear()
    dead.wal = options.loseDisk === true ? [] : dead.wal.filter(({ mark }) => mark <= dead.syncedMark)
    for (let peer = 0; peer < this.nodes.length; peer++)
      if (peer !== node && this.#node(peer).up) this.#link(peer, node, false)
  }

  /** It starts again with what its disk has, and an application that has applied what it was given. */
  restart(node: number, options: { amnesia?: boolean | 'unlessNew' } = {}): void {
    const risen = this.#node(node)
    risen.up = true
    risen.engine = this.#engine(node, risen.wal, risen.log.length, options.amnesia ?? false)
    this.input(node, { type: 'start', nowUs: this.nowUs })
  }

  /** The texts in a node's log. */
  texts(node: number): string[] {
    return this.#node(node).log.map((message) => message.text)
  }

  #node(node: number): TestNode {
    return this.nodes[node]!
  }

  #engine(
    node: number,
    records: readonly WalRecord[],
    appliedPosition: number,
    amnesia: boolean | 'unlessNew',
  ): Engine {
    return Engine.open(
      {
        genesis: this.epoch,
        publicKey: keyOf(node),
        cryptography: cryptographyOf(node),
        seed: this.#options.seed * 64 + node,
        appliedPosition,
        amnesia,
        tunables: this.#options.tunables ?? {},
      },
      records,
    )
  }

  /** Tells a node that the link to another one is up or down, if that is in its book. */
  #link(node: number, other: number, up: boolean): void {
    const peer = indexIn(this.#node(node).epoch, other)
    if (node === other || peer === undefined || !this.#node(node).up) return
    if (up) this.#node(node).linked.add(other)
    else this.#node(node).linked.delete(other)
    this.input(node, { type: 'link', peer, up, nowUs: this.nowUs })
  }

  /**
   * A node enters an epoch: it is linked to all that are in its book and have it in theirs. Links stay up when books change, so
   * those are told of it that had none.
   */
  #entered(node: number, epoch: Epoch): void {
    this.#node(node).epoch = epoch
    this.#node(node).linked.clear()
    for (let other = 0; other < this.nodes.length; other++) {
      const { up, linked, epoch: theirs } = this.#node(other)
      if (!up || indexIn(epoch, other) === undefined || indexIn(theirs, node) === undefined) continue
      this.#link(node, other, true)
      if (!linked.has(node)) this.#link(other, node, true)
    }
  }

  #carryOut(node: number, effect: Effect): void {
    const own = this.#node(node)
    switch (effect.type) {
      case 'send':
        return this.#send(node, effect.to, effect.frame)
      case 'persist': {
        own.wal.push(...effect.records)
        if (effect.barrier === undefined) return
        const { barrier } = effect
        const mark = own.wal.at(-1)?.mark ?? 0
        return this.#later(node, this.#options.syncUs ?? 200, () => {
          own.syncedMark = mark
          this.input(node, { type: 'durable', barrier, nowUs: this.nowUs })
        })
      }
      case 'verify': {
        const ok = isSignature(effect.publicKey, effect.bytes, effect.signature)
        return this.input(node, { type: 'verified', handle: effect.handle, ok, nowUs: this.nowUs })
      }
      case 'timerAt': {
        const timer = ++own.timer
        return this.#later(node, Math.max(0, effect.atUs - this.nowUs), () => {
          if (own.timer === timer) this.input(node, { type: 'timer', nowUs: this.nowUs })
        })
      }
      case 'epoch':
        return this.#entered(node, effect.epoch)
      case 'emit':
        return this.#emitted(node, effect.batch)
      case 'placed':
        own.placed.set(effect.id, effect.position)
        return
      case 'refused':
        own.refused.push(effect.why)
        return
      case 'alarm':
        own.alarms.push(effect.what)
        return
      case 'checkpoint':
        return this.#snapshot(node, effect.step)
      case 'appChunk':
        own.incoming.set(effect.chunk, effect.bytes.slice())
        return
      case 'install':
        return this.#install(node)
      case 'forget':
        own.wal = own.wal.filter(({ mark }) => mark >= effect.below)
        return
      case 'opened':
        own.opened.set(effect.position, effect.content && new TextDecoder().decode(effect.content))
        return
      case 'read': {
        const { what, handle } = effect
        const bytes =
          what.type === 'record'
            ? own.wal.find(({ mark }) => mark === what.mark)?.bytes
            : own.snapshots.get(what.step)?.[what.chunk]
        return this.#later(node, 100, () => this.input(node, { type: 'read', handle, bytes, nowUs: this.nowUs }))
      }
      default:
        return
    }
  }

  /** The application's state is its log, as text; its snapshots are that text in chunks. */
  #snapshot(node: number, step: number): void {
    const own = this.#node(node)
    const chunks = chunksOf(new TextEncoder().encode(JSON.stringify(own.log)))
    own.snapshots.set(step, chunks)
    const hashes = new Uint8Array(Buffer.concat(chunks.map(sha256)))
    this.#later(node, 300, () => this.input(node, { type: 'appState', step, hashes, nowUs: this.nowUs }))
  }

  #install(node: number): void {
    const own = this.#node(node)
    const chunks = [...own.incoming].sort(([a], [b]) => a - b).map(([, bytes]) => bytes)
    own.incoming.clear()
    own.log.length = 0
    own.log.push(...JSON.parse(Buffer.concat(chunks).toString('utf8')))
    own.installs++
  }

  #emitted(node: number, batch: OrderedBatch): void {
    const own = this.#node(node)
    for (const { position, author, seq, consensusUs, bytes } of batch.messages) {
      if (position < own.log.length) continue
      if (position > own.log.length) throw new Error(`node ${node}: position ${position} after ${own.log.length - 1}`)
      own.log.push({ position, author, seq, consensusUs, text: new TextDecoder().decode(bytes) })
    }
    this.#later(node, 0, () => this.input(node, { type: 'applied', position: own.log.length, nowUs: this.nowUs }))
  }

  #send(from: number, to: number | 'all', frame: Uint8Array): void {
    const own = this.#node(from)
    const type = frame[0]!
    own.sent.set(type, (own.sent.get(type) ?? 0) + 1)
    for (let peer = 0; peer < this.nodes.length; peer++) {
      const index = indexIn(own.epoch, peer)
      if (peer === from || index === undefined || (to !== 'all' && to !== index) || this.cut(from, peer)) continue
      this.deliver(from, peer, frame)
    }
  }

  /** Later, if the node still lives the same life then. */
  #later(node: number, afterUs: number, run: () => void): void {
    const { life } = this.#node(node)
    this.at(afterUs, () => {
      const then = this.#node(node)
      if (then.up && then.life === life) run()
    })
  }

  #pop(): void {
    const events = this.#events
    const last = events.pop()!
    if (events.length === 0) return
    events[0] = last
    for (let at = 0; ; ) {
      const left = 2 * at + 1
      if (left >= events.length) break
      const child = left + 1 < events.length && isBefore(events[left + 1]!, events[left]!) ? left + 1 : left
      if (!isBefore(events[child]!, events[at]!)) break
      ;[events[at], events[child]] = [events[child]!, events[at]!]
      at = child
    }
  }
}

/** Where a node of the harness stands in a book. */
function indexIn(epoch: Epoch, node: number): number | undefined {
  const index = epoch.nodes.findIndex(({ publicKey }) => publicKey[1] === node + 1)
  return index < 0 ? undefined : index
}

/** Chunks of a size that makes several of a small state. */
function chunksOf(bytes: Uint8Array): Uint8Array[] {
  const chunks: Uint8Array[] = []
  for (let at = 0; at < bytes.length; at += 4096) chunks.push(bytes.slice(at, at + 4096))
  return chunks
}

function isBefore(a: Event, b: Event): boolean {
  return a.atUs < b.atUs || (a.atUs === b.atUs && a.order < b.order)
}
