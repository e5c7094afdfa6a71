/** Nodes of a cluster in one process, for tests: keys, books, links on free ports. */
import { createHash, createPublicKey, generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto'
import { createServer, type Server } from 'node:net'
import { constantsFor, type Epoch, makeEpoch } from '@concordmq/consensus'
import type { LogFields, Logger } from '../telemetry/logger.ts'
import { nodeCryptography } from './host/cryptography.ts'
import { type Members, membersOf } from './identity/members.ts'
import { pointOf } from './identity/node-keys.ts'
import { Links, type PeerEvents } from './links/links.ts'
import { openTransports, type TransportChoice } from './links/open-transports.ts'
import { splitAddress } from './links/transport.ts'

export function makeKeys(n: number): KeyObject[] {
  return Array.from({ length: n }, () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey)
}

export interface BookOf {
  readonly keys: readonly KeyObject[]
  readonly addresses?: readonly string[]
  readonly network?: string
  readonly number?: number
  /** Those who may change the book: one of them is enough. */
  readonly operators?: readonly KeyObject[]
}

export function makeTestEpoch({ keys, addresses, network = 'test', number = 0, operators = [] }: BookOf): Epoch {
  const nodes = keys.map((key, i) => ({
    publicKey: pointOf(createPublicKey(key)),
    address: addresses?.[i] ?? '127.0.0.1:1',
  }))
  const record = {
    number,
    networkId: Buffer.from(network),
    nodes,
    constants: constantsFor(keys.length),
    operators: {
      threshold: Math.min(1, operators.length),
      keys: operators.map((key) => pointOf(createPublicKey(key))),
    },
    previousHash: new Uint8Array(32),
  }
  return makeEpoch(record, nodeCryptography(keys[0] ?? generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey))
}

export function makeMembers(epoch: Epoch, privateKey: KeyObject, settings = 'equal'): Members {
  return membersOf({
    epoch,
    privateKey,
    publicKey: createPublicKey(privateKey),
    settingsDigest: createHash('sha256').update(settings).digest(),
    instance: randomBytes(16),
    programVersion: '0.1.0',
  })
}

export interface LogLine {
  readonly level: string
  readonly fields: LogFields
  readonly message: string
}

/** A logger that keeps its lines. */
export function recordingLogger(lines: LogLine[]): Logger {
  const at =
    (level: string) =>
    (fields: LogFields, message: string): void =>
      void lines.push({ level, fields, message })
  return { error: at('error'), warn: at('warn'), info: at('info'), debug: at('debug'), debugEnabled: true }
}

export interface TestNode {
  readonly links: Links
  readonly lines: LogLine[]
  readonly frames: { readonly from: number; readonly frame: Uint8Array }[]
  /** `+2`: a link to node 2 came up; `-2`: it ended. */
  readonly changes: string[]
  /** Resolves when the predicate holds; looked at after each event. */
  until(holds: () => boolean, what: string): Promise<void>
}

/** Opens links on its address in the book, or another one. */
export async function openNode(
  members: Members,
  choice: TransportChoice,
  address = members.self.address,
  frameCostUs = 1,
): Promise<TestNode> {
  const lines: LogLine[] = []
  const frames: TestNode['frames'] = []
  const changes: string[] = []
  const waiting = new Set<() => void>()
  const happened = (): void => {
    for (const look of [...waiting]) look()
  }
  const logger = recordingLogger(lines)
  const events: PeerEvents = {
    frame(from, frame) {
      frames.push({ from, frame: Uint8Array.from(frame) })
      queueMicrotask(happened)
      return frameCostUs
    },
    link(peer, up) {
      changes.push(`${up ? '+' : '-'}${peer}`)
      queueMicrotask(happened)
    },
    rtt: happened,
  }
  const { host, port } = splitAddress(address)
  const links = await Links.open({
    members,
    open: (current, transportEvents) => openTransports({ choice, host, port }, logger, current, transportEvents),
    frameBytesMax: 1024 * 1024 + 1024,
    events,
    logger,
    nowUs: () => Date.now() * 1000,
    random: Math.random,
  })
  const until = (holds: () => boolean, what: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const end = (): void => {
        clearTimeout(timer)
        clearInterval(poll)
        waiting.delete(look)
      }
      const look = (): void => {
        if (!holds()) return
        end()
        resolve()
      }
      const timer = setTimeout(() => {
        end()
        const said = lines.map(({ level, message }) => `${level} ${message}`).join('\n')
        reject(new Error(`waited for ${what} in vain; links ${changes.join(' ')}\n${said}`))
      }, 15_000)
      // Log lines come without an event.
      const poll = setInterval(look, 20)
      waiting.add(look)
      look()
    })
  return { links, lines, frames, changes, until }
}

/** Ports that were free a moment ago: nodes must know each other's before they listen. */
export async function freeAddresses(n: number, host = '127.0.0.1'): Promise<string[]> {
  const servers: Server[] = []
  const addresses: string[] = []
  for (let i = 0; i < n; i++) {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, host.replace(/^\[(.*)\]$/, '$1'), resolve))
    servers.push(server)
    addresses.push(`${host}:${(server.address() as { port: number }).port}`)
  }
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return addresses
}
