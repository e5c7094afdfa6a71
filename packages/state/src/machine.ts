/**
 * The state machine of a broker (architecture section 3): equal commands at equal places give equal state and equal effects.
 *
 *   command + position + time ─▶ deadlines that have passed ─▶ the command ─▶ outcome, effects
 *
 * This file is the table of contents. The rules lie in the folders of their nouns; the state in `state.ts`. The machine
 * never waits, never reads a clock and never draws randomness; nothing that a command can carry makes it throw.
 */
import { parseShare } from '@concordmq/protocol'
import type { AdminRecord, AdminSubject, Judge } from './admin/admin-document.ts'
import { applyCommand } from './commands/apply-command.ts'
import type { Command } from './commands/commands.ts'
import { runDeadlines } from './deadlines/running.ts'
import type { Effects, Outcome } from './effects.ts'
import { compareText } from './encoding/text-order.ts'
import type { PlacedMessage } from './messages/message.ts'
import { BundleApplier } from './nodes/apply-bundle.ts'
import type { BundleEffects } from './nodes/bundle-effects.ts'
import { type Heard, hear } from './nodes/liveness.ts'
import type { NodeLife } from './nodes/node-life.ts'
import { noteSealed, takeSealed } from './nodes/sealed.ts'
import type { RetainedView } from './retained/retained.ts'
import { passDelta, takeDelta } from './saving/delta.ts'
import type { Recovery } from './saving/recovery.ts'
import { type PassedSave, type Save, Saver } from './saving/save.ts'
import type { Session, SessionBound, Subscription } from './sessions/session.ts'
import type { MachineSettings } from './settings.ts'
import { chooseOutside, type OutsideChoice, type Turns } from './shares/choosing-outside.ts'
import { readSnapshot } from './snapshot/restore.ts'
import { writeSnapshot } from './snapshot/snapshot.ts'
import { type Counters, State } from './state.ts'
import type { FilterTree } from './subscriptions/filter-tree.ts'

const TIME_MAX = 2 ** 52

/** A bundle of commands with its place in the order of a cluster, and the node that put it there. */
export interface OrderedBundle {
  readonly position: number
  readonly timeUs: number
  readonly node: number
  readonly bytes: Uint8Array
  /** It may hold runs of packets: who made it is believed. Default false. */
  readonly packets?: boolean
}

/**
 * ```ts
 * const machine = new Machine(machineSettings())
 * machine.apply({ type: 'start', node: 0, incarnation: 1 }, 1, nowUs, effects)
 * ```
 */
export class Machine {
  #state: State
  #saver: Saver
  #bundles: BundleApplier

  constructor(settings: MachineSettings, state: State = new State(settings)) {
    this.#state = state
    this.#bundles = new BundleApplier(state)
    this.#saver = new Saver(state)
  }

  /** The machine that a snapshot was taken of: it goes on exactly like the original. Or what is wrong with the snapshot. */
  static restore(slices: Iterable<Uint8Array>, settings: MachineSettings): Machine | { readonly malformed: string } {
    const state = readSnapshot(slices, settings)
    return state instanceof State ? new Machine(settings, state) : state
  }

  /** The machine that the disk remembers; `recovery` was prepared. Or what is wrong with what the disk has. */
  static recover(recovery: Recovery, settings: MachineSettings): Machine | { readonly malformed: string } {
    const recovered = recovery.finish()
    if ('malformed' in recovered) return recovered
    const machine = new Machine(settings, recovered.state)
    machine.#saver.addStale(recovered.stale)
    return machine
  }

  /**
   * Takes the state of another machine, which is not used any more, in the place of this one's: a node catches up by the snapshot
   * of others. Listeners stay; the disk is told what it had of this one.
   */
  replaceBy(other: Machine): void {
    const { filters, shares, records, shelf, judge } = this.#state
    other.#state.records.changes?.supersede(records.durable())
    other.#state.shelf.supersede(shelf)
    this.#state = other.#state
    this.#saver = other.#saver
    this.#bundles = other.#bundles
    this.#state.filters.onChange = filters.onChange
    this.#state.shares.onChange = shares.onChange
    this.#state.judge = judge
  }

  /** Who tells whether operators signed a document. Without one, none comes into force: set before the first command. */
  set judge(judge: Judge) {
    this.#state.judge = judge
  }

  /** The documents of operators that count. */
  get admin(): ReadonlyMap<AdminSubject, Readonly<AdminRecord>> {
    return this.#state.admin
  }

  /** 32 bytes over the whole state, the same on every replica. Costs what changed since it was last asked for. */
  hash(): Uint8Array {
    return this.#state.records.hash()
  }

  /** Does some of the work of the next `hash` now; called with each unit of the log, it leaves little of what thousands of clients bring. */
  hashAhead(): void {
    this.#state.records.hashAhead()
  }

  /**
   * The state as it is now, in slices of at most 64 KiB; commands may be applied between them. Begins with `hash()`. A
   * second snapshot ends the first; one that is given up is told so by `return`.
   */
  snapshot(): IterableIterator<Uint8Array> {
    return writeSnapshot(this.#state)
  }

  /**
   * Applies one command at its place. Positions ascend (two commands may share one); a time before the last one counts as
   * the last one. First all deadlines that have passed by then run, ordered by (deadline, bytes of client identifier or
   * topic); what they and the command cause has (position, 0), (position, 1), …
   */
  apply(command: Command, position: number, timeUs: number, effects: Effects): Outcome {
    this.#advance(position, timeUs)
    runDeadlines(this.#state, effects)
    return applyCommand(this.#state, command, effects)
  }

  /**
   * In a cluster: a unit of the order begins at its first position. Nodes that are no longer heard of fall here. The messages of
   * the unit follow, each with `applyBundle` or `pass`.
   */
  beginUnit(unit: Heard & { readonly position: number; readonly timeUs: number }, effects: BundleEffects): void {
    this.#advance(unit.position, unit.timeUs)
    runDeadlines(this.#state, effects)
    hear(this.#state, unit, effects)
  }

  /** Applies a bundle of commands of a node at its place in the order of a cluster (`nodes/`). */
  applyBundle(bundle: OrderedBundle, effects: BundleEffects): void {
    const { position, timeUs, node, bytes, packets = false } = bundle
    this.#advance(position, timeUs)
    runDeadlines(this.#state, effects)
    this.#bundles.apply(node, bytes, effects, { packets })
  }

  /** A sealed message of a node has its place; what is in it nobody knows yet (`nodes/sealed.ts`). */
  seal({ position, timeUs, node }: Omit<OrderedBundle, 'bytes'>, effects: Effects): void {
    this.pass(position, timeUs, effects)
    noteSealed(this.#state, node)
  }

  /**
   * The message that was sealed at `position` has its verdict, at the place that the machine has reached: publishes what was in
   * it; undefined: nothing. False: that was done before, or there was no such message.
   */
  open(position: number, content: Uint8Array | undefined, effects: BundleEffects): boolean {
    const { clock, records } = this.#state
    const life = takeSealed(this.#state, position)
    if (life === undefined) return false
    records.touch(clock)
    if (content !== undefined) this.#bundles.applySealed(life.node, position, content, effects)
    return true
  }

  /** A position of the order that holds nothing for this machine. */
  pass(position: number, timeUs: number, effects: Effects): void {
    this.#advance(position, timeUs)
    runDeadlines(this.#state, effects)
  }

  /** What the log does not have yet, as one group of it (`saving/delta.ts`), valid until the next is taken; undefined: nothing. */
  takeDelta(): Uint8Array | undefined {
    return takeDelta(this.#state)
  }

  /** The group taken last is on disk. `visit` is called with sessions that have more to send for it. */
  deltaLogged(visit: (session: Session) => void): void {
    this.passedLogged(this.#state.cut, visit)
    this.#state.cut.length = 0
  }

  /**
   * Instead of `takeDelta` where another thread applies the same commands and writes the log: `passedLogged` is told when that has
   * come as far as this machine is now.
   */
  passDelta(): readonly SessionBound[] {
    return passDelta(this.#state)
  }

  passedLogged(passed: readonly SessionBound[], visit: (session: Session) => void): void {
    for (const { session, next } of passed) {
      session.queue.loggedBelow(next)
      if (session.connection !== undefined) visit(session)
    }
  }

  /** What the state store does not have yet, as one transaction. The log must have taken its part just before. */
  takeSave(): Save {
    return this.#saver.take()
  }

  /** Instead of `takeSave`, at the very place where the thread that writes takes it: messages come to lie in the same chunks. */
  passSave(): PassedSave {
    return this.#saver.pass()
  }

  /** Whether `takeDelta` may find something. */
  get hasUnlogged(): boolean {
    return this.#state.records.changes?.isUnlogged ?? false
  }

  /** The highest incarnation of a node that was started; -1: none was. */
  incarnationOf(node: number): number {
    return this.#state.nodes.get(node)?.incarnation ?? -1
  }

  /** What is known of a node; undefined: it never started. */
  node(node: number): Pick<NodeLife, 'incarnation' | 'next' | 'down' | 'isSilent'> | undefined {
    return this.#state.nodes.get(node)
  }

  /** Equal before and after a command: nothing that must be kept on disk changed. */
  get durableVersion(): number {
    return this.#state.records.changes?.version ?? 0
  }

  /** How many records the next save would write. */
  get unsaved(): number {
    return this.#state.records.changes?.unsaved ?? 0
  }

  /** A save is on disk: what it holds need not stay in memory. */
  saved(save: PassedSave): void {
    this.#saver.done(save)
  }

  /** Up to `max` chunks of which so little is left that they are worth writing anew. */
  sparseChunks(max: number): number[] {
    return this.#saver.sparseChunks(max)
  }

  /** Writes a sparse chunk anew with the next save, given its content as the store has it. What is wrong with that, or undefined. */
  shrinkChunk(id: number, content: Uint8Array): string | undefined {
    return this.#saver.shrink(id, content)
  }

  /** When time alone next changes something, microseconds since 1970: a `tick` is due then. */
  get nextDeadlineUs(): number | undefined {
    return this.#state.deadlines.first()?.dueUs
  }

  /** Place of the last command applied. */
  get position(): number {
    return this.#state.clock.position
  }

  get settings(): MachineSettings {
    return this.#state.settings
  }

  get timeUs(): number {
    return this.#state.clock.timeUs
  }

  session(clientId: string): Session | undefined {
    return this.#state.sessions.get(clientId)
  }

  get sessions(): ReadonlyMap<string, Session> {
    return this.#state.sessions
  }

  /** Subscriptions that are not shared, by client identifier; a driver may set `onChange`, and changes nothing else. */
  get subscriptions(): FilterTree<Subscription> {
    return this.#state.filters
  }

  /** Subscriptions that are not shared, and shared groups: what each message is compared with. */
  get filters(): number {
    const { filters, shares } = this.#state
    return filters.size + shares.size
  }

  /** Whether a subscription kept here, or a shared group, wants messages of this topic. */
  wants(topic: string): boolean {
    let wanted = false
    this.#state.filters.match(topic, () => {
      wanted = true
    })
    if (!wanted) {
      this.#state.shares.match(topic, () => {
        wanted = true
      })
    }
    return wanted
  }

  /** Shared groups that want messages of this topic, as `$share/name/filter`, sorted. */
  groupsWanting(topic: string): string[] {
    const groups: string[] = []
    this.#state.shares.match(topic, (group) => groups.push(group.filter))
    return groups.sort(compareText)
  }

  /** A connected member of each shared group that wants a message which has no place; nothing changes but `turns`. */
  chooseOutside(placed: PlacedMessage, turns: Turns): OutsideChoice[] {
    return chooseOutside(this.#state, placed, turns)
  }

  /** The subscription of a client to a shared group, `$share/name/filter`. */
  memberOf(group: string, clientId: string): Subscription | undefined {
    return this.#state.sessions.get(clientId)?.subscriptions.get(group)
  }

  /** How many subscriptions there are to exactly this filter, `$share/name/` included. */
  subscribersOf(filter: string): number {
    const share = parseShare(filter)
    if (share === undefined) return this.#state.filters.count(filter)
    return this.#state.shares.get(share.filter, share.shareName)?.members.length ?? 0
  }

  /** Told the filter of every subscription, shared ones without their share, that comes, changes or goes. */
  onSubscriptionChange(listener: (filter: string) => void): void {
    this.#state.filters.onChange = listener
    this.#state.shares.onChange = listener
  }

  /** Members of shared groups, one for each subscription. */
  get sharedSubscriptions(): number {
    let members = 0
    this.#state.shares.forEach((group) => {
      members += group.members.length
    })
    return members
  }

  get retained(): RetainedView {
    return this.#state.retained
  }

  /** Retained messages that a filter matches, ascending by position, without those expired at `nowUs`. */
  retainedFor(filter: string, nowUs: number): PlacedMessage[] {
    return this.#state.retained.inOrder(filter, nowUs)
  }

  /** Entries of all queues. */
  get queuesMessages(): number {
    return this.#state.queuesMessages
  }

  /** Bytes that all queues refer to. */
  get queuesBytes(): number {
    return this.#state.queuesBytes
  }

  /** What was counted by this process; no part of the state. */
  get counters(): Readonly<Counters> {
    return this.#state.counters
  }

  #advance(position: number, timeUs: number): void {
    const { clock, records } = this.#state
    if (!Number.isSafeInteger(position) || position < clock.position || !(timeUs >= 0 && timeUs <= TIME_MAX)) {
      throw new RangeError(
        `Cannot apply a command at position ${position}, time ${timeUs}: the last was ${clock.position}`,
      )
    }
    records.touch(clock)
    if (position > clock.position) clock.index = 0
    clock.position = position
    clock.timeUs = Math.max(clock.timeUs, Math.floor(timeUs))
  }
}
