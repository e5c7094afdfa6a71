/**
 * What a round of the ordering engine costs a node, without sockets and disks: the engines of a cluster in one process, which
 * hand each other their frames at once and in turn.
 *
 *   node bench/consensus.ts [--nodes 4] [--rounds 3000] [--messages 4] [--bytes 64]
 *
 * Prints CPU per node and round, µs, and of that what signatures and hashes are.
 */
import { generateKeyPairSync, hash, type KeyObject, sign, verify } from 'node:crypto'
import { parseArgs } from 'node:util'
import {
  type Cryptography,
  constantsFor,
  type Effect,
  Engine,
  type Input,
  MessageKind,
  makeEpoch,
} from '@concordmq/consensus'

const { values: options } = parseArgs({
  options: {
    nodes: { type: 'string', default: '4' },
    rounds: { type: 'string', default: '3000' },
    messages: { type: 'string', default: '4' },
    bytes: { type: 'string', default: '64' },
  },
})
const n = Number(options.nodes)
const rounds = Number(options.rounds)
const messages = Number(options.messages)
const payload = new Uint8Array(Number(options.bytes))

/** Rounds before it is measured. */
const warmUp = 500
const roundUs = 5000
let nowUs = 1_700_000_000_000_000
let cryptographyUs = 0

const keys = Array.from({ length: n }, () => generateKeyPairSync('ec', { namedCurve: 'P-256' }))
/** Uncompressed: the end of the DER form. */
const points = keys.map(
  ({ publicKey }) => new Uint8Array(publicKey.export({ format: 'der', type: 'spki' }).subarray(-65)),
)
const keyOf = new Map<Uint8Array, KeyObject>(keys.map(({ publicKey }, i) => [points[i]!, publicKey]))
/** Counts the time of what it does. */
const timed = <A extends readonly unknown[], R>(work: (...args: A) => R): ((...args: A) => R) => {
  return (...args) => {
    const begun = performance.now()
    const result = work(...args)
    cryptographyUs += (performance.now() - begun) * 1000
    return result
  }
}
const genesis = makeEpoch(
  {
    number: 0,
    networkId: Buffer.from('bench'),
    nodes: points.map((publicKey, i) => ({ publicKey, address: `127.0.0.1:${i + 1}` })),
    constants: constantsFor(n),
    operators: { threshold: 0, keys: [] },
    previousHash: new Uint8Array(32),
  },
  cryptographyOf(keys[0]!.privateKey),
)
const engines = keys.map(({ privateKey }, i) =>
  Engine.open(
    {
      genesis,
      publicKey: points[i]!,
      cryptography: cryptographyOf(privateKey),
      seed: i,
      appliedPosition: 0,
      amnesia: false,
    },
    [],
  ),
)
const check = timed((claim: Extract<Effect, { type: 'verify' }>) =>
  isSignature(claim.publicKey, claim.bytes, claim.signature),
)
const inputs: (readonly [node: number, input: Input])[] = []
const timers = engines.map(() => Number.POSITIVE_INFINITY)
let placed = 0
let nextId = 1
let steps = 0

for (let node = 0; node < n; node++) step(node, { type: 'start', nowUs })
for (let node = 0; node < n; node++)
  for (let peer = 0; peer < n; peer++) if (peer !== node) step(node, { type: 'link', peer, up: true, nowUs })
run(warmUp)
const [placedBefore, cryptographyBefore, stepsBefore] = [placed, cryptographyUs, steps]
const from = roundOf()
const begun = process.cpuUsage()
run(rounds)
const { user, system } = process.cpuUsage(begun)
const passed = (roundOf() - from) * n
console.log(
  `${n} nodes, ${passed / n} rounds, ${((placed - placedBefore) / (passed / n)).toFixed(1)} messages a round: ` +
    `${((user + system) / passed).toFixed(0)} µs of CPU per node and round, ` +
    `${((cryptographyUs - cryptographyBefore) / passed).toFixed(0)} of it signatures and hashes, ` +
    `${((steps - stepsBefore) / passed).toFixed(1)} inputs`,
)

/** As a node has it; nothing here seals messages or takes newcomers in. */
function cryptographyOf(privateKey: KeyObject): Cryptography {
  const key = { key: privateKey, dsaEncoding: 'ieee-p1363' } as const
  return {
    sha256: timed((bytes) => hash('sha256', bytes, 'buffer')),
    sign: timed((bytes) => sign('sha256', bytes, key)),
    verify: isSignature,
    certifies: () => undefined,
    open: () => undefined,
    decryptShare: () => undefined,
  }
}

function isSignature(publicKey: Uint8Array, bytes: Uint8Array, signature: Uint8Array): boolean {
  const key = keyOf.get(publicKey)
  return key !== undefined && verify('sha256', bytes, { key, dsaEncoding: 'ieee-p1363' }, signature)
}

function roundOf(): number {
  return engines[0]!.status.round
}

/** Goes on for so many rounds. */
function run(count: number): void {
  const end = roundOf() + count
  while (roundOf() < end) {
    for (let i = 0; i < messages; i++)
      step(i % n, { type: 'submit', id: nextId++, kind: MessageKind.payload, bytes: payload, nowUs })
    nowUs += roundUs
    for (let node = 0; node < n; node++) {
      if (timers[node]! > nowUs) continue
      timers[node] = Number.POSITIVE_INFINITY
      step(node, { type: 'timer', nowUs })
    }
    for (let i = 0; i < inputs.length; i++) step(...inputs[i]!)
    inputs.length = 0
  }
}

function step(node: number, input: Input): void {
  steps++
  for (const effect of engines[node]!.step('nowUs' in input ? { ...input, nowUs } : input)) {
    switch (effect.type) {
      case 'send':
        for (let to = 0; to < n; to++) {
          if (to === node || (effect.to !== 'all' && effect.to !== to)) continue
          inputs.push([to, { type: 'frame', from: node, bytes: effect.frame, arrivalUs: nowUs }])
        }
        break
      case 'verify':
        step(node, { type: 'verified', handle: effect.handle, ok: check(effect), nowUs })
        break
      case 'persist':
        if (effect.barrier !== undefined) inputs.push([node, { type: 'durable', barrier: effect.barrier, nowUs }])
        break
      case 'timerAt':
        timers[node] = effect.atUs
        break
      case 'emit': {
        const position = effect.batch.messages.at(-1)?.position
        if (position !== undefined) inputs.push([node, { type: 'applied', position: position + 1, nowUs }])
        break
      }
      case 'placed':
        placed++
        break
      case 'checkpoint':
        inputs.push([node, { type: 'appState', step: effect.step, hashes: new Uint8Array(32), nowUs }])
        break
      default:
        break
    }
  }
}
