/**
 * Two of four nodes are killed: nothing can be ordered. What clients of the others see then is the operator's choice, and each of
 * the three does as it is written (architecture section 3.5): `local` hands a message at once to this node's transient sessions, marked,
 * and not again when it has its place; `queue` keeps it; `refuse` says so. When one node is back the order goes on by itself. What was
 * acknowledged meanwhile is ordered although the node that said so is killed, too.
 */
import { setTimeout as wait } from 'node:timers/promises'
import { type ClusterProcesses, startCluster } from '../../testkit/src/cluster-process.ts'
import { FlowClient } from '../../testkit/src/flow-client.ts'
import type { Received } from '../../testkit/src/wire.ts'
import * as wire from '../../testkit/src/wire.ts'
import { finished, folder, type Verdict } from './proof.ts'

export const policies = ['local', 'queue', 'refuse'] as const
export type Policy = (typeof policies)[number]

export interface StallProofOptions {
  readonly policy: Policy
  readonly withinMs: number
  readonly say?: (line: string) => void
}

const nodes = 4
const quotaExceeded = 0x97
/** How soon the order must go on when a quorum is back. */
const healWithinMs = 10_000
const beatMs = 100
/** So many more are answered before the node is killed. */
const beatsAfter = 10
/** Who comes during the stall. */
const newcomers = 3
/** A node that misses others submits ticks after half of `cluster.node-timeout-ms`, which is 10 s. */
const ticksMs = 6_000

/** A transient client of a node that publishes numbers at QoS 1 and sees what all publish. */
class Watcher {
  readonly subscribed: Promise<void>
  /** PUBACK by number. */
  readonly answers = new Map<number, number>()
  /** How often each text came, and how often it was marked as not ordered. */
  readonly seen = new Map<string, number>()
  readonly marked = new Set<string>()
  readonly #client: FlowClient
  readonly #waiting: { readonly holds: () => boolean; readonly resolve: () => void }[] = []

  constructor(cluster: ClusterProcesses, node: number) {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.subscribed = promise
    const { target } = cluster.process(node)
    this.#client = new FlowClient(target, {
      version: 5,
      connect: { clientId: `watcher-${node}` },
      onPacket: (packet, client) => {
        if (packet.type === 'CONNACK') client.send(wire.subscribe(5, 65_535, [['stall/#', 1]]))
        else if (packet.type === 'SUBACK') resolve()
        else this.#received(packet)
      },
    })
  }

  publish(number: number, text: string): void {
    this.#client.send(wire.publish(5, 'stall/topic', text, { qos: 1, id: number }))
  }

  /** When it holds; looked at after each packet. */
  until(holds: () => boolean): Promise<void> {
    if (holds()) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push({ holds, resolve }))
  }

  close(): void {
    this.#client.disconnect()
  }

  #received(packet: Received): void {
    if (packet.type === 'PUBACK') this.answers.set(packet.id, packet.reason)
    if (packet.type === 'PUBLISH') {
      const text = packet.payload.toString()
      this.seen.set(text, (this.seen.get(text) ?? 0) + 1)
      const properties = wire.propertiesOf(packet, 'userProperty')
      if (properties.some((pair) => Array.isArray(pair) && pair[0] === 'concord-ordered' && pair[1] === 'false'))
        this.marked.add(text)
    }
    for (const one of this.#waiting.slice()) {
      if (!one.holds()) continue
      this.#waiting.splice(this.#waiting.indexOf(one), 1)
      one.resolve()
    }
  }
}

export async function proveStall({ policy, withinMs, say = () => {} }: StallProofOptions): Promise<Verdict> {
  await using directory = await folder()
  const flags = ['--on-stall', policy]
  await using cluster = await startCluster({ nodes, directory: directory.path, flags })
  const violations: string[] = []
  const figures: Record<string, number> = {}
  try {
    await stall(policy, cluster, {
      violations,
      figures,
      say,
      within: (all) => finished(all, withinMs, () => cluster.logs),
    })
  } catch (error) {
    violations.push(error instanceof Error ? error.message : String(error))
  }
  return { violations, figures }
}

/**
 * What a node acknowledged while nothing was ordered has its place, although the node is killed at once. `since`: its publisher began
 * before the node noticed; or behind clients that came during the stall, and the ticks of a node that waits for others: their
 * commands must be kept, too, or nobody would apply what follows them.
 */
export async function proveStallKept({
  since,
  withinMs,
  say = () => {},
}: Omit<StallProofOptions, 'policy'> & { readonly since: 'before' | 'others' }): Promise<Verdict> {
  await using directory = await folder()
  await using cluster = await startCluster({ nodes, directory: directory.path })
  const violations: string[] = []
  const figures: Record<string, number> = {}
  const within = (all: readonly Promise<unknown>[]): Promise<void> => finished(all, withinMs, () => cluster.logs)
  try {
    const here = await joined(cluster, 0, within)
    const there = await joined(cluster, 1, within)
    const noticed = cluster.process(0).logs(/"mode":"stalled"/)
    await Promise.all([cluster.kill(2), cluster.kill(3)])
    const early = since === 'before' ? beats(here) : undefined
    await within([noticed])
    if (since === 'others') {
      for (let i = 0; i < newcomers; i++) await within([cluster.served(0)])
      await wait(ticksMs)
    }
    const beat = early ?? beats(here)
    const begun = beat.last
    await within([here.until(() => here.answers.size >= begun - 1 + beatsAfter)])
    beat.stop()
    await cluster.kill(0)
    const acknowledged = [...here.answers].filter(([, reason]) => reason < 0x80).map(([number]) => number)
    say(`${acknowledged.length} were acknowledged; all nodes but one are killed`)
    await Promise.all([cluster.start(0), cluster.start(2)])
    await within([there.until(() => acknowledged.every((number) => there.seen.has(String(number))))])
    for (const [text, times] of there.seen) if (times > 1) violations.push(`${text} came ${times} times`)
    Object.assign(figures, { acknowledged: acknowledged.length })
    there.close()
  } catch (error) {
    violations.push(error instanceof Error ? error.message : String(error))
  }
  return { violations, figures }
}

/** All three, one after the other, and what is kept. */
export async function proveStalls(options: Omit<StallProofOptions, 'policy'>): Promise<Verdict> {
  const violations: string[] = []
  const figures: Record<string, number> = {}
  const take = (of: string, verdict: Verdict): void => {
    violations.push(...verdict.violations)
    for (const [name, value] of Object.entries(verdict.figures)) figures[`${of}.${name}`] = value
  }
  for (const policy of policies) take(policy, await proveStall({ ...options, policy }))
  for (const since of ['before', 'others'] as const) take(`kept.${since}`, await proveStallKept({ ...options, since }))
  return { violations, figures }
}

interface Run {
  readonly violations: string[]
  readonly figures: Record<string, number>
  readonly say: (line: string) => void
  readonly within: (all: readonly Promise<unknown>[]) => Promise<void>
}

async function stall(
  policy: Policy,
  cluster: ClusterProcesses,
  { violations, figures, say, within }: Run,
): Promise<void> {
  const here = await joined(cluster, 0, within)
  const there = await joined(cluster, 1, within)
  here.publish(1, 'before')
  await within([here, there].map((one) => one.until(() => one.seen.has('before'))))
  say(`${policy}: two of four are killed`)
  const stalls = cluster.process(0).logs(/"mode":"stalled"/)
  await Promise.all([cluster.kill(2), cluster.kill(3)])
  // Answers leave in the order of their requests: what is under way when the stall is noticed cannot be refused any more.
  if (policy === 'refuse') await within([stalls])
  const beat = beats(here)
  const answered = (): boolean =>
    [...here.answers].some(([number, reason]) => number > 1 && expected(policy, here, number, reason))
  if (policy !== 'queue') await within([here.until(answered)])
  const during = beat.last
  if (policy === 'queue' && there.seen.size > 1) violations.push('queue: something was delivered without its place')
  say(`${policy}: one is back`)
  const begunMs = performance.now()
  await cluster.start(2)
  const startedMs = performance.now()
  await within([there.until(() => [...there.seen.keys()].some((text) => Number(text) > during))])
  figures['healMs'] = Math.round(performance.now() - begunMs)
  if (performance.now() - startedMs > healWithinMs)
    violations.push(`${policy}: healed only after ${figures['healMs']} ms`)
  beat.stop()
  const taken = [...here.answers].filter(([, reason]) => reason < 0x80).map(([number]) => number)
  await within([
    here.until(() => here.answers.size >= beat.last),
    ...[here, there].map((one) => one.until(() => has(one, taken))),
  ])
  for (const one of [here, there]) {
    for (const [text, times] of one.seen) if (times > 1) violations.push(`${policy}: ${text} came ${times} times`)
  }
  if (policy !== 'local' && here.marked.size > 0) violations.push(`${policy}: deliveries are marked as not ordered`)
  if (there.marked.size > 0) violations.push(`${policy}: the other node delivered what had no place`)
  const refused = [...here.answers.values()].filter((reason) => reason === quotaExceeded).length
  if (policy !== 'refuse' && refused > 0) violations.push(`${policy}: ${refused} were refused`)
  Object.assign(figures, { published: beat.last, marked: here.marked.size, refused })
  here.close()
  there.close()
}

async function joined(cluster: ClusterProcesses, node: number, within: Run['within']): Promise<Watcher> {
  await within([cluster.served(node)])
  const watcher = new Watcher(cluster, node)
  await within([watcher.subscribed])
  return watcher
}

/** Whether this answer shows that the policy is at work. */
function expected(policy: Policy, here: Watcher, number: number, reason: number): boolean {
  return policy === 'refuse' ? reason === quotaExceeded : here.marked.has(String(number))
}

function has(one: Watcher, numbers: readonly number[]): boolean {
  return numbers.every((number) => number === 1 || one.seen.has(String(number)))
}

/** Publishes the numbers from 2 on, one after the other. */
function beats(client: Watcher): { readonly last: number; stop(): void } {
  let last = 1
  const timer = setInterval(() => client.publish(++last, String(last)), beatMs)
  return {
    get last() {
      return last
    },
    stop: () => clearInterval(timer),
  }
}
