/**
 * Parts that a program may bring itself (rows S4 to S6), given as what they are or by a name: the built-in names, and those
 * registered under `providers`. An unknown name stops the start and is named; there is no global registry.
 */
import { ConcordError } from '../errors.ts'
import type { HookCredentials, MayWait, Verdict } from '../hooks/hooks.ts'
import type { ClientInfo } from '../model/client-info.ts'
import type { SequencerFactory } from '../model/sequencer.ts'
import type { Store } from '../model/store.ts'
import type { TopicStore } from '../model/topic-store.ts'

export type AuthenticateFunction = (client: ClientInfo, credentials: HookCredentials) => MayWait<Verdict>
/** Asked after the `authenticate` hooks, and in place of the broker's users; `'ignore'` leaves it to those. */
export type Authenticator = AuthenticateFunction | { readonly authenticate: AuthenticateFunction }

export type TopicStoreFactory = () => TopicStore

export type StoreFactory = () => Store | Promise<Store>

export interface Providers {
  readonly sessionStores?: Readonly<Record<string, StoreFactory>>
  readonly authenticators?: Readonly<Record<string, Authenticator>>
  readonly topicStores?: Readonly<Record<string, TopicStoreFactory>>
  readonly sequencers?: Readonly<Record<string, SequencerFactory>>
}

/** SurgeMQ's names beside ours. */
const authenticators: Readonly<Record<string, Authenticator>> = {
  allowAll: () => true,
  denyAll: () => false,
  mockSuccess: () => true,
  mockFailure: () => false,
}

/** The function; throws `CMQ_PROVIDER`. */
export function authenticatorOf(
  given: string | Authenticator | undefined,
  providers: Providers | undefined,
): AuthenticateFunction | undefined {
  if (given === undefined) return undefined
  const found =
    typeof given === 'string' ? named('authenticator', given, providers?.authenticators, authenticators) : given
  if (typeof found === 'function') return found
  if (typeof (found as { authenticate?: unknown } | null)?.authenticate === 'function') {
    return (client, credentials) => found.authenticate(client, credentials)
  }
  throw new ConcordError(
    'CMQ_PROVIDER',
    'Cannot use the authenticator: it is neither a function nor has authenticate()',
  )
}

/** A factory; undefined: the built-in part. Throws `CMQ_PROVIDER`. */
export function factoryOf<F extends (...parts: never[]) => unknown>(
  kind: string,
  given: string | F | undefined,
  registered: Readonly<Record<string, F>> | undefined,
): F | undefined {
  if (given === undefined || (given === 'builtIn' && registered?.['builtIn'] === undefined)) return undefined
  const found: unknown = typeof given === 'string' ? named(kind, given, registered, {}) : given
  if (typeof found !== 'function') {
    throw new ConcordError('CMQ_PROVIDER', `Cannot use the ${kind}: it is not a function that makes one`)
  }
  return found as F
}

/** The store that a program brings; undefined: the built-in one. Throws `CMQ_PROVIDER`. */
export async function storeOf(
  given: string | StoreFactory | undefined,
  providers: Providers | undefined,
): Promise<Store | undefined> {
  const store: unknown = await factoryOf('session store', given, providers?.sessionStores)?.()
  if (store === undefined) return undefined
  const missing = ['records', 'content', 'commit', 'check', 'close'].filter(
    (name) => typeof (store as Record<string, unknown> | null)?.[name] !== 'function',
  )
  if (missing.length === 0) return store as Store
  throw new ConcordError('CMQ_PROVIDER', `Cannot use the session store: it has no ${missing.join('(), no ')}()`)
}

function named<T>(
  kind: string,
  name: string,
  registered: Readonly<Record<string, T>> | undefined,
  builtIn: Readonly<Record<string, T>>,
): T {
  for (const table of [registered, builtIn]) {
    if (table !== undefined && Object.hasOwn(table, name)) return table[name] as T
  }
  const known = [...Object.keys(registered ?? {}), ...Object.keys(builtIn)]
  throw new ConcordError(
    'CMQ_PROVIDER',
    `Cannot use the ${kind} ${JSON.stringify(name)}: none is registered under this name${known.length === 0 ? '' : `, known are ${known.join(', ')}`}`,
  )
}
