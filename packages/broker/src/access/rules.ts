/**
 * Permissions by rules (row F28): per user or everybody else (`*`), per client identifier, per address, and per group of rules
 * that several of them share. Pure: options in, answers out.
 *
 *   client ─▶ its tables, most specific first ─▶ first rule whose filter matches the topic ─▶ allowed or denied
 *             addresses · client identifiers · user (or "*"), each with its groups behind it        else the default
 *
 * FoxMQ's words, without its holes. An action that the deciding rule lists as `denied` is denied, one that it lists as
 * `allowed` is allowed. One that it lists nowhere is denied, as in FoxMQ; only a rule that denies and allows nothing says
 * nothing else, and leaves the other action to the default. Listing an action in both is refused when the rules are read.
 *
 * A subscription is more than one topic. It is granted if the rules allow all that it could match (`refuse`), or any of it
 * (`narrow`); either way each message is looked at again before it is sent, so neither reads what it may not.
 *
 * A login may bring rights of its own (the claims of a token). They bound: what they do not list is denied whatever the rules
 * say, and the rules of the client's own tables can only take away from them. `*` and the default are for those without.
 */
import { DIRECT_PREFIX } from '@concordmq/state'
import type { PermissionOptions } from '../config/options.ts'
import { ConcordError } from '../errors.ts'
import { addressMatcher } from './address-ranges.ts'
import { covers, type Level, levelsOfFilter, overlaps } from './filter-sets.ts'
import type { Action, PermissionClient, Permissions, Work } from './permissions.ts'
import { type Rule, type Section, type Subject, subjectsOf } from './rule-tables.ts'
import { levelsFor } from './rule-trie.ts'

/** What rules say and why. */
export interface Explanation {
  readonly allowed: boolean
  /** Where the deciding rule stands; undefined: no rule matched. */
  readonly rule: string | undefined
  /** One sentence. */
  readonly why: string
}

/** What applies to one client. */
interface Rights {
  readonly owner: Rules
  /** Tables made for this client: its address, its identifier, its user name. */
  readonly own: readonly Section[]
  /** `*`, where it has no table of its own. */
  readonly others: readonly Section[]
  readonly grants: {
    readonly publish: readonly Level[][] | undefined
    readonly subscribe: readonly Level[][] | undefined
  }
}

/** What is wrong with rules, each problem with its place; empty if they can be used. */
export function permissionProblems(options: PermissionOptions): readonly string[] {
  const problems: string[] = []
  subjectsOf(options, { problems, notices: [] })
  return problems
}

export class Rules implements Permissions {
  /** What is strange but usable: rules that are never reached. */
  readonly notices: readonly string[]
  readonly #allowDefault: boolean
  readonly #narrow: boolean
  readonly #users: ReadonlyMap<string, readonly Section[]>
  readonly #clients: ReadonlyMap<string, readonly Section[]>
  readonly #beginnings: readonly Subject[]
  readonly #addresses: readonly Subject[]

  /** Throws `CMQ_PERMISSIONS`, which lists every problem. */
  constructor(options: PermissionOptions) {
    const problems: string[] = []
    const notices: string[] = []
    const tables = subjectsOf(options, { problems, notices })
    if (problems.length > 0) {
      throw new ConcordError('CMQ_PERMISSIONS', `Cannot use the permissions: ${problems.join('; ')}`)
    }
    this.notices = notices
    this.#allowDefault = options.default === 'allow'
    this.#narrow = options.widerSubscriptions === 'narrow'
    this.#users = tables.users
    this.#clients = tables.clients
    this.#beginnings = tables.beginnings
    this.#addresses = tables.addresses
  }

  mayPublish(client: PermissionClient, topic: string): boolean {
    return this.#decides(client, 'publish', topic)
  }

  maySubscribe(client: PermissionClient, filter: string, work: Work = { left: 0 }): boolean {
    return /[+#]/.test(filter) ? this.#judge(client, filter, work).allowed : this.#decides(client, 'subscribe', filter)
  }

  mayReceive(client: PermissionClient, topic: string): boolean {
    // What is addressed to a client is the publisher's to send: nobody can subscribe to it.
    return topic.startsWith(DIRECT_PREFIX) || this.#decides(client, 'subscribe', topic)
  }

  /** For people: what is decided and by which rule. */
  explain(client: PermissionClient, action: Action, text: string): Explanation {
    if (action === 'subscribe' && /[+#]/.test(text)) return this.#judge(client, text, { left: 0 })
    const rights = this.#rightsOf(client)
    const levels = text.split('/')
    const own = firstRule(rights.own, levels, client)
    const granted = rights.grants[action]
    if (granted !== undefined) {
      if (own !== undefined && !own[action]) return verdict(own, action)
      return grantVerdict(isGranted(granted, levels))
    }
    const rule = own ?? firstRule(rights.others, levels, client)
    return rule === undefined ? this.#byDefault() : verdict(rule, action)
  }

  // ---------------------------------------------------------------- one topic

  #decides(client: PermissionClient, action: Action, topic: string): boolean {
    const rights = this.#rightsOf(client)
    const levels = topic.split('/')
    const own = firstRule(rights.own, levels, client)
    const granted = rights.grants[action]
    if (granted !== undefined) return (own === undefined || own[action]) && isGranted(granted, levels)
    const rule = own ?? firstRule(rights.others, levels, client)
    return rule === undefined ? this.#allowDefault : rule[action]
  }

  // ---------------------------------------------------------------- a subscription with wildcards

  #judge(client: PermissionClient, filter: string, work: Work): Explanation {
    const rights = this.#rightsOf(client)
    const levels = levelsOfFilter(filter)
    const granted = rights.grants.subscribe
    if (granted === undefined) {
      return this.#walk([...rights.own, ...rights.others], levels, { client, work }) ?? this.#byDefault()
    }
    const own = this.#walk(rights.own, levels, { client, work })
    if (own !== undefined && !own.allowed) return own
    const test = this.#narrow ? overlaps : covers
    return grantVerdict(granted.some((grant) => test(grant, levels)))
  }

  /** Undefined: the rules leave it, or the rest of it, to whatever comes after them. */
  #walk(
    sections: readonly Section[],
    filter: readonly Level[],
    { client, work }: { readonly client: PermissionClient; readonly work: Work },
  ): Explanation | undefined {
    /** In `narrow`: a rule that allows a part of it. */
    let some: Rule | undefined
    for (const section of sections) {
      for (const index of section.trie.overlapping(filter, client, work)) {
        const rule = section.rules[index] as Rule
        const levels = levelsFor(rule.levels, client)
        if (levels === undefined) continue
        const whole = covers(levels, filter)
        if (rule.subscribe) {
          if (whole) return verdict(rule, 'subscribe')
          some ??= rule
        } else if (!this.#narrow || whole) {
          return this.#narrow && some !== undefined ? verdict(some, 'subscribe') : verdict(rule, 'subscribe')
        }
      }
    }
    return this.#narrow && some !== undefined ? verdict(some, 'subscribe') : undefined
  }

  #byDefault(): Explanation {
    const allowed = this.#allowDefault
    return { allowed, rule: undefined, why: `no rule matches, and the default is to ${allowed ? 'allow' : 'deny'}` }
  }

  // ---------------------------------------------------------------- who the client is

  #rightsOf(client: PermissionClient): Rights {
    const known = client.rights as Rights | undefined
    if (known?.owner === this) return known
    const rights = this.#find(client)
    client.rights = rights
    return rights
  }

  #find(client: PermissionClient): Rights {
    const own: Section[] = []
    const inside = addressMatcher(client.remoteAddress)
    for (const { matches, sections } of this.#addresses) if (matches(client, inside)) own.push(...sections)
    own.push(...(this.#clients.get(client.clientId) ?? []))
    for (const { matches, sections } of this.#beginnings) if (matches(client, inside)) own.push(...sections)
    const user = this.#users.get(client.principal)
    if (user !== undefined && client.principal !== EVERYBODY) own.push(...user)
    const others = user === undefined || client.principal === EVERYBODY ? (this.#users.get(EVERYBODY) ?? []) : []
    const { grants } = client
    return {
      owner: this,
      own,
      others,
      grants: {
        publish: grants?.publish?.map(levelsOfFilter),
        subscribe: grants?.subscribe?.map(levelsOfFilter),
      },
    }
  }
}

/** The table of those who have none of their own. */
export const EVERYBODY = '*'

function firstRule(sections: readonly Section[], topic: readonly string[], client: PermissionClient): Rule | undefined {
  for (const { trie, rules } of sections) {
    const index = trie.first(topic, client)
    if (index >= 0) return rules[index]
  }
  return undefined
}

function isGranted(granted: readonly Level[][], topic: readonly string[]): boolean {
  for (const levels of granted) if (covers(levels, topic)) return true
  return false
}

function verdict(rule: Rule, action: Action): Explanation {
  const allowed = rule[action]
  return { allowed, rule: rule.where, why: `${rule.where} ${allowed ? 'allows' : 'denies'} it: ${rule.says}` }
}

function grantVerdict(allowed: boolean): Explanation {
  return { allowed, rule: undefined, why: `the client's token ${allowed ? 'lists it' : 'does not list it'}` }
}
