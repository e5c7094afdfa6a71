/**
 * Says in the log who was refused, who refuses, and who cannot be reached: once, by name, and again when the reason changes or a
 * minute has passed, so that neither a stranger who keeps knocking nor a node that is down fills the log.
 */
import type { LogFields, Logger } from '../../telemetry/logger.ts'
import { describeMember, type Member } from '../identity/members.ts'
import type { GreetingRefusal } from './hello.ts'
import type { Stranger } from './transport.ts'

/** How many are remembered, and for how long the same is not said again. */
const REMEMBERED_MAX = 256
const SILENCE_US = 60_000_000

export class RefusalLog {
  readonly #logger: Logger
  readonly #nowUs: () => number
  readonly #said = new Map<string, { readonly what: string; readonly atUs: number }>()

  constructor(logger: Logger, nowUs: () => number) {
    this.#logger = logger
    this.#nowUs = nowUs
  }

  /** A peer that this node turns away. Different books and settings are for an operator to mend, so they are errors. */
  refused(peer: Member, remote: string, { event, detail }: GreetingRefusal): void {
    if (!this.#isNew(`refused ${peer.keyId}`, event + detail)) return
    const level = event === 'book' || event === 'settings' || event === 'network' || event === 'twin' ? 'error' : 'warn'
    this.#say(
      level,
      { event: `cluster.refused.${event}`, node: peer.index, keyId: peer.keyId, remote },
      `Refused ${describeMember(peer)}: ${detail}`,
    )
  }

  /** A peer that turns this node away. */
  unwanted(peer: Member, detail: string): void {
    if (!this.#isNew(`unwanted ${peer.keyId}`, detail)) return
    this.#say(
      'error',
      { event: 'cluster.unwanted', node: peer.index, keyId: peer.keyId },
      `Was refused by ${describeMember(peer)}, which says of this node: ${detail}`,
    )
  }

  unreachable(peer: Member, reason: string): void {
    if (!this.#isNew(`unreachable ${peer.keyId}`, reason)) return
    this.#say(
      'info',
      { event: 'cluster.unreachable', node: peer.index, keyId: peer.keyId, reason },
      `Cannot reach ${describeMember(peer)} yet: ${reason}`,
    )
  }

  /** Someone without a key of the book. */
  stranger({ kind, remote, why }: Stranger): void {
    if (!this.#isNew(`stranger ${kind} ${remote.slice(0, remote.lastIndexOf(':'))}`, why)) return
    this.#say(
      'warn',
      { event: 'cluster.refused.stranger', transport: kind, remote },
      `Refused a connection of ${remote} to the port for nodes (${kind.toUpperCase()}): ${why}`,
    )
  }

  /** Whether this peer turned this node away, and nothing has been well since. */
  isUnwanted(keyId: string): boolean {
    return this.#said.has(`unwanted ${keyId}`)
  }

  /** All is well with this peer: the next trouble is news. */
  forget(keyId: string): void {
    for (const what of ['refused', 'unwanted', 'unreachable']) this.#said.delete(`${what} ${keyId}`)
  }

  #isNew(who: string, what: string): boolean {
    const nowUs = this.#nowUs()
    const before = this.#said.get(who)
    if (before !== undefined && before.what === what && nowUs - before.atUs < SILENCE_US) return false
    if (before === undefined && this.#said.size >= REMEMBERED_MAX) {
      const [oldest] = this.#said.keys()
      if (oldest !== undefined) this.#said.delete(oldest)
    }
    this.#said.delete(who)
    this.#said.set(who, { what, atUs: nowUs })
    return true
  }

  #say(level: 'error' | 'warn' | 'info', fields: LogFields, message: string): void {
    this.#logger[level](fields, message)
  }
}
