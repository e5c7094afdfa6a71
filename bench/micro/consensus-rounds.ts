/**
 * Rounds of the ordering engine without sockets and disks: the engines of a cluster in one process, which hand each other their
 * frames at once and in turn.
 */
import { generateKeyPairSync, hash, type KeyObject, sign, verify } from 'node:crypto'
import {
  type Cryptography,
  constantsFor,
  type Effect,
  Engine,
  type Input,
  MessageKind,
  makeEpoch,
} from '@concordmq/consensus'

export interface RoundSettings {
  readonly nodes: number
  /** Messages of all nodes in a round, and the bytes of each. */
  readonly messages: number
  readonly bytes: number
  /** Without: every signature is right, and costs nothing; hashes are always real. */
  readonly signatures: boolean
}

const roundUs = 5000

export class Rounds {
  /** Of signatures and hashes, so far, µs. */
  cryptographyUs = 0
  /** Messages that found their place at a node. */
  placed = 0
  steps = 0
  readonly #settings: RoundSettings
  readonly #payload: Uint8Array
  readonly #engines: readonly Engine[]
  readonly #keyOf: ReadonlyMap<Uint8Array, KeyObject>
  readonly #inputs: (readonly [node: number, input: Input])[] = []
  readonly #timers: number[]
  #nowUs = 1_700_000_000_000_000
  #nextId = 1

  constructor(settings: RoundSettings) {
    this.#settings = settings
    this.#payload = new Uint8Array(settings.bytes)
    const n = settings.nodes
    const keys = Array.from({ length: n }, () => generateKeyPairSync('ec', { namedCurve: 'P-256' }))
    /** Uncompressed: the end of the DER form. */
    const points = keys.map(
      ({ publicKey }) => new Uint8Array(publicKey.export({ format: 'der', type: 'spki' }).subarray(-65)),
    )
    this.#keyOf = new Map<Uint8Array, KeyObject>(keys.map(({ publicKey }, i) => [points[i] as Uint8Array, publicKey]))
    const cryptography = keys.map(({ privateKey }) => this.#cryptographyOf(privateKey))
    const genesis = makeEpoch(
      {
        number: 0,
        networkId: Buffer.from('bench'),
        nodes: points.map((publicKey, i) => ({ publicKey, address: `127.0.0.1:${i + 1}` })),
        constants: constantsFor(n),
        operators: { threshold: 0, keys: [] },
        previousHash: new Uint8Array(32),
      },
      cryptography[0] as Cryptography,
    )
    this.#engines = cryptography.map((own, i) =>
      Engine.open(
        {
          genesis,
          publicKey: points[i] as Uint8Array,
          cryptography: own,
          seed: i,
          appliedPosition: 0,
          amnesia: false,
        },
        [],
      ),
    )
    this.#timers = this.#engines.map(() => Number.POSITIVE_INFINITY)
    for (let node = 0; node < n; node++) this.#step(node, { type: 'start', nowUs: this.#nowUs })
    for (let node = 0; node < n; node++) {
      for (let peer = 0; peer < n; peer++) {
        if (peer !== node) this.#step(node, { type: 'link', peer, up: true, nowUs: this.#nowUs })
      }
    }
  }

  get round(): number {
    return (this.#engines[0] as Engine).status.round
  }

  /** Goes on for so many rounds. */
  run(count: number): void {
    const { nodes, messages } = this.#settings
    const end = this.round + count
    while (this.round < end) {
      for (let i = 0; i < messages; i++) {
        const nowUs = this.#nowUs
        this.#step(i % nodes, {
          type: 'submit',
          id: this.#nextId++,
          kind: MessageKind.payload,
          bytes: this.#payload,
          nowUs,
        })
      }
      this.#nowUs += roundUs
      for (let node = 0; node < nodes; node++) {
        if ((this.#timers[node] as number) > this.#nowUs) continue
        this.#timers[node] = Number.POSITIVE_INFINITY
        this.#step(node, { type: 'timer', nowUs: this.#nowUs })
      }
      for (let i = 0; i < this.#inputs.length; i++) this.#step(...(this.#inputs[i] as readonly [number, Input]))
      this.#inputs.length = 0
    }
  }

  #step(node: number, input: Input): void {
    this.steps++
    const nowUs = this.#nowUs
    const inputs = this.#inputs
    for (const effect of (this.#engines[node] as Engine).step('nowUs' in input ? { ...input, nowUs } : input)) {
      switch (effect.type) {
        case 'send':
          for (let to = 0; to < this.#engines.length; to++) {
            if (to === node || (effect.to !== 'all' && effect.to !== to)) continue
            inputs.push([to, { type: 'frame', from: node, bytes: effect.frame, arrivalUs: nowUs }])
          }
          break
        case 'verify':
          this.#step(node, { type: 'verified', handle: effect.handle, ok: this.#check(effect), nowUs })
          break
        case 'persist':
          if (effect.barrier !== undefined) inputs.push([node, { type: 'durable', barrier: effect.barrier, nowUs }])
          break
        case 'timerAt':
          this.#timers[node] = effect.atUs
          break
        case 'emit': {
          const position = effect.batch.messages.at(-1)?.position
          if (position !== undefined) inputs.push([node, { type: 'applied', position: position + 1, nowUs }])
          break
        }
        case 'placed':
          this.placed++
          break
        case 'checkpoint':
          inputs.push([node, { type: 'appState', step: effect.step, hashes: new Uint8Array(32), nowUs }])
          break
        default:
          break
      }
    }
  }

  /** As a node has it; nothing here seals messages or takes newcomers in. */
  #cryptographyOf(privateKey: KeyObject): Cryptography {
    const key = { key: privateKey, dsaEncoding: 'ieee-p1363' } as const
    const unsigned = new Uint8Array(64)
    return {
      sha256: (bytes) => this.#timed(() => hash('sha256', bytes, 'buffer')),
      sign: (bytes) => (this.#settings.signatures ? this.#timed(() => sign('sha256', bytes, key)) : unsigned),
      verify: (publicKey, bytes, signature) => this.#isSignature(publicKey, bytes, signature),
      certifies: () => undefined,
      open: () => undefined,
      decryptShare: () => undefined,
    }
  }

  #check({ publicKey, bytes, signature }: Extract<Effect, { type: 'verify' }>): boolean {
    return this.#timed(() => this.#isSignature(publicKey, bytes, signature))
  }

  #isSignature(publicKey: Uint8Array, bytes: Uint8Array, signature: Uint8Array): boolean {
    if (!this.#settings.signatures) return true
    const key = this.#keyOf.get(publicKey)
    return key !== undefined && verify('sha256', bytes, { key, dsaEncoding: 'ieee-p1363' }, signature)
  }

  #timed<T>(work: () => T): T {
    const begun = performance.now()
    const result = work()
    this.cryptographyUs += (performance.now() - begun) * 1000
    return result
  }
}
