/**
 * From a topic to who gets its messages: a bounded cache of resolved subscriber lists over the subscription tree.
 *
 *   bytes of the topic ──hash──▶ set of 4 ways ──same bytes──▶ Route { targets, ordered }
 *                                     │ miss
 *                                     ▼
 *                              FilterTree.match()
 *
 * A subscription change drops only what its filter can match, and lazily: the table remembers the last changed filters, a
 * route remembers how many changes it has seen, and the next use compares the new ones with its topic. So a change costs
 * nothing per cached topic, and an untouched route costs one comparison of numbers.
 */
import { filterMatches, utf8Decode } from '@concordmq/protocol'

/** A subscriber of a topic, with its matching subscriptions merged into one. */
export interface Target<S> {
  readonly subscriber: S
  /** Highest QoS granted among them. */
  readonly qos: 0 | 1 | 2
  /** Any of them asked for Retain As Published. */
  readonly retainAsPublished: boolean
  /** Identifiers of all of them, ascending; undefined: none has one. */
  readonly subscriptionIds: readonly number[] | undefined
  /** Any of them asked for time stamps; then `subscriptionIds` is not undefined, so that who has neither is told by one look. */
  readonly timestamps?: true
  /** The same for places in the order. */
  readonly positions?: true
  /** What is left for messages of the subscriber itself when some asked for No Local; undefined: nothing differs. */
  readonly own: Target<S> | 'nothing' | undefined
}

/** One matching subscription, as the tree has it. */
export interface Match<S> {
  readonly subscriber: S
  readonly qos: 0 | 1 | 2
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  readonly subscriptionId: number
  readonly timestamps?: boolean
  readonly positions?: boolean
}

/** Through the order of the cluster, beside it (`fast`), or through it unread (`sealed`). */
export type Way = 'ordered' | 'fast' | 'sealed'

export interface Route<S> {
  /** The topic's bytes, if the route is cached; never change then, so that their identity may stand for the topic. */
  readonly bytes: Uint8Array | undefined
  readonly topic: string
  targets: readonly Target<S>[]
  /** Whether messages must go through the ordered machine: a kept session or a shared group wants them. */
  ordered: boolean
  /** Whether somebody in this program wants them. */
  inline: boolean
  /** Which way they take through a cluster; never changes. */
  readonly way: Way
  version: number
  /** Targets that count as cached; -1: the route is not in the cache. Kept by the table. */
  cachedTargets: number
}

/** Where routes come from. */
export interface Resolver<S> {
  /** Calls `visit` for each matching subscription of a transient session. */
  matches(topic: string, visit: (match: Match<S>) => void): void
  /** Whether a kept session or shared group matches. */
  ordered(topic: string): boolean
  /** Whether somebody in this program wants them; absent: nobody can. */
  inline?(topic: string): boolean
  /** Which way messages of a topic take through a cluster; absent: all are ordered. */
  way?(topic: string): Way
  /** Whether there are so few subscriptions that finding subscribers is not worth a look at the clock; absent: no. */
  isQuick?(): boolean
}

const WAYS = 4
/** Hashes of topics seen once; a topic is cached at its second use, so that passing ones cost no lasting memory. */
const SEEN = 65536
/** Targets of all cached routes together: the cache is emptied above it, since topics times subscribers know no bound. */
const CACHED_TARGETS_MAX = 1 << 20
/** Changes since a route was resolved above which it is resolved anew instead of compared. */
const COMPARED_MAX = 32
/** A version so far behind that the route is resolved anew. */
const OUTDATED = -COMPARED_MAX - 1

export class RouteTable<S> {
  /** Number of subscription changes so far; a route of this version is valid. */
  version = 0
  /** Milliseconds that finding subscribers took; set back by whoever takes them into account. */
  spentMs = 0
  readonly #resolver: Resolver<S>
  readonly #sets: number
  readonly #targetsMax: number
  readonly #hashes: Int32Array
  readonly #routes: (Route<S> | undefined)[]
  /** The last changed filters, a ring. */
  readonly #changed: string[] = []
  readonly #seen = new Int32Array(SEEN)
  #victim = 0
  #swept = 0
  #cachedTargets = 0

  /** `topicsMax`: cached topics, rounded up to a power of two; `targetsMax`: targets of all of them together. */
  constructor(resolver: Resolver<S>, topicsMax: number, targetsMax: number = CACHED_TARGETS_MAX) {
    this.#targetsMax = targetsMax
    this.#resolver = resolver
    let sets = 1
    while (sets * WAYS < topicsMax) sets *= 2
    this.#sets = sets
    this.#hashes = new Int32Array(sets * WAYS)
    this.#routes = new Array(sets * WAYS)
  }

  /** A subscription with this filter came, changed or went. */
  changed(filter: string): void {
    this.#changed[this.version % COMPARED_MAX] = filter
    this.version++
  }

  /** Everything may have changed: each route is resolved anew when it is next used. */
  changedAll(): void {
    this.version += COMPARED_MAX + 1
  }

  /** The route of a topic as text. */
  lookupText(topic: string): Route<S> {
    const bytes = Buffer.from(topic)
    return this.lookup(bytes, 0, bytes.length)
  }

  /** The valid route of the topic in `buf[from, to)`. */
  lookup(buf: Uint8Array, from: number, to: number): Route<S> {
    const hash = hashOf(buf, from, to)
    const base = (hash & (this.#sets - 1)) * WAYS
    for (let way = base; way < base + WAYS; way++) {
      if (this.#hashes[way] !== hash) continue
      const route = this.#routes[way]
      if (route?.bytes !== undefined && same(route.bytes, buf, from, to)) {
        if (route.version !== this.version) this.refresh(route)
        return route
      }
    }
    const seen = this.#seen[hash & (SEEN - 1)] === hash
    const topic = utf8Decode(buf, from, to)
    const route: Route<S> = {
      bytes: seen ? copyOf(buf, from, to) : undefined,
      topic,
      targets: NO_TARGETS,
      ordered: false,
      inline: false,
      way: this.#resolver.way?.(topic) ?? 'ordered',
      version: OUTDATED,
      cachedTargets: -1,
    }
    this.#resolve(route)
    if (!seen) {
      this.#seen[hash & (SEEN - 1)] = hash
      return route
    }
    let way = base
    while (way < base + WAYS && this.#routes[way] !== undefined) way++
    if (way === base + WAYS) way = base + (this.#victim++ & (WAYS - 1))
    const victim = this.#routes[way]
    if (victim !== undefined) {
      this.#cachedTargets -= victim.cachedTargets
      victim.cachedTargets = -1
    }
    this.#hashes[way] = hash
    this.#routes[way] = route
    route.cachedTargets = 0
    this.#count(route)
    return route
  }

  /** Makes a route valid again. */
  refresh(route: Route<S>): void {
    const behind = this.version - route.version
    if (behind <= COMPARED_MAX) {
      let touched = false
      for (let v = route.version; v < this.version && !touched; v++) {
        touched = filterMatches(this.#changed[v % COMPARED_MAX] as string, route.topic)
      }
      if (!touched) {
        route.version = this.version
        return
      }
    }
    this.#resolve(route)
  }

  /**
   * Lets go of outdated lists in the next `places` of the cache: they may name subscribers that are gone, and a topic that
   * nobody publishes to any more would keep those alive. Called at intervals, so that a round takes about a minute.
   */
  sweep(places: number): void {
    for (let i = 0; i < places; i++) {
      const route = this.#routes[this.#swept]
      this.#swept = (this.#swept + 1) % this.#routes.length
      if (route === undefined || route.version === this.version || route.targets.length === 0) continue
      route.targets = NO_TARGETS
      route.version = OUTDATED
      this.#count(route)
    }
  }

  #resolve(route: Route<S>): void {
    if (this.#resolver.isQuick?.() === true) {
      this.#resolveNow(route)
      return
    }
    const begun = performance.now()
    this.#resolveNow(route)
    this.spentMs += performance.now() - begun
  }

  #resolveNow(route: Route<S>): void {
    route.version = this.version
    route.ordered = this.#resolver.ordered(route.topic)
    route.inline = this.#resolver.inline?.(route.topic) === true
    const found: Match<S>[] = []
    this.#resolver.matches(route.topic, (match) => found.push(match))
    route.targets = found.length === 0 ? NO_TARGETS : mergeMatches(found)
    if (route.cachedTargets >= 0) this.#count(route)
  }

  /** Keeps the books of a cached route, and empties the cache when there is too much in it. */
  #count(route: Route<S>): void {
    this.#cachedTargets += route.targets.length - route.cachedTargets
    route.cachedTargets = route.targets.length
    if (this.#cachedTargets <= this.#targetsMax) return
    for (const cached of this.#routes) if (cached !== undefined) cached.cachedTargets = -1
    this.#routes.fill(undefined)
    this.#cachedTargets = 0
  }

  /** Targets of all cached routes together. */
  get cachedTargets(): number {
    return this.#cachedTargets
  }
}

const NO_TARGETS: readonly never[] = []

/** One target per subscriber [MQTT-3.3.4-2] [MQTT-3.3.4-4]: overlapping subscriptions make one delivery. */
export function mergeMatches<S>(found: readonly Match<S>[]): Target<S>[] {
  if (found.length === 1) return [targetOfOne(found[0] as Match<S>)]
  const bySubscriber = new Map<S, Match<S>[]>()
  for (const match of found) {
    const others = bySubscriber.get(match.subscriber)
    if (others === undefined) bySubscriber.set(match.subscriber, [match])
    else others.push(match)
  }
  const targets: Target<S>[] = []
  for (const matches of bySubscriber.values()) targets.push(targetOf(matches))
  return targets
}

/** Most topics have one subscriber. */
function targetOfOne<S>(match: Match<S>): Target<S> {
  const { subscriber, qos, retainAsPublished, subscriptionId } = match
  if (match.noLocal || subscriptionId > 0 || match.timestamps === true || match.positions === true) {
    return targetOf([match])
  }
  return { subscriber, qos, retainAsPublished, subscriptionIds: undefined, own: undefined }
}

function targetOf<S>(matches: readonly Match<S>[]): Target<S> {
  const whole = merged(matches)
  if (!matches.some((match) => match.noLocal)) return whole
  const local = matches.filter((match) => !match.noLocal)
  return { ...whole, own: local.length === 0 ? 'nothing' : merged(local) }
}

function merged<S>(matches: readonly Match<S>[]): Target<S> {
  const ids: number[] = []
  let qos: 0 | 1 | 2 = 0
  for (const match of matches) {
    if (match.subscriptionId > 0) ids.push(match.subscriptionId)
    if (match.qos > qos) qos = match.qos
  }
  ids.sort((a, b) => a - b)
  const timestamps = matches.some((match) => match.timestamps === true)
  const positions = matches.some((match) => match.positions === true)
  return {
    subscriber: (matches[0] as Match<S>).subscriber,
    qos,
    retainAsPublished: matches.some((match) => match.retainAsPublished),
    subscriptionIds: ids.length > 0 || timestamps || positions ? ids : undefined,
    own: undefined,
    ...(timestamps && { timestamps }),
    ...(positions && { positions }),
  }
}

/** FNV-1a over the bytes. */
function hashOf(buf: Uint8Array, from: number, to: number): number {
  let hash = 0x811c9dc5
  for (let i = from; i < to; i++) hash = Math.imul(hash ^ (buf[i] as number), 0x01000193)
  return hash ^ (hash >>> 15)
}

/**
 * Not `slice`: on a Buffer that is a view, and a cached topic would keep a whole read buffer alive. By hand: a view costs more than
 * copying the bytes of a topic.
 */
function copyOf(buf: Uint8Array, from: number, to: number): Uint8Array {
  const bytes = new Uint8Array(to - from)
  for (let i = from, j = 0; i < to; i++, j++) bytes[j] = buf[i] as number
  return bytes
}

function same(bytes: Uint8Array, buf: Uint8Array, from: number, to: number): boolean {
  if (bytes.length !== to - from) return false
  for (let i = from, j = 0; i < to; i++, j++) if (buf[i] !== bytes[j]) return false
  return true
}
