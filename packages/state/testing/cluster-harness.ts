/** For tests of the machine in a cluster: bundles of several nodes, each at a place of its own, and effects as lines of text. */
import { PublishRun } from '@concordmq/protocol'
import type { Command, ConnectionId } from '../src/commands/commands.ts'
import { Machine } from '../src/machine.ts'
import type { Message } from '../src/messages/message.ts'
import { BundleWriter, type RunAuthor } from '../src/nodes/bundle.ts'
import type { BundleEffects } from '../src/nodes/bundle-effects.ts'
import { type MachineSettings, machineSettings } from '../src/settings.ts'
import { message, tracingEffects } from './harness.ts'

const SECOND = 1_000_000

/** Payloads of a run as `PublishRun` shows packets that came in. */
export function runOf(
  topic: string,
  payloads: readonly string[],
  qos: 0 | 1 | 2,
  ids: readonly number[] = [],
): PublishRun {
  const run = new PublishRun()
  const bytes: number[] = []
  for (const [i, payload] of payloads.entries()) {
    run.heads[i] = bytes.length
    run.ids[i] = bytes.length
    bytes.push((ids[i] ?? 1) >> 8, (ids[i] ?? 1) & 255)
    run.payloads[i] = bytes.length
    bytes.push(...new TextEncoder().encode(payload))
  }
  run.buf = Uint8Array.from(bytes)
  run.end = bytes.length
  run.count = payloads.length
  run.qos = qos
  run.topicBuf = new TextEncoder().encode(topic)
  run.topicStart = 0
  run.topicEnd = run.topicBuf.length
  return run
}

export class ClusterHarness {
  machine: Machine
  readonly lines: string[] = []
  readonly settings: MachineSettings
  timeUs = 1_000 * SECOND
  position = 0
  step = 0
  readonly writer = new BundleWriter()

  constructor(settings: Partial<MachineSettings> = {}) {
    this.settings = machineSettings({ settlementLagMax: 0, replicated: true, ...settings })
    this.machine = new Machine(this.settings)
  }

  readonly effects: BundleEffects = {
    ...tracingEffects(this.lines),
    run: (run, { position, index, publisher }) => {
      const payloads: string[] = []
      for (let i = 0; i < run.count; i++) payloads.push(new TextDecoder().decode(run.copyPayload(i)))
      const topic = new TextDecoder().decode(run.topicBuf.subarray(run.topicStart, run.topicEnd))
      this.lines.push(`run ${topic} ${payloads.join()} ${position}.${index} by ${publisher}`)
    },
    applying: () => {},
    answered: (node, { number }, item, outcome) =>
      void this.lines.push(`answered ${node} ${number}.${item} ${outcome.type}`),
    nodeFell: (node, incarnation) => void this.lines.push(`nodeFell ${node} ${incarnation}`),
  }

  /** The lines since the last call; without answers unless asked for. */
  take({ answers = false }: { readonly answers?: boolean } = {}): string[] {
    return this.lines.splice(0).filter((line) => answers || !line.startsWith('answered'))
  }

  bundle(incarnation: number, number: number, ...commands: readonly Command[]): Uint8Array {
    this.writer.begin(incarnation, number)
    for (const command of commands) this.writer.command(command)
    return this.writer.take()
  }

  run(incarnation: number, number: number, run: PublishRun, author: RunAuthor): Uint8Array {
    this.writer.begin(incarnation, number)
    this.writer.run(run, author)
    return this.writer.take()
  }

  /** Bytes of a node at the next position. */
  order(node: number, bytes: Uint8Array): string[] {
    this.machine.applyBundle({ position: this.position++, timeUs: this.timeUs, node, bytes }, this.effects)
    return this.take()
  }

  start(node: number, incarnation = 1): string[] {
    return this.order(node, this.bundle(incarnation, 0, { type: 'start', node, incarnation }))
  }

  /** A unit without messages of ours, in a step of its own; `silent`: the nodes that were not heard. */
  unit(silent: readonly number[] = [], jailed: readonly number[] = []): string[] {
    let linearised = 0xf
    for (const node of silent) linearised &= ~(1 << node)
    const bits = jailed.reduce((mask, node) => mask | (1 << node), 0)
    const place = { position: this.position, timeUs: this.timeUs }
    this.machine.beginUnit({ ...place, step: ++this.step, linearised, jailed: bits }, this.effects)
    return this.take()
  }

  connect(connection: ConnectionId, clientId: string, more: { expiry?: number; will?: Message } = {}): Command {
    const { expiry = 0, will } = more
    return {
      type: 'connect',
      connection,
      clientId,
      principal: '',
      version: 5,
      cleanStart: false,
      sessionExpirySeconds: expiry,
      receiveMaximum: 10,
      ...(will !== undefined && { will: { message: will, delaySeconds: 0 } }),
    }
  }

  subscribe(connection: ConnectionId, clientId: string, filter: string, qos: 0 | 1 | 2 = 2): Command {
    const order = { noLocal: false, retainAsPublished: false, retainHandling: 0, subscriptionId: 0 } as const
    return { type: 'subscribe', connection, clientId, subscriptions: [{ ...order, filter, qos }] }
  }

  publish(topic: string, options: Partial<Message> & { connection?: ConnectionId; receipt?: number } = {}): Command {
    const { connection, receipt, ...rest } = options
    return {
      type: 'publish',
      message: message(topic, rest.publisher ?? '', rest),
      ...(connection !== undefined && { connection }),
      ...(receipt !== undefined && { receipt }),
    }
  }
}

export function at(node: number, counter: number, incarnation = 1): ConnectionId {
  return { node, incarnation, counter }
}
