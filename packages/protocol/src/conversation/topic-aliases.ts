/**
 * Topic aliases of one network connection (5.0, section 3.3.2.3.4): a number that stands for a topic name. Each direction
 * has its own table, and both end with the connection [MQTT-3.3.2-7]. Server and client use the same two classes.
 */
import { ReasonCode } from '../reason-codes.ts'
import { type Refusal, refuse } from '../refusal.ts'

/** What the other side has assigned: alias to topic name. */
export class InboundAliases {
  readonly #topics: (string | undefined)[] = []
  /** The Topic Alias Maximum that we announced; 0: none are allowed. */
  readonly maximum: number

  constructor(maximum: number) {
    this.maximum = maximum
  }

  /**
   * The topic name of a PUBLISH that carries `alias`: an empty `topic` is looked up, any other is remembered.
   *
   * ```ts
   * const aliases = new InboundAliases(10)
   * aliases.resolve(1, 'hall/temperature') // 'hall/temperature', from now on alias 1
   * aliases.resolve(1, '')                 // 'hall/temperature'
   * ```
   */
  resolve(alias: number, topic: string): string | Refusal {
    // [MQTT-3.3.2-8] An alias of 0 is not permitted; [MQTT-3.3.2-9, -11] nor one above the maximum that was announced.
    if (alias < 1 || alias > this.maximum) {
      const statement = alias < 1 ? 'MQTT-3.3.2-8' : 'MQTT-3.3.2-9'
      return refuse(ReasonCode.topicAliasInvalid, statement, `topic alias ${alias}, allowed are 1..${this.maximum}`)
    }
    if (topic !== '') {
      this.#topics[alias] = topic
      return topic
    }
    const known = this.#topics[alias]
    if (known !== undefined) return known
    return refuse(ReasonCode.protocolError, 'section 3.3.2.3.4', `topic alias ${alias} was never given a topic name`)
  }
}

/**
 * What we assign: topic name to alias. When all aliases are taken, the one used longest ago gets the new topic, so that a
 * set of topics that fits stays assigned and any other costs no more than sending the name.
 */
export class OutboundAliases {
  /** In order of use, oldest first: a Map keeps insertion order. */
  readonly #aliases = new Map<string, number>()
  readonly #free: number[] = []
  /** The highest alias ever given out. */
  #highest = 0
  /** The Topic Alias Maximum that the other side announced; 0: none may be sent. */
  readonly maximum: number

  constructor(maximum: number) {
    this.maximum = maximum
  }

  /**
   * The alias for `topic`: 0, send the name alone; positive, send the alias with an empty name; negative, send the name
   * together with the alias `-n`, which assigns it.
   */
  assign(topic: string): number {
    // [MQTT-3.2.2-18] No alias is sent to a server that allows none.
    if (this.maximum === 0) return 0
    const known = this.#aliases.get(topic)
    if (known !== undefined) {
      this.#aliases.delete(topic)
      this.#aliases.set(topic, known)
      return known
    }
    const alias = this.#free.pop() ?? (this.#highest < this.maximum ? ++this.#highest : this.#evict())
    this.#aliases.set(topic, alias)
    return -alias
  }

  /** `topic` was assigned, but its packet was not sent after all: the other side does not know the alias. */
  forget(topic: string): void {
    const alias = this.#aliases.get(topic)
    if (alias === undefined) return
    this.#aliases.delete(topic)
    this.#free.push(alias)
  }

  #evict(): number {
    const [oldest, alias] = this.#aliases.entries().next().value as [string, number]
    this.#aliases.delete(oldest)
    return alias
  }
}
