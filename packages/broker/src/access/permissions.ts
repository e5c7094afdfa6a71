/**
 * What a client may do, as the rest of the broker asks: one small interface, which rules (`rules.ts`) answer, and the guard that
 * holds those that are in force.
 *
 *   pipeline, sessions, routing ──▶ Guard ──▶ rules
 *
 * Without rules `guard.asked` is undefined and nobody asks: the message path then pays one comparison. Answers are remembered by
 * those who ask (a connection for the topic it publishes to, a route for its subscribers), so each change goes through `Guard`,
 * which counts it in `epoch` and tells who listens. What hooks of the embedding program decide comes besides (`hooks/`): they
 * may wait and change messages, which rules do not.
 */

/** The two things rules speak of; receiving is what a subscription is for. */
export type Action = 'publish' | 'subscribe'

/** What a login said about the rights of its holder, such as the claims of a token: never more than these filters. */
export interface Grants {
  /** Undefined: says nothing about publishing. */
  readonly publish: readonly string[] | undefined
  readonly subscribe: readonly string[] | undefined
}

/** A client, as far as its rights are concerned. */
export interface PermissionClient {
  readonly clientId: string
  /** User name; empty: anonymous. */
  readonly principal: string
  /** Network address without port; empty: unknown. */
  readonly remoteAddress: string
  readonly grants: Grants | undefined
  /** For whoever answers, to remember what it found out about the client. Starts undefined. */
  rights: unknown
}

/** How many steps deciding may still take: one packet can ask about millions of filters. */
export interface Work {
  left: number
}

export interface Permissions {
  mayPublish(client: PermissionClient, topic: string): boolean
  /** `filter`: without `$share/name/`. `work` is what it costs, taken off; it does not stop a decision that has begun. */
  maySubscribe(client: PermissionClient, filter: string, work?: Work): boolean
  /** Whether a message of this topic may be sent to the client: asked again at delivery, retained messages included. */
  mayReceive(client: PermissionClient, topic: string): boolean
}

export class Guard {
  /** Whom to ask; undefined: everything is allowed. */
  asked: Permissions | undefined
  /** Grows with every change; an answer remembered from an earlier epoch is worth nothing. */
  epoch = 0
  readonly #changed: ((before: Permissions | undefined) => void)[] = []

  /** Rules, from options or a file. */
  set rules(rules: Permissions | undefined) {
    if (this.asked === undefined && rules === undefined) return
    const before = this.asked
    this.asked = rules
    this.epoch++
    for (const listener of this.#changed) listener(before)
  }

  /** Called after each change of whom to ask, with whom one asked before. */
  onChange(listener: (before: Permissions | undefined) => void): void {
    this.#changed.push(listener)
  }
}
