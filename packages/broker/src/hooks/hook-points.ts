/**
 * Who uses which point, and the calls. Each point is a list, or undefined while nobody uses it: the message path asks for
 * that and no more. What the path must know in one look (`incoming`, `outgoing`, …) is kept beside the lists.
 *
 * Every call is contained here: what a hook throws, what nonsense it returns and how long it takes never reaches the path.
 */
import { performance } from 'node:perf_hooks'
import { ReasonCode } from '@concordmq/protocol'
import { ConcordError, reasonOf } from '../errors.ts'
import type { Counters } from '../telemetry/counters.ts'
import type { Logger } from '../telemetry/logger.ts'
import type { HookPoint, Hooks } from './hooks.ts'

type Callable = (...values: readonly unknown[]) => unknown

interface Entry {
  readonly name: string
  readonly owner: Hooks
  readonly call: Callable
  /** Its last call failed; kept so that the log says so once. */
  failing: boolean
  slow: boolean
}

/** Answer to a decision: 0 yes, a reason code no, `NO_OPINION` when all ignored it. */
export type Decision = number
export const NO_OPINION = -1
/** A transformation refused, for a reason code; 0: drop it quietly. */
export class Refused {
  readonly reasonCode: number
  constructor(reasonCode: number) {
    this.reasonCode = reasonCode
  }
}

export interface HookPointsOptions {
  readonly counters: Counters
  readonly logger: Logger
  /** Milliseconds that a promise may take. */
  readonly timeoutMs: number
}

/** Every point with its kind. */
export const hookPoints: Readonly<Record<HookPoint, 'decision' | 'transformation' | 'observation'>> = {
  admitConnection: 'decision',
  admitPacket: 'decision',
  authorizeConnect: 'decision',
  authenticate: 'decision',
  authorizePublish: 'decision',
  authorizeSubscribe: 'decision',
  authorizeDelivery: 'decision',
  transformConnect: 'transformation',
  transformPublish: 'transformation',
  transformWill: 'transformation',
  transformSubscribe: 'transformation',
  transformUnsubscribe: 'transformation',
  selectSubscribers: 'transformation',
  transformOutgoing: 'transformation',
  started: 'observation',
  stopped: 'observation',
  sysTicked: 'observation',
  connectRefused: 'observation',
  clientAuthenticated: 'observation',
  clientConnected: 'observation',
  clientDisconnected: 'observation',
  sessionEnded: 'observation',
  packetReceived: 'observation',
  packetProcessed: 'observation',
  packetSent: 'observation',
  subscribed: 'observation',
  unsubscribed: 'observation',
  published: 'observation',
  publishRefused: 'observation',
  publishDropped: 'observation',
  delivered: 'observation',
  acknowledged: 'observation',
  qosDropped: 'observation',
  packetIdsExhausted: 'observation',
  retainedStored: 'observation',
  retainedExpired: 'observation',
  willSent: 'observation',
}

/** Sets of hooks at once: a bound on what a program that adds and forgets can make every message cost. */
const SETS_MAX = 100
/** A synchronous call above this is counted as slow: it held up everybody. */
const SLOW_MS = 50

export class HookPoints {
  /** Something looks at PUBLISH, SUBSCRIBE or UNSUBSCRIBE of clients. */
  incoming = false
  /** Something decides about or changes what goes out. */
  outgoing = false
  /** Something wants to know what was sent. */
  watchesSent = false
  /** Something looks at every packet that comes in. */
  packets = false
  watchesDropped = false
  /** Whoever gives out a message at this moment has asked `selectSubscribers` already. */
  selected = false
  lists: Readonly<Partial<Record<HookPoint, readonly Entry[]>>> = {}
  readonly #o: HookPointsOptions
  readonly #sets: Hooks[] = []
  #entries = new Map<Hooks, Map<HookPoint, Entry>>()

  constructor(options: HookPointsOptions) {
    this.#o = options
  }

  /** Throws `CMQ_HOOKS` for what cannot be meant. */
  add(hooks: Hooks): void {
    const problem = hooksProblem(hooks)
    if (problem !== undefined) throw new ConcordError('CMQ_HOOKS', `Cannot add hooks: ${problem}`)
    if (this.#sets.includes(hooks)) throw new ConcordError('CMQ_HOOKS', 'Cannot add hooks: they were added before')
    if (this.#sets.length >= SETS_MAX)
      throw new ConcordError('CMQ_HOOKS', `Cannot add hooks: ${SETS_MAX} sets are there`)
    this.#sets.push(hooks)
    const entries = new Map<HookPoint, Entry>()
    for (const point of Object.keys(hookPoints) as HookPoint[]) {
      const call = hooks[point] as Callable | undefined
      if (call === undefined) continue
      entries.set(point, { name: hooks.name ?? 'unnamed', owner: hooks, call, failing: false, slow: false })
    }
    this.#entries.set(hooks, entries)
    this.#rebuild()
  }

  /** False if they were not there. Calls that wait still count. */
  remove(hooks: Hooks): boolean {
    const at = this.#sets.indexOf(hooks)
    if (at < 0) return false
    this.#sets.splice(at, 1)
    this.#entries.delete(hooks)
    this.#rebuild()
    return true
  }

  uses(point: HookPoint): boolean {
    return this.lists[point] !== undefined
  }

  #rebuild(): void {
    const lists: Partial<Record<HookPoint, Entry[]>> = {}
    for (const set of this.#sets) {
      for (const [point, entry] of this.#entries.get(set) ?? []) {
        lists[point] ??= []
        lists[point].push(entry)
      }
    }
    this.lists = lists
    const any = (...points: readonly HookPoint[]): boolean => points.some((point) => lists[point] !== undefined)
    this.packets = any('admitPacket', 'packetReceived', 'packetProcessed')
    this.incoming =
      any('authorizePublish', 'transformPublish', 'published', 'publishRefused') ||
      any('authorizeSubscribe', 'transformSubscribe', 'subscribed', 'transformUnsubscribe', 'unsubscribed') ||
      any('retainedStored', 'selectSubscribers') ||
      this.packets
    this.outgoing = any('authorizeDelivery', 'transformOutgoing', 'selectSubscribers')
    this.watchesSent = any('packetSent', 'delivered')
    this.watchesDropped = any('publishDropped')
  }

  // ---------------------------------------------------------------- decisions

  /** Asks one after the other. A promise comes back only if a hook returned one. */
  decide(
    point: HookPoint,
    values: readonly unknown[],
    options: { readonly denial: number; readonly firstYes?: boolean },
  ): Decision | Promise<Decision> {
    return this.#decideFrom(point, this.lists[point] ?? NONE, 0, values, options, NO_OPINION)
  }

  #decideFrom(
    point: HookPoint,
    entries: readonly Entry[],
    from: number,
    values: readonly unknown[],
    options: { readonly denial: number; readonly firstYes?: boolean },
    soFar: Decision,
  ): Decision | Promise<Decision> {
    let decision = soFar
    for (let i = from; i < entries.length; i++) {
      const entry = entries[i] as Entry
      const answer = this.#call(point, entry, values)
      if (isPromise(answer)) {
        return this.#settled(point, entry, answer).then((later) => {
          const verdict = this.#verdict(point, entry, later, options.denial)
          if (verdict > 0 || (verdict === 0 && options.firstYes === true)) return verdict
          return this.#decideFrom(point, entries, i + 1, values, options, verdict === 0 ? 0 : decision)
        })
      }
      const verdict = this.#verdict(point, entry, answer, options.denial)
      if (verdict > 0 || (verdict === 0 && options.firstYes === true)) return verdict
      if (verdict === 0) decision = 0
    }
    return decision
  }

  /** The same for a point that must not wait. */
  decideNow(point: HookPoint, values: readonly unknown[], denial: number): Decision {
    let decision = NO_OPINION
    for (const entry of this.lists[point] ?? NONE) {
      const verdict = this.#verdict(point, entry, this.#now(point, entry, values), denial)
      if (verdict > 0) return verdict
      if (verdict === 0) decision = 0
    }
    return decision
  }

  #verdict(point: HookPoint, entry: Entry, answer: unknown, denial: number): Decision {
    if (answer === FAILED) return denial
    if (answer === true) return this.#well(point, entry, 0)
    if (answer === false) return this.#well(point, entry, denial)
    if (answer === 'ignore') return this.#well(point, entry, NO_OPINION)
    const code = denialOf(answer)
    if (code !== undefined) return this.#well(point, entry, code)
    this.#failed(point, entry, `returned ${describe(answer)} instead of a verdict`)
    return denial
  }

  // ---------------------------------------------------------------- transformations

  /**
   * Hands `value` from one to the next. `check` says what of an answer is taken: the value for the next, a `Refused`, or
   * undefined for nonsense. `before`: what the hooks get before the value.
   */
  transform<T>(
    point: HookPoint,
    before: readonly unknown[],
    value: T,
    check: (answer: unknown, current: T) => T | Refused | undefined,
  ): T | Refused | Promise<T | Refused> {
    return this.#transformFrom(point, this.lists[point] ?? NONE, 0, before, value, check)
  }

  #transformFrom<T>(
    point: HookPoint,
    entries: readonly Entry[],
    from: number,
    before: readonly unknown[],
    value: T,
    check: (answer: unknown, current: T) => T | Refused | undefined,
  ): T | Refused | Promise<T | Refused> {
    let current = value
    for (let i = from; i < entries.length; i++) {
      const entry = entries[i] as Entry
      const answer = this.#call(point, entry, [...before, current])
      if (isPromise(answer)) {
        const given = current
        return this.#settled(point, entry, answer).then((later) => {
          const next = this.#taken(point, entry, later, given, check)
          return next instanceof Refused ? next : this.#transformFrom(point, entries, i + 1, before, next, check)
        })
      }
      const next = this.#taken(point, entry, answer, current, check)
      if (next instanceof Refused) return next
      current = next
    }
    return current
  }

  /** The same for a point that must not wait. */
  transformNow<T>(
    point: HookPoint,
    before: readonly unknown[],
    value: T,
    check: (answer: unknown, current: T) => T | Refused | undefined,
  ): T | Refused {
    let current = value
    for (const entry of this.lists[point] ?? NONE) {
      const next = this.#taken(point, entry, this.#now(point, entry, [...before, current]), current, check)
      if (next instanceof Refused) return next
      current = next
    }
    return current
  }

  #taken<T>(
    point: HookPoint,
    entry: Entry,
    answer: unknown,
    current: T,
    check: (answer: unknown, current: T) => T | Refused | undefined,
  ): T | Refused {
    if (answer === FAILED) return new Refused(ReasonCode.implementationSpecificError)
    const code = denialOf(answer)
    if (code !== undefined) return this.#well(point, entry, new Refused(code))
    let taken: T | Refused | undefined
    try {
      taken = check(answer, current)
    } catch {
      // A getter of the answer threw: it is nonsense.
    }
    if (taken !== undefined) return this.#well(point, entry, taken)
    this.#failed(point, entry, `returned ${describe(answer)}, which cannot take the place of what it was given`)
    return new Refused(ReasonCode.implementationSpecificError)
  }

  // ---------------------------------------------------------------- observations

  observe(point: HookPoint, ...values: readonly unknown[]): void {
    const entries = this.lists[point]
    if (entries === undefined) return
    for (const entry of entries) {
      const answer = this.#call(point, entry, values)
      if (answer === FAILED) continue
      if (isPromise(answer)) {
        Promise.resolve(answer).then(
          () => this.#well(point, entry, undefined),
          (error: unknown) => this.#failed(point, entry, `rejected: ${reasonOf(error)}`),
        )
      } else this.#well(point, entry, undefined)
    }
  }

  // ---------------------------------------------------------------- containment

  #call(point: HookPoint, entry: Entry, values: readonly unknown[]): unknown {
    const began = performance.now()
    let answer: unknown
    try {
      answer = entry.call.apply(entry.owner, values as unknown[])
    } catch (error) {
      this.#failed(point, entry, `threw: ${reasonOf(error)}`)
      answer = FAILED
    }
    const tookMs = performance.now() - began
    if (tookMs > SLOW_MS) this.#slow(point, entry, tookMs)
    else entry.slow = false
    return answer
  }

  #now(point: HookPoint, entry: Entry, values: readonly unknown[]): unknown {
    const answer = this.#call(point, entry, values)
    if (!isPromise(answer)) return answer
    Promise.resolve(answer).catch(() => {})
    this.#failed(point, entry, 'returned a promise where the message cannot wait')
    return FAILED
  }

  /** What the promise brings, or `FAILED`; never rejects, never takes longer than the time-out. */
  #settled(point: HookPoint, entry: Entry, promise: PromiseLike<unknown>): Promise<unknown> {
    const { timeoutMs } = this.#o
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#failed(point, entry, `did not answer within ${timeoutMs} ms`)
        resolve(FAILED)
      }, timeoutMs)
      timer.unref()
      Promise.resolve(promise).then(
        (value) => {
          clearTimeout(timer)
          resolve(value)
        },
        (error: unknown) => {
          clearTimeout(timer)
          this.#failed(point, entry, `rejected: ${reasonOf(error)}`)
          resolve(FAILED)
        },
      )
    })
  }

  #failed(point: HookPoint, entry: Entry, how: string): void {
    this.#o.counters.hookFailures++
    if (entry.failing) return
    entry.failing = true
    this.#o.logger.error(
      { event: 'hooks.failing', hooks: entry.name, point, error: how },
      `Hook ${point} of ${entry.name} ${how}`,
    )
  }

  #well<T>(point: HookPoint, entry: Entry, value: T): T {
    if (entry.failing) {
      entry.failing = false
      this.#o.logger.info(
        { event: 'hooks.recovered', hooks: entry.name, point },
        `Hook ${point} of ${entry.name} works again`,
      )
    }
    return value
  }

  #slow(point: HookPoint, entry: Entry, tookMs: number): void {
    this.#o.counters.hooksSlow++
    if (entry.slow) return
    entry.slow = true
    this.#o.logger.warn(
      { event: 'hooks.slow', hooks: entry.name, point, tookMs: Math.round(tookMs) },
      `Hook ${point} of ${entry.name} held up the whole broker: let it return a promise, or do less`,
    )
  }
}

const NONE: readonly Entry[] = []
const FAILED = Symbol('failed')

function isPromise(answer: unknown): answer is PromiseLike<unknown> {
  if (typeof answer !== 'object' || answer === null) return false
  if (answer instanceof Promise) return true
  try {
    return typeof (answer as { readonly then?: unknown }).then === 'function'
  } catch {
    return false
  }
}

/** The reason code of a denial that can be meant. */
function denialOf(answer: unknown): number | undefined {
  if (typeof answer !== 'object' || answer === null) return undefined
  let code: unknown
  try {
    code = (answer as { readonly deny?: unknown }).deny
  } catch {
    return undefined
  }
  return typeof code === 'number' && Number.isInteger(code) && code >= 0x80 && code <= 0xff ? code : undefined
}

function describe(answer: unknown): string {
  if (answer === undefined || answer === null) return String(answer)
  return typeof answer === 'object' ? 'an object' : `a ${typeof answer}`
}

function hooksProblem(hooks: unknown): string | undefined {
  if (typeof hooks !== 'object' || hooks === null) return 'they are not an object'
  const set = hooks as Readonly<Record<string, unknown>>
  if (set['name'] !== undefined && typeof set['name'] !== 'string') return 'their name is not text'
  // Objects of a class may have functions of their own; in a plain object an unknown one is a slip that forbids nothing.
  if (Object.getPrototypeOf(set) === Object.prototype) {
    for (const key of Object.keys(set)) {
      if (key !== 'name' && !(key in hookPoints))
        return `${JSON.stringify(key)} is no hook point; known are ${Object.keys(hookPoints).join(', ')}`
    }
  }
  for (const point of Object.keys(hookPoints)) {
    const call = set[point]
    if (call !== undefined && typeof call !== 'function') return `${point} is not a function`
  }
  return undefined
}
