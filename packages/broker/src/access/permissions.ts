/**
 * What a client may do, as the rest of the broker asks: one small interface, which rules (`rules.ts`) and hooks answer, and
 * the guard that holds whoever answers now.
 *
 *   pipeline, sessions, routing ──▶ Guard ──▶ rules and hooks, all of whom must say yes
 *
 * Without rules and hooks `guard.asked` is undefined and nobody asks: the message path then pays one comparison. Answers are
 * remembered by those who ask (a connection for the topic it publishes to, a route for its subscribers), so each change of
 * an answer must go through `Guard`, which counts it in `epoch` and tells who listens.
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

export interface Permissions {
  mayPublish(client: PermissionClient, topic: string): boolean
  /** `filter`: without `$share/name/`. */
  maySubscribe(client: PermissionClient, filter: string): boolean
  /** Whether a message of this topic may be sent to the client: asked again at delivery, retained messages included. */
  mayReceive(client: PermissionClient, topic: string): boolean
}

export class Guard {
  /** Whom to ask; undefined: everything is allowed. */
  asked: Permissions | undefined
  /** Grows with every change; an answer remembered from an earlier epoch is worth nothing. */
  epoch = 0
  #rules: Permissions | undefined
  #hooks: Permissions | undefined
  readonly #changed: (() => void)[] = []

  /** Rules, from options or a file. */
  set rules(rules: Permissions | undefined) {
    if (this.#rules === undefined && rules === undefined) return
    this.#rules = rules
    this.change()
  }

  /** What the embedding program decides itself. */
  set hooks(hooks: Permissions | undefined) {
    if (this.#hooks === undefined && hooks === undefined) return
    this.#hooks = hooks
    this.change()
  }

  /** Called after each change of whom to ask, or of what they answer. */
  onChange(listener: () => void): void {
    this.#changed.push(listener)
  }

  /** Answers may have changed: those remembered are forgotten. */
  change(): void {
    const [rules, hooks] = [this.#rules, this.#hooks]
    this.asked = rules === undefined || hooks === undefined ? (rules ?? hooks) : new Both(rules, hooks)
    this.epoch++
    for (const listener of this.#changed) listener()
  }
}

/** Both must agree. The rules come first: they are cheap, and a hook is not troubled with what they refuse. */
class Both implements Permissions {
  readonly #first: Permissions
  readonly #second: Permissions

  constructor(first: Permissions, second: Permissions) {
    this.#first = first
    this.#second = second
  }

  mayPublish(client: PermissionClient, topic: string): boolean {
    return this.#first.mayPublish(client, topic) && this.#second.mayPublish(client, topic)
  }

  maySubscribe(client: PermissionClient, filter: string): boolean {
    return this.#first.maySubscribe(client, filter) && this.#second.maySubscribe(client, filter)
  }

  mayReceive(client: PermissionClient, topic: string): boolean {
    return this.#first.mayReceive(client, topic) && this.#second.mayReceive(client, topic)
  }
}
