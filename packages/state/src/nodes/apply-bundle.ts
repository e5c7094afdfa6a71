/**
 * Applies what the nodes of a cluster put into the order (architecture section 3.1).
 *
 *   bundle ─▶ is it the next of its node's life? ─▶ its items, each ─▶ is it the node's own? ─▶ command or run
 *               │ too early: held                                        │ another's: nothing happens
 *               └ of a life that is over: late publishes count, nothing else
 *
 * Everything comes from elsewhere and is believed as little as a client's packets: what is wrong is counted, and changes
 * nothing, on all nodes alike.
 */
import { PublishRun, topicNameProblem } from '@concordmq/protocol'
import { applyCommand } from '../commands/apply-command.ts'
import { decodeCommand } from '../commands/codec.ts'
import type { Command } from '../commands/commands.ts'
import type { Outcome } from '../effects.ts'
import { isCurrent } from '../sessions/session.ts'
import type { State } from '../state.ts'
import { levelsOf } from '../subscriptions/subscribing.ts'
import { type BundleHead, type BundleItem, eachItem, readHead, readPackets, readRun } from './bundle.ts'
import type { BundleEffects, RunOutcome } from './bundle-effects.ts'
import { publishRun } from './publish-run.ts'
import { ranked } from './sealed.ts'

const STALE: Outcome = { type: 'stale' }

export class BundleApplier {
  readonly #state: State
  readonly #run = new PublishRun()
  #packets = false
  /** Of the bundle at hand a document was looked at: signatures cost more than anything else that so few bytes can ask for. */
  #judged = false

  constructor(state: State) {
    this.#state = state
  }

  /** The place is that of the clock. `packets`: who made it is believed, and may have put in packets as they came. */
  apply(
    node: number,
    bytes: Uint8Array,
    effects: BundleEffects,
    { packets = false }: { readonly packets?: boolean } = {},
  ): void {
    this.#packets = packets
    const { counters, nodes, records } = this.#state
    const head = readHead(bytes)
    if (head === undefined) {
      counters.malformed++
      return
    }
    const life = nodes.get(node)
    if (head.number === 0) {
      this.#begin(node, head, bytes, effects)
    } else if (life === undefined || head.incarnation > life.incarnation) {
      counters.fenced++
    } else if (head.incarnation < life.incarnation || life.down) {
      this.#items(node, head, bytes, effects, { late: true })
    } else if (head.number < life.next) {
      counters.fenced++
    } else if (head.number > life.next) {
      records.touchForBundle(life)
      if (!life.hold(head.number, bytes)) counters.heldFull++
      return
    } else {
      records.touchForBundle(life)
      life.next++
      this.#items(node, head, bytes, effects, { late: false })
    }
    this.#goOn(node, effects)
  }

  /**
   * What a node had sealed at `position`, whose verdict has come. Only messages may be sealed; they take the place of the verdict,
   * and keep the one that they were sealed at as a property. Whose life they are of is told by the bytes, as in a bundle; they wait for
   * no predecessor, and none waits for them.
   */
  applySealed(node: number, position: number, bytes: Uint8Array, effects: BundleEffects): void {
    const { counters, nodes } = this.#state
    const head = readHead(bytes)
    const life = nodes.get(node)
    if (head === undefined || life === undefined) {
      counters.malformed++
      return
    }
    const late = head.incarnation !== life.incarnation || life.down
    let i = 0
    const whole = eachItem(bytes, ({ isRun, start, end }) => {
      const index = i++
      const command = isRun ? undefined : decodeCommand(bytes.subarray(start, end))
      const outcome = this.#sealedItem(command, { node, incarnation: head.incarnation, late, position, index }, effects)
      effects.answered(node, head, index, outcome)
    })
    if (!whole) counters.malformed++
  }

  #sealedItem(
    command: ReturnType<typeof decodeCommand> | undefined,
    {
      node,
      incarnation,
      late,
      position,
      index,
    }: {
      readonly node: number
      readonly incarnation: number
      readonly late: boolean
      readonly position: number
      readonly index: number
    },
    effects: BundleEffects,
  ): Outcome {
    const { counters } = this.#state
    if (command === undefined || 'malformed' in command || command.type !== 'publish') {
      counters.malformed++
      return { type: 'malformed', detail: 'sealed is something else than a message' }
    }
    if (!this.#isOwn(command, node, incarnation) || (late && !isLatePublish(command))) {
      counters.fenced++
      return STALE
    }
    return applyCommand(this.#state, { ...command, message: ranked(command.message, position, index) }, effects)
  }

  /** What was held because its predecessor was not there. */
  #goOn(node: number, effects: BundleEffects): void {
    const life = this.#state.nodes.get(node)
    if (life === undefined || life.down) return
    for (let held = life.takeHeld(); held !== undefined; held = life.takeHeld()) {
      this.#state.records.touchForBundle(life)
      const head = { incarnation: life.incarnation, number: life.next++ }
      this.#items(node, head, held, effects, { late: false })
    }
  }

  /** The first bundle of a life: a `start`, and what follows it. */
  #begin(node: number, head: BundleHead, bytes: Uint8Array, effects: BundleEffects): void {
    const state = this.#state
    let first = true
    let outcome: Outcome = STALE
    eachItem(bytes, ({ isRun, start, end }) => {
      if (!first) return
      first = false
      const command = isRun ? undefined : decodeCommand(bytes.subarray(start, end))
      const begins =
        command !== undefined &&
        !('malformed' in command) &&
        command.type === 'start' &&
        command.node === node &&
        command.incarnation === head.incarnation
      if (begins) outcome = applyCommand(state, command, effects)
    })
    const life = state.nodes.get(node)
    if (outcome.type !== 'done' || life === undefined) {
      state.counters.fenced++
      effects.answered(node, head, 0, outcome)
      return
    }
    state.records.touch(life)
    life.next = 1
    effects.answered(node, head, 0, outcome)
    this.#items(node, head, bytes, effects, { late: false, from: 1 })
  }

  #items(
    node: number,
    head: BundleHead,
    bytes: Uint8Array,
    effects: BundleEffects,
    { late, from = 0 }: { readonly late: boolean; readonly from?: number },
  ): void {
    let i = 0
    this.#judged = false
    const visit = (item: BundleItem): void => {
      const at = i++
      if (at < from) return
      effects.applying(node, head, at)
      const outcome = item.isRun
        ? this.#runItem(node, head, bytes, item, effects, late)
        : this.#commandItem(node, head, bytes, item, effects, late)
      effects.answered(node, head, at, outcome)
    }
    const whole = eachItem(bytes, visit, { packets: this.#packets })
    if (!whole) this.#state.counters.malformed++
  }

  #commandItem(
    node: number,
    { incarnation }: BundleHead,
    bytes: Uint8Array,
    { start, end }: BundleItem,
    effects: BundleEffects,
    late: boolean,
  ): Outcome {
    const { counters } = this.#state
    const command = decodeCommand(bytes.subarray(start, end))
    if ('malformed' in command) {
      counters.malformed++
      return { type: 'malformed', detail: command.malformed }
    }
    if (!this.#isOwn(command, node, incarnation) || (late && !isLatePublish(command))) {
      counters.fenced++
      return STALE
    }
    if (command.type === 'admin') {
      if (this.#judged) {
        counters.malformed++
        return { type: 'malformed', detail: 'a bundle has more than one document' }
      }
      this.#judged = true
    }
    return applyCommand(this.#state, command, effects)
  }

  /** Whether the command is of this life of this node, and of a connection that may give it. */
  #isOwn(command: Command, node: number, incarnation: number): boolean {
    if (command.type === 'start') return false
    // Every node knows the permissions, whoever's client the will is of. A document is its operators', whoever passes it on.
    if (command.type === 'tick' || command.type === 'withdrawWill' || command.type === 'admin') return true
    const { connection } = command
    if (connection === undefined) return command.type === 'publish' && command.receipt === undefined
    if (connection.node !== node || connection.incarnation !== incarnation) return false
    if (command.type !== 'publish' || command.message.qos < 2) return true
    // Its client sends a QoS 2 message again on its next connection, with or without a session.
    return isCurrent(this.#state.sessions.get(command.message.publisher), connection)
  }

  #runItem(
    node: number,
    { incarnation }: BundleHead,
    bytes: Uint8Array,
    { start, end, isPackets }: BundleItem,
    effects: BundleEffects,
    late: boolean,
  ): Outcome | RunOutcome {
    const state = this.#state
    const { counters, settings } = state
    const read = isPackets ? readPackets(bytes, start, end, this.#run) : readRun(bytes, start, end, this.#run)
    if (typeof read === 'string') {
      counters.malformed++
      return { type: 'malformed', detail: read }
    }
    const problem = topicNameProblem(read.topic)
    if (problem !== undefined || levelsOf(read.topic) > settings.topicLevelsMax) {
      counters.malformed++
      return { type: 'malformed', detail: `topic ${problem ?? 'has too many levels'}` }
    }
    const connection = { node, incarnation, counter: read.counter }
    if (this.#run.qos === 2 && (late || !isCurrent(state.sessions.get(read.publisher), connection))) {
      counters.fenced++
      return STALE
    }
    const outcome = publishRun(state, this.#run, { ...read, connection }, effects)
    this.#run.clear()
    return outcome
  }
}

function isLatePublish(command: Command): boolean {
  return command.type === 'publish' && command.message.qos < 2
}
