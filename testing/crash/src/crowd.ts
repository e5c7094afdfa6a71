/** Everybody who is at work while the broker is killed, and what they do in a tick. */
import type { Random } from '../../testkit/src/random.ts'
import type { Target } from '../../testkit/src/raw-client.ts'
import type { Version } from '../../testkit/src/wire.ts'
import { Ephemeral, Fleeting, lookAtRetained, Mourned, Retainer } from './bystanders.ts'
import { type CrashModel, willTopic } from './model.ts'
import { Publisher } from './publisher.ts'
import { Subscriber } from './subscriber.ts'

const versions: readonly Version[] = [3, 4, 5]
const topics: readonly string[] = ['t/0', 't/1', 't/2', 't/3']
const changing: readonly string[] = ['c/0', 'c/1']
const retained: readonly string[] = ['r/0', 'r/1', 'r/2']
/** How long nothing may be missing and nothing come, before the run is over: delayed wills take a second. */
const quietMs = 2_500

export class Crowd {
  readonly #model: CrashModel
  readonly #random: Random
  readonly #publishers: readonly Publisher[]
  /** There in every cycle. */
  readonly #steady: readonly Subscriber[]
  /** There in some. */
  readonly #sleepers: readonly Subscriber[]
  readonly #mourned: readonly Mourned[]
  readonly #retainers: readonly Retainer[]
  readonly #ephemerals: readonly Ephemeral[]
  readonly #fleeting: Fleeting

  constructor(model: CrashModel, random: Random) {
    this.#model = model
    this.#random = random
    const both = { model, random }
    this.#publishers = versions.map(
      (version) =>
        new Publisher({ name: `p${version}`, version, topics: [...topics, ...changing], window: 40, ...both }),
    )
    const subscriber = (name: string, i: number): Subscriber =>
      new Subscriber({
        name,
        version: versions[i % 3] as Version,
        qos: i % 2 === 0 ? 2 : 1,
        topics: topics.slice(0, 1 + (i % 4)),
        changing,
        ...both,
      })
    const watcher = { name: 'watcher', version: 5, qos: 2, topics: [willTopic], changing: [], ...both } as const
    this.#steady = [subscriber('s0', 0), subscriber('s1', 1), subscriber('s2', 3), new Subscriber(watcher)]
    this.#sleepers = [subscriber('z0', 2), subscriber('z1', 3), subscriber('z2', 4), subscriber('z3', 7)]
    this.#mourned = ['m0', 'm1', 'm2'].map((name) => new Mourned({ name, ...both }))
    this.#retainers = retained.map((topic) => new Retainer({ topic, model }))
    this.#ephemerals = ['e0', 'e1'].map((name) => new Ephemeral({ name, model }))
    this.#fleeting = new Fleeting(model)
  }

  get acknowledged(): number {
    return this.#publishers.reduce((sum, publisher) => sum + publisher.acknowledged, 0)
  }

  connect(target: Target): void {
    const { below } = this.#random
    for (const one of [...this.#publishers, ...this.#steady, ...this.#retainers]) one.connect(target)
    for (const one of this.#sleepers) if (below(3) === 0) one.connect(target)
    for (const one of this.#mourned) if (below(4) > 0) one.connect(target)
    for (const one of this.#ephemerals) if (below(4) === 0) one.connect(target)
    this.#fleeting.connect(target, { reads: below(4) === 0 })
    lookAtRetained(target, retained, this.#model)
  }

  /** What happens between two looks at the clock. */
  act(): void {
    const { below, pick } = this.#random
    for (const one of this.#publishers) one.pump(below(8))
    for (const one of [...this.#steady, ...this.#sleepers]) one.acknowledge({ all: false })
    for (const one of this.#retainers) one.pump()
    if (below(4) === 0) pick(this.#steady).change()
    if (below(4) === 0) pick(this.#sleepers).change()
    if (below(30) === 0) pick(this.#sleepers).leave({ properly: below(2) === 0 })
    if (below(20) === 0) pick(this.#mourned).leave()
    if (below(40) === 0) pick(this.#ephemerals).leave()
    if (below(30) === 0) this.#fleeting.leave()
    if (below(4) === 0) this.#fleeting.pump()
  }

  /** All connections are gone. */
  lost(): void {
    for (const one of [...this.#publishers, ...this.#steady, ...this.#sleepers]) one.lost()
    for (const one of [...this.#mourned, ...this.#retainers, ...this.#ephemerals]) one.lost()
    this.#fleeting.lost()
  }

  /** Everybody comes and nothing new is sent; waits until nothing is missing and nothing comes. */
  async finish(target: Target, withinMs: number): Promise<void> {
    for (const one of [...this.#publishers, ...this.#steady, ...this.#sleepers]) one.connect(target)
    const deadline = performance.now() + withinMs
    let arrivals = -1
    let quietSince = performance.now()
    while (performance.now() < deadline && performance.now() - quietSince < quietMs) {
      const subscribers = [...this.#steady, ...this.#sleepers]
      for (const one of subscribers) one.acknowledge({ all: true })
      await new Promise((resolve) => setTimeout(resolve, 10))
      const idle = this.#publishers.every((one) => one.idle) && subscribers.every((one) => one.idle)
      if (idle && this.#model.arrivals === arrivals && (performance.now() - quietSince < 100 || this.#model.complete))
        continue
      arrivals = this.#model.arrivals
      quietSince = performance.now()
    }
  }
}
