/**
 * Checks the options of a program once, at start, and fills in the defaults: afterwards everybody reads a `Settings` in
 * which nothing is missing. All problems are reported together, each with its path, its value and the rule; an unknown key
 * is a problem, because a misspelt limit would silently be no limit. Password records are checked where they are used, in
 * `access/`.
 */
import { z } from 'zod'
import { ConcordError } from '../errors.ts'
import { isNetworks, networksRule } from '../model/networks.ts'
import { type OptionKey, optionKeys } from './defaults.ts'
import type {
  AccessOptions,
  BanOptions,
  BrokerOptions,
  ClusterOptions,
  DeliveryOptions,
  EmbeddingOptions,
  FeatureOptions,
  LimitOptions,
  ListenerOptions,
  OrderingOptions,
  RetainedOptions,
  SessionOptions,
  StorageOptions,
  SysOptions,
} from './options.ts'
import { suggest } from './suggest.ts'

/** The options with every default filled in. */
export interface Settings {
  readonly access: AccessSettings
  readonly limits: Required<LimitOptions>
  readonly bans: Required<BanOptions>
  readonly sessions: Required<SessionOptions>
  readonly retained: Required<RetainedOptions>
  readonly delivery: Required<DeliveryOptions>
  readonly features: Required<FeatureOptions>
  readonly embedding: Required<EmbeddingOptions>
  readonly sys: Required<SysOptions>
  readonly ordering: Required<OrderingOptions>
  readonly cluster: Required<ClusterOptions> | undefined
  readonly workers?: number | 'auto'
  readonly storage: Required<Pick<StorageOptions, 'durability'>> & Omit<StorageOptions, 'durability'>
}

type Optional = 'enhanced' | 'permissions' | 'tokens' | 'addresses' | 'scramRecords' | 'scramSecret'
export type AccessSettings = Required<Omit<AccessOptions, Optional>> & Pick<AccessOptions, Optional>

/** Throws one `CMQ_OPTIONS` that lists every problem. */
export function resolveOptions(options: BrokerOptions): Settings {
  // The schemas are built from the table whose defaults fill them, so what passes has the shape of Settings.
  return check(brokerSchema, options, '') as unknown as Settings
}

/** The same for the part that can be replaced while the broker runs. */
export function resolveAccess(options: AccessOptions): AccessSettings {
  return check(accessSchema, options, 'access') as unknown as AccessSettings
}

/** Throws `CMQ_OPTIONS` for a listener that cannot be meant. */
export function checkListener(options: ListenerOptions): void {
  const kind: unknown = (options as { readonly kind?: unknown } | undefined)?.kind
  const schema = kinds.find((known) => known === kind)
  check(schema === undefined ? anyListener : listenerSchemas[schema], options, 'listener')
}

function functions(rule: string, names: readonly string[]): z.ZodType {
  return z.custom((value) => hasFunctions(value, names), { error: rule })
}

function hasFunctions(value: unknown, names: readonly string[]): boolean {
  if (value === null || (typeof value !== 'object' && typeof value !== 'function')) return false
  return names.every((name) => typeof (value as Record<string, unknown>)[name] === 'function')
}

/** Threads of one broker: bits of a word. */
export const WORKERS_MAX = 31

const isWorkers = (value: unknown): boolean =>
  value === 'auto' || (Number.isInteger(value) && (value as number) >= 1 && (value as number) <= WORKERS_MAX)

/** A node that is silent for so long is given up. */
export const NODE_TIMEOUT_MS = 10_000

const isUsers = (value: unknown): boolean =>
  value instanceof Map &&
  [...value].every(([name, record]) => typeof name === 'string' && name !== '' && typeof record === 'string')

const enhanced = z
  .custom((value) => hasFunctions(value, ['step']) && Array.isArray((value as { methods?: unknown }).methods), {
    error: 'an EnhancedAuthenticator with methods and step()',
  })
  .optional()

/** Read where they are used, in `access/`, which says more about what is wrong with them. */
const detailed = z
  .custom((value) => typeof value === 'object' && value !== null && !Array.isArray(value), { error: 'an object' })
  .optional()

const accessSchema = section(optionKeys.access, {
  permissions: detailed,
  tokens: detailed,
  addresses: detailed,
  scramRecords: detailed,
  scramSecret: detailed,
  users: z.custom(isUsers, { error: optionKeys.access.users.rule }).default(() => optionKeys.access.users.default),
  enhanced,
})

const storageParts = {
  directory: z.string({ error: 'a path' }).min(1, { error: 'a path that is not empty' }).optional(),
  files: functions('a Files', ['open', 'read', 'list', 'rename', 'remove', 'syncDirectory']).optional(),
}

const brokerSchema = z.strictObject({
  logger: functions('a Logger with error(), warn(), info() and debug()', ['error', 'warn', 'info', 'debug']).optional(),
  commandLog: z.custom((value) => typeof value === 'function', { error: 'a function' }).optional(),
  // Looked up, and refused by name, where they are used.
  authenticator: z.unknown().optional(),
  topicStore: z.unknown().optional(),
  sequencer: z.unknown().optional(),
  sessionStore: z.unknown().optional(),
  providers: z
    .strictObject(
      { authenticators: z.any(), topicStores: z.any(), sequencers: z.any(), sessionStores: z.any() },
      { error: 'an object' },
    )
    .partial()
    .optional(),
  workers: z.custom(isWorkers, { error: `"auto" or a whole number from 1 to ${WORKERS_MAX}` }).optional(),
  access: accessSchema.prefault({}),
  limits: section(optionKeys.limits).prefault({}),
  bans: section(optionKeys.bans).prefault({}),
  sessions: section(optionKeys.sessions).prefault({}),
  retained: section(optionKeys.retained).prefault({}),
  delivery: section(optionKeys.delivery).prefault({}),
  features: section(optionKeys.features).prefault({}),
  embedding: section(optionKeys.embedding).prefault({}),
  hooks: z.custom((value) => Array.isArray(value), { error: 'an array of hooks' }).optional(),
  sys: section(optionKeys.sys).prefault({}),
  ordering: section(optionKeys.ordering).prefault({}),
  cluster: z
    .strictObject({
      log: functions('an OrderedLog', ['start', 'submit', 'applied', 'stop']),
      nodeTimeoutMs: z.int().min(100).default(NODE_TIMEOUT_MS),
      onStall: z.enum(['local', 'queue', 'refuse']).default('local'),
      stallAcknowledge: z.boolean().default(true),
      serveStale: z.boolean().default(false),
    })
    .optional(),
  storage: section(optionKeys.storage, storageParts).prefault({}),
})

const text = z.string({ error: 'text' }).min(1, { error: 'text that is not empty' })
const port = z.custom((value) => Number.isInteger(value) && Number(value) >= 0 && Number(value) <= 65_535, {
  error: 'an integer from 0 to 65535',
})
const hostPort = { host: text.optional(), port, name: text.optional() }
const proxied = { proxyProtocol: z.strictObject({ from: z.custom(isNetworks, { error: networksRule }) }).optional() }
const tls = z.strictObject({
  cert: z.string({ error: 'a PEM text' }),
  key: z.string({ error: 'a PEM text' }),
  ca: z.string({ error: 'a PEM text' }).optional(),
  requireClientCertificate: z.boolean({ error: 'true or false' }).optional(),
})
const listenerSchemas = {
  tcp: z.strictObject({ kind: z.literal('tcp'), ...hostPort, ...proxied }),
  tls: z.strictObject({ kind: z.literal('tls'), ...hostPort, ...proxied, tls }),
  ws: z.strictObject({ kind: z.literal('ws'), ...hostPort, ...proxied }),
  wss: z.strictObject({ kind: z.literal('wss'), ...hostPort, ...proxied, tls }),
  unix: z.strictObject({ kind: z.literal('unix'), path: text, name: text.optional() }),
} as const satisfies Record<ListenerOptions['kind'], z.ZodType>
const kinds = Object.keys(listenerSchemas) as ListenerOptions['kind'][]
/** Only to say what is wrong with the kind. */
const anyListener = z.looseObject(
  { kind: z.literal(kinds, { error: `one of ${kinds.map((kind) => JSON.stringify(kind)).join(', ')}` }) },
  { error: 'an object' },
)

/** A section of the table as a schema; `undefined` counts as not given. */
function section(
  keys: Readonly<Record<string, OptionKey<unknown>>>,
  special: Readonly<Record<string, z.ZodType>> = {},
): z.ZodType {
  const shape: Record<string, z.ZodType> = {}
  for (const [name, key] of Object.entries(keys)) shape[name] = schemaOf(key)
  return z.strictObject(
    { ...shape, ...special },
    { error: (issue) => (issue.code === 'invalid_type' ? 'an object' : undefined) },
  )
}

function schemaOf(key: OptionKey<unknown>): z.ZodType {
  const { range, choices, rule, fits: special } = key
  const fits = (value: unknown): boolean =>
    special !== undefined
      ? special(value)
      : range !== undefined
        ? Number.isInteger(value) && (value as number) >= range.min && (value as number) <= range.max
        : (choices ?? []).includes(value)
  return z.custom(fits, { error: rule }).default(key.default)
}

function check(schema: z.ZodType, value: unknown, root: string): unknown {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const problems = result.error.issues.flatMap((issue) => problemsOf(issue, value, root, schema))
  throw new ConcordError('CMQ_OPTIONS', `Invalid options: ${problems.join('; ')}`)
}

function problemsOf(issue: z.core.$ZodIssue, value: unknown, root: string, schema: z.ZodType): string[] {
  const path = [...(root === '' ? [] : [root]), ...issue.path.map(String)].join('.')
  if (issue.code !== 'unrecognized_keys') {
    return [`${path === '' ? 'options' : path} must be ${issue.message}, not ${shown(at(value, issue.path))}`]
  }
  const known = keysAt(schema, issue.path)
  return issue.keys.map((key) => {
    const meant = suggest(key, known)
    return `${path === '' ? key : `${path}.${key}`} is unknown${meant === undefined ? '' : `, did you mean "${meant}"?`}`
  })
}

function at(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((inner, key) => (inner as Record<PropertyKey, unknown> | undefined)?.[key], value)
}

/** Never a secret: texts are PEM blocks here, maps hold password records. */
function shown(value: unknown): string {
  if (value === undefined) return 'missing'
  if (value === null || typeof value === 'boolean') return String(value)
  if (typeof value === 'number') return String(value)
  if (typeof value === 'string')
    return value.length <= 40 ? JSON.stringify(value) : `a text of ${value.length} characters`
  if (typeof value === 'function') return 'a function'
  if (Array.isArray(value)) return 'an array'
  return value instanceof Map ? 'such a Map' : 'an object'
}

/** The keys an object may have at a path of the schema. */
function keysAt(schema: z.ZodType, path: readonly PropertyKey[]): string[] {
  let inner: unknown = schema
  for (const key of path) inner = (shapeOf(inner) as Record<PropertyKey, unknown>)[key]
  return Object.keys(shapeOf(inner))
}

function shapeOf(schema: unknown): object {
  let inner = schema
  while (inner instanceof z.ZodPrefault) inner = inner.unwrap()
  return inner instanceof z.ZodObject ? inner.shape : {}
}
