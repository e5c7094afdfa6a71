/**
 * A node's two machines, its order and its sessions, with clients whose sockets the test holds in its hand. All parts are
 * the broker's own; only the socket at the end is a list of bytes.
 */
import assert from 'node:assert/strict'
import { type DisconnectPacket, decodePacket, Framer, isRefusal, type Packet, type QoS } from '@concordmq/protocol'
import {
  type Command,
  type ConnectCommand,
  type ConnectionId,
  Machine,
  type MachineSettings,
  machineSettings,
  OutboundWindow,
  type PlacedMessage,
} from '@concordmq/state'
import { Guard } from '../access/permissions.ts'
import { Outbox, type OutboxLimits } from '../delivery/outbox.ts'
import { CONGESTED_BYTES, Output } from '../delivery/output.ts'
import { LocalSequencer } from '../ordering/local-sequencer.ts'
import { ContentReader } from '../storage/content-reader.ts'
import { MemoryJournal } from '../storage/journal.ts'
import { Counters } from '../telemetry/counters.ts'
import { silentLogger } from '../telemetry/logger.ts'
import type { KeptFeed } from './kept-feed.ts'
import { type Entering, type SessionConnection, SessionDriver } from './session-driver.ts'

export interface ClientOptions {
  /** Session expiry, seconds; 0: transient. */
  readonly expiry?: number
  readonly cleanStart?: boolean
  readonly receiveMaximum?: number
  readonly packetBytesMax?: number
  readonly will?: ConnectCommand['will']
}

export class TestClient implements SessionConnection {
  readonly node: TestNode
  readonly clientId: string
  readonly id: ConnectionId
  readonly v5 = true
  readonly principal = ''
  readonly remoteAddress = ''
  readonly grants = undefined
  rights: unknown
  readonly willTopic = undefined
  readonly conversation: { readonly version: 5; readonly clientPacketBytesMax: number }
  kept = false
  feed: KeptFeed | undefined
  entered: Entering | undefined
  /** The socket takes nothing. */
  stuck = false
  readonly expelled: number[] = []
  readonly output: Output
  readonly #receiveMaximum: number
  readonly #framer = new Framer({ packetBytesMax: 1 << 28, side: 'client' })
  #packets: Packet[] = []
  #outbox: Outbox | undefined

  constructor(node: TestNode, clientId: string, counter: number, options: ClientOptions) {
    this.node = node
    this.clientId = clientId
    this.id = { node: 0, incarnation: 1, counter }
    this.conversation = { version: 5, clientPacketBytesMax: options.packetBytesMax ?? 1 << 28 }
    this.#receiveMaximum = options.receiveMaximum ?? 65_535
    const pending = (): number => (this.stuck ? CONGESTED_BYTES + 1 : 0)
    const transport = {
      get pending() {
        return pending()
      },
      write: (chunks: readonly Uint8Array[], count: number) => {
        for (const chunk of chunks.slice(0, count)) this.#read(chunk)
      },
    }
    this.output = new Output(transport, { counters: node.counters, add() {} })
  }

  get outbox(): Outbox {
    this.#outbox ??= this.makeOutbox(0)
    return this.#outbox
  }

  get hasOutbox(): boolean {
    return this.#outbox !== undefined
  }

  makeOutbox(firstNumber: number): Outbox {
    const window = new OutboundWindow(this.#receiveMaximum, firstNumber)
    const { counters, limits } = this.node
    const { clientPacketBytesMax } = this.conversation
    this.#outbox = new Outbox(this.output, window, clientPacketBytesMax, limits, counters, {
      overflow() {},
      sharedSettled: (q, outcome, code) => this.node.driver.sharedSettled(this, q, outcome, code),
    })
    return this.#outbox
  }

  expelUnkept(): void {
    this.expelled.push(0x97)
  }

  expel(reasonCode: number): void {
    this.expelled.push(reasonCode)
  }

  /** Packets since the last look, in words: `PUBLISH payload qos#id`, with `d` for DUP and `r` for RETAIN. */
  arrived(): string[] {
    this.output.flush()
    const packets = this.#packets
    this.#packets = []
    return packets.map((packet) => {
      if (packet.type !== 3)
        return `${packet.type === 6 ? 'PUBREL' : packet.type} #${'packetId' in packet ? packet.packetId : 0}`
      const flags = `${packet.dup ? 'd' : ''}${packet.retain ? 'r' : ''}`
      const payload = Buffer.from(packet.payload).toString().trimEnd()
      return `${payload} ${packet.qos}${flags}${packet.packetId === undefined ? '' : `#${packet.packetId}`}`
    })
  }

  /** The socket takes bytes again. */
  ease(): void {
    this.stuck = false
    this.output.flush()
    this.feed?.pump()
  }

  subscribe(filter: string, qos: QoS = 2): number {
    let answer = -1
    const order = {
      filter,
      qos,
      noLocal: false,
      retainAsPublished: false,
      retainHandling: 0,
      subscriptionId: 0,
    } as const
    this.node.driver.subscribe(this, [order], ([code]) => (answer = code as number))
    return answer
  }

  leave(packet?: Partial<DisconnectPacket>): void {
    this.node.driver.leave(this, packet === undefined ? undefined : { type: 14, reasonCode: 0, ...packet }, 0x80)
  }

  #read(bytes: Uint8Array): void {
    const refusal = this.#framer.push(bytes, (firstByte, buf, start, end) => {
      const packet = decodePacket(firstByte, new Uint8Array(buf.subarray(start, end)), 0, end - start, 5)
      assert.ok(!isRefusal(packet), JSON.stringify(packet))
      this.#packets.push(packet)
    })
    assert.equal(refusal, undefined)
  }
}

export class TestNode {
  readonly guard = new Guard()
  readonly counters = new Counters()
  readonly commands: Command[] = []
  /** Messages that no run carried, for this node's transient sessions. */
  readonly routed: PlacedMessage[] = []
  readonly limits: OutboxLimits
  readonly driver: SessionDriver<TestClient>
  readonly ordered: Machine
  nowMs = 0
  #counter = 0

  constructor(settings: Partial<MachineSettings> = {}, limits: Partial<OutboxLimits> = {}) {
    this.limits = { queueMessagesMax: 1_000, queueBytesMax: 1e9, queueFull: 'dropQoS0', ...limits }
    this.ordered = new Machine(machineSettings(settings))
    this.driver = new SessionDriver<TestClient>({
      guard: this.guard,
      ordered: this.ordered,
      local: new Machine(machineSettings()),
      counters: this.counters,
      outboxLimits: this.limits,
      nowMs: () => this.nowMs,
      routePlaced: (placed) => this.routed.push(placed),
      routeRun() {},
      nodeRetained: () => [],
      contents: new ContentReader(() => Promise.reject(new Error('nothing is stored')), silentLogger),
    })
    const journal = new MemoryJournal((_position, _timeUs, command) => this.commands.push(command))
    this.driver.sequencer = new LocalSequencer(this.ordered, this.driver, journal)
    this.driver.start(0, 1)
  }

  connect(clientId: string, options: ClientOptions = {}): TestClient {
    const client = new TestClient(this, clientId, ++this.#counter, options)
    const { expiry = 0, cleanStart = false, receiveMaximum = 65_535, will } = options
    const command = {
      type: 'connect',
      connection: client.id,
      clientId,
      principal: '',
      version: 5,
      cleanStart,
      sessionExpirySeconds: expiry,
      receiveMaximum,
      ...(will !== undefined && { will }),
    } as const
    this.driver.enter(client, command, {
      entered: (how) => {
        client.entered = how
        if (how.type === 'connected') client.kept = how.kept
      },
      kept: (how) => {
        if (how.type === 'connected' && how.kept) this.driver.feed(client)
      },
    })
    return client
  }

  publish(
    topic: string,
    payload: string,
    qos: QoS = 1,
    more: { readonly retain?: boolean; readonly expirySeconds?: number; readonly bytes?: number } = {},
  ): void {
    const { retain = false, expirySeconds, bytes = 0 } = more
    const message = {
      topic,
      payload: Buffer.from(payload.padEnd(bytes)),
      qos,
      retain,
      publisher: '',
      ...(expirySeconds !== undefined && { expirySeconds }),
    }
    this.driver.sequencer.submit({ type: 'publish', message })
  }

  /** Commands of one type so far. */
  count(type: Command['type']): number {
    return this.commands.filter((command) => command.type === type).length
  }
}
