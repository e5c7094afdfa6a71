/**
 * `concordmq demo`: four nodes as four processes on loopback, with keys and a book of their own in a throw-away directory.
 * Clients publish at all of them and observe at all of them; one node is killed and brought back. In the end the observers'
 * lists are compared: the verdict is the last line, and the exit status.
 *
 *     start ─▶ all four ─▶ kill -9 of one ─▶ three ─▶ its return ─▶ all four ─▶ verdict
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as after, setInterval as each } from 'node:timers/promises'
import { ExitCode } from '../exit-codes.ts'
import { makeAddressBook } from '../identity/make-address-book.ts'
import { grouped } from '../terminal/table.ts'
import { DemoNode, type NodeView } from './demo-node.ts'
import { DemoObserver, DemoPublisher, hashInterval } from './demo-traffic.ts'
import { problemsOf } from './demo-verdict.ts'
import { type DemoOutput, DemoView } from './demo-view.ts'
import { freePorts } from './free-ports.ts'

export interface DemoOptions {
  /** Messages per second, of all publishers. */
  readonly rate: number
  /** How long they publish. */
  readonly seconds: number
}

const nodeCount = 4
const victim = 2
const publishEveryMs = 25
const drawEveryMs = 500
/** What is under way when publishing ends gets so long. */
const settleWithinMs = 15_000
const lastMessage = 'publisher-last:0'

/** Resolves with the exit status, after all its processes have ended. */
export async function runDemo(options: DemoOptions, output: DemoOutput = process.stdout): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), 'concordmq-demo-'))
  const demo = new Demo(options, directory, new DemoView(output))
  let interrupted = false
  const onSignal = (): void => {
    interrupted = true
    demo.interrupt()
  }
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal)
  try {
    return await demo.run()
  } catch (error) {
    if (interrupted) return ExitCode.interrupted
    output.write(`\nFAILED: ${error instanceof Error ? error.message : String(error)}\n`)
    return ExitCode.failed
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal)
    await demo.end()
    rmSync(directory, { recursive: true, force: true, maxRetries: 3 })
  }
}

class Demo {
  readonly #o: DemoOptions
  readonly #directory: string
  readonly #view: DemoView
  readonly #abort = new AbortController()
  readonly #observers = Array.from({ length: nodeCount }, (_, node) => new DemoObserver(node))
  readonly #publishers = Array.from({ length: nodeCount }, (_, node) => new DemoPublisher(node))
  readonly #last = new DemoPublisher(0, 'publisher-last')
  #nodes: DemoNode[] = []
  readonly #views: (NodeView | undefined)[] = []
  #counted: { readonly atMs: number; readonly messages: readonly number[] } | undefined

  constructor(options: DemoOptions, directory: string, view: DemoView) {
    this.#o = options
    this.#directory = directory
    this.#view = view
  }

  interrupt(): void {
    this.#abort.abort(new Error('Interrupted'))
  }

  async run(): Promise<number> {
    await this.#start()
    const stop = new AbortController()
    const background = Promise.all([this.#publish(stop.signal), this.#draw(stop.signal)])
    try {
      await this.#play()
    } finally {
      stop.abort()
      await background
    }
    await this.#settle()
    return this.#verdict()
  }

  async end(): Promise<void> {
    for (const client of [...this.#observers, ...this.#publishers, this.#last]) void client.disconnect()
    await Promise.all(this.#nodes.map((node) => node.kill()))
  }

  async #start(): Promise<void> {
    const ports = await freePorts(2 * nodeCount)
    const addresses = ports.slice(0, nodeCount).map((port) => `127.0.0.1:${port}`)
    makeAddressBook(addresses, { directory: this.#directory, force: false, say: () => {} })
    this.#view.say(`starting ${nodeCount} nodes, keys and address book in ${this.#directory}`)
    const mqttPorts = ports.slice(nodeCount)
    this.#nodes = mqttPorts.map((port, index) => new DemoNode({ directory: this.#directory, index, port }))
    await this.#unlessInterrupted(Promise.all(this.#nodes.map((node) => node.start())))
    this.#view.say(`clients at ${this.#nodes.map(({ url }) => url).join(', ')}`)
    // Publishing begins when all observe: their lists must be equal from the first message on.
    await this.#unlessInterrupted(
      Promise.all(this.#observers.map((observer, i) => observer.connect((this.#nodes[i] as DemoNode).url))),
    )
    await this.#unlessInterrupted(
      Promise.all([...this.#publishers, this.#last].map((one) => one.connect((this.#nodes[one.node] as DemoNode).url))),
    )
    this.#view.say(`a publisher and an observer at each node, ${this.#o.rate} messages per second, QoS 1 and 2`)
  }

  async #play(): Promise<void> {
    const third = (this.#o.seconds * 1000) / 3
    const { signal } = this.#abort
    const node = this.#nodes[victim] as DemoNode
    await after(third, undefined, { signal })
    const before = this.#delivered()
    await node.kill()
    this.#view.say(`node ${victim} is killed (kill -9): the other three go on`)
    await after(third, undefined, { signal })
    if (this.#delivered() <= before) throw new Error('The order stood still while one node of four was gone')
    const beginMs = performance.now()
    this.#view.say(`node ${victim} starts again, on what its disk holds`)
    await this.#unlessInterrupted(node.start())
    this.#view.say(`node ${victim} is back after ${((performance.now() - beginMs) / 1000).toFixed(1)} s`)
    await after(third, undefined, { signal })
  }

  /** What node 0 has delivered. */
  #delivered(): number {
    return this.#observers[0]?.messages.length ?? 0
  }

  async #publish(stop: AbortSignal): Promise<void> {
    const begunMs = performance.now()
    let published = 0
    for await (const _ of ticks(publishEveryMs, stop)) {
      const due = Math.floor((((performance.now() - begunMs) / 1000) * this.#o.rate) / nodeCount)
      for (const publisher of this.#publishers) publisher.publish(due - published)
      published = due
    }
  }

  async #draw(stop: AbortSignal): Promise<void> {
    for await (const _ of ticks(drawEveryMs, stop)) {
      await Promise.all(
        this.#nodes.map(async (node, i) => {
          this.#views[i] = await node.view()
        }),
      )
      if (!stop.aborted) this.#table()
    }
  }

  #table(): void {
    const nowMs = performance.now()
    const counts = this.#observers.map(({ messages }) => messages.length)
    const before = this.#counted
    // Those that are behind catch up; what others agree on can be compared meanwhile.
    const compared = this.#observers.filter(({ connected }) => connected).map(({ hashes }) => hashes.length)
    const at = compared.length === 0 ? 0 : Math.min(...compared)
    const rows = this.#observers.map((observer, node) => {
      const view = this.#views[node]
      const since = before === undefined ? 0 : (counts[node] ?? 0) - (before.messages[node] ?? 0)
      return {
        node,
        mode: view?.mode ?? (this.#nodes[node]?.alive === true ? 'starting' : 'killed'),
        position: view?.position,
        messages: observer.messages.length,
        perSecond: before === undefined ? 0 : since / ((nowMs - before.atMs) / 1000),
        hash: observer.connected && at > 0 ? (observer.hashes[at - 1] ?? '').slice(0, 16) : '-',
        p50Ms: observer.latencyMs(0.5),
        p99Ms: observer.latencyMs(0.99),
      }
    })
    this.#counted = { atMs: nowMs, messages: counts }
    this.#view.table(rows, at * hashInterval)
  }

  /** One message after all others: whoever has it has all. */
  async #settle(): Promise<void> {
    const settled = async (): Promise<void> => {
      await Promise.all(this.#publishers.map((publisher) => publisher.settled()))
      this.#last.publish(1)
      await Promise.all([this.#last.settled(), ...this.#observers.map((observer) => observer.has(lastMessage))])
    }
    const late = after(settleWithinMs, undefined, { ref: false }).then(() => {
      const counts = this.#observers.map(({ messages }) => messages.length).join(', ')
      throw new Error(`Not everything has arrived after ${settleWithinMs / 1000} s; the nodes delivered ${counts}`)
    })
    await this.#unlessInterrupted(Promise.race([settled(), late]))
  }

  #verdict(): number {
    this.#table()
    const problems = problemsOf(this.#observers, [...this.#publishers, this.#last])
    const [observer] = this.#observers
    const total = grouped(observer?.messages.length ?? 0)
    const promised = this.#publishers.reduce((sum, { acknowledged }) => sum + acknowledged.length, 0)
    if (problems.length === 0) {
      this.#view.say(
        `OK: ${nodeCount} nodes delivered ${total} messages in one order (${observer?.hash.slice(0, 16)}); ` +
          `none of ${grouped(promised)} acknowledged was lost, none of QoS 2 came twice`,
      )
      return ExitCode.done
    }
    for (const problem of problems) this.#view.say(problem)
    this.#view.say(`FAILED: ${problems.length} of the promises do not hold`)
    return ExitCode.failed
  }

  /** Rejects at once when a signal comes. */
  async #unlessInterrupted<T>(work: Promise<T>): Promise<T> {
    const { promise, reject } = Promise.withResolvers<never>()
    const onAbort = (): void => reject(this.#abort.signal.reason as Error)
    this.#abort.signal.throwIfAborted()
    this.#abort.signal.addEventListener('abort', onAbort)
    try {
      return await Promise.race([work, promise])
    } finally {
      this.#abort.signal.removeEventListener('abort', onAbort)
    }
  }
}

/** Ends without an error when stopped. */
async function* ticks(ms: number, signal: AbortSignal): AsyncGenerator<void> {
  try {
    for await (const _ of each(ms, undefined, { signal })) yield
  } catch (error) {
    if (!signal.aborted) throw error
  }
}
