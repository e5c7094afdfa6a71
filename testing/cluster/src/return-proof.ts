/**
 * How long clients notice that a node was killed: until the order goes on at the others, until a client of the dead node is served
 * by another one, and until the node, started again, serves clients itself. A pulse of small messages goes through every node all
 * the time, and every client sees the pulse of all.
 */
import { setTimeout as after } from 'node:timers/promises'
import { type ClusterProcesses, startCluster } from '../../testkit/src/cluster-process.ts'
import { randomFrom } from '../../testkit/src/random.ts'
import type { Received } from '../../testkit/src/wire.ts'
import * as wire from '../../testkit/src/wire.ts'
import { finished, folder, type Verdict } from './proof.ts'
import { RoamingClient } from './roaming-client.ts'

export interface ReturnProofOptions {
  readonly nodes: number
  readonly kills: number
  readonly seed: number
  /** Longest time from the kill to the next message, and to the next answer to CONNECT, ms. */
  readonly resumedWithinMs: number
  /** Longest time from when a node that was started again listens until it takes a client, ms. */
  readonly servedWithinMs: number
  readonly withinMs: number
  readonly flags?: readonly string[]
  readonly say?: (line: string) => void
}

const pulseMs = 20
const lookMs = 5
/** Between the return of one node and the next kill. */
const restMs = 1_000

/** A client that goes to another node when its own dies, publishes all the time, and sees what all publish. */
class Pulse {
  readonly name: string
  readonly ready: Promise<void>
  /** When it last got an answer to CONNECT, ms. */
  connectedMs = Number.NEGATIVE_INFINITY
  readonly #client: RoamingClient
  readonly #timer: NodeJS.Timeout
  readonly #waiting: { readonly sinceMs: number; readonly but: string; readonly seen: (atMs: number) => void }[] = []
  #id = 0

  constructor(cluster: ClusterProcesses, node: number, life = 0) {
    this.name = `pulse-${node}-${life}`
    const { promise, resolve } = Promise.withResolvers<void>()
    this.ready = promise
    this.#client = new RoamingClient({
      places: cluster,
      node,
      connect: { clientId: this.name },
      acknowledges: true,
      connected: (client) => {
        this.connectedMs = performance.now()
        client.send(wire.subscribe(5, 65_535, [['pulse/#', 0]]))
      },
      received: (packet) => this.#received(packet, resolve),
    })
    this.#timer = setInterval(() => this.#beat(), pulseMs)
  }

  /** When a message arrives that another one than `but` sent after `sinceMs`. */
  seen(sinceMs: number, but: string): Promise<number> {
    return new Promise((resolve) => {
      this.#waiting.push({ sinceMs, but, seen: resolve })
    })
  }

  async reconnected(sinceMs: number): Promise<number> {
    while (this.connectedMs < sinceMs) await after(lookMs)
    return this.connectedMs
  }

  close(): void {
    clearInterval(this.#timer)
    this.#client.close()
  }

  #beat(): void {
    this.#id = (this.#id % 60_000) + 1
    const payload = `${this.name} ${performance.now()}`
    this.#client.client?.send(wire.publish(5, `pulse/${this.name}`, payload, { qos: 1, id: this.#id }))
  }

  #received({ type, payload }: Received, ready: () => void): void {
    if (type === 'SUBACK') ready()
    if (type !== 'PUBLISH') return
    const [name, sentMs] = payload.toString().split(' ')
    for (const one of this.#waiting.slice()) {
      if (name === one.but || Number(sentMs) < one.sinceMs) continue
      this.#waiting.splice(this.#waiting.indexOf(one), 1)
      one.seen(performance.now())
    }
  }
}

export async function proveReturns(options: ReturnProofOptions): Promise<Verdict> {
  const { nodes, kills, seed, withinMs, say = () => {} } = options
  const random = randomFrom(seed)
  await using directory = await folder()
  await using cluster = await startCluster({ nodes, directory: directory.path, flags: options.flags ?? [] })
  const pulses = cluster.alive.map((node) => new Pulse(cluster, node))
  const times: Record<'resumed' | 'elsewhere' | 'started' | 'served', number[]> = {
    resumed: [],
    elsewhere: [],
    started: [],
    served: [],
  }
  const violations: string[] = []
  const within = async <Value>(what: string, promise: Promise<Value>): Promise<Value> => {
    await finished([promise], withinMs, () => `${what}\n${cluster.logs}`)
    return await promise
  }
  try {
    await within('SUBACK is missing', Promise.all(pulses.map(({ ready }) => ready)))
    for (let kill = 0; kill < kills; kill++) {
      await after(restMs + random.below(restMs))
      const victim = random.below(nodes)
      const orphan = pulses[victim] as Pulse
      const witness = pulses[(victim + 1) % nodes] as Pulse
      const killedMs = performance.now()
      const dead = cluster.kill(victim)
      const resumed = within('the order stands still', witness.seen(killedMs, witness.name))
      const elsewhere = within('its client is served nowhere', orphan.reconnected(killedMs))
      times.resumed.push((await resumed) - killedMs)
      times.elsewhere.push((await elsewhere) - killedMs)
      await dead
      const begunMs = performance.now()
      await cluster.start(victim)
      const startedMs = performance.now()
      times.started.push(startedMs - begunMs)
      await within('the node serves nobody', cluster.served(victim))
      times.served.push(performance.now() - startedMs)
      orphan.close()
      pulses[victim] = new Pulse(cluster, victim, kill + 1)
      await within('SUBACK is missing', pulses[victim].ready)
      say(
        `kill ${kill + 1}: node ${victim}, ${Object.entries(times)
          .map(([name, all]) => `${name} ${Math.round(all.at(-1) ?? 0)}`)
          .join(', ')} ms`,
      )
    }
  } catch (error) {
    violations.push(error instanceof Error ? error.message : String(error))
  }
  for (const one of pulses) one.close()
  const { resumedWithinMs, servedWithinMs } = options
  for (const [name, bar] of [
    ['resumed', resumedWithinMs],
    ['elsewhere', resumedWithinMs],
    ['served', servedWithinMs],
  ] as const) {
    const late = times[name].filter((ms) => ms > bar)
    if (late.length > 0) violations.push(`${name}: ${late.map(Math.round).join(', ')} ms, more than ${bar}`)
  }
  return { violations, figures: { nodes, kills, seed, ...summary(times) } }
}

function summary(times: Readonly<Record<string, readonly number[]>>): Record<string, number> {
  const figures: Record<string, number> = {}
  for (const [name, all] of Object.entries(times)) {
    const sorted = all.toSorted((a, b) => a - b)
    figures[`${name}MsMedian`] = Math.round(sorted[sorted.length >> 1] ?? 0)
    figures[`${name}MsMax`] = Math.round(sorted.at(-1) ?? 0)
  }
  return figures
}
