/**
 * What a configuration value can be: a zod schema, the rule in words for people, and how a string from the environment or
 * the command line becomes such a value. Few forms on purpose: whoever knows five keys knows all of them.
 */
import { networkProblem, networksRule, type OptionKey, topicFilterProblem } from '@concordmq/broker'
import { z } from 'zod'
import { looksLikeKey } from '../files/secrets.ts'
import { parseAddress } from './host-port.ts'

/** How text becomes a value: lists split at commas, paths count from the place they were written in. */
export type Form = 'boolean' | 'integer' | 'text' | 'list' | 'path' | 'pathOrOff' | 'paths'

/**
 * When a changed value takes effect. `live`: at once. `new`: for connections accepted afterwards; those that are open keep
 * what they were told. `restart`: at the next start.
 */
export type Change = 'live' | 'new' | 'restart'

/** The same in a person's words. */
export const changeWords: Readonly<Record<Change, string>> = {
  live: 'now',
  new: 'new connections',
  restart: 'restart',
}

export interface Key<T> {
  readonly form: Form
  readonly schema: z.ZodType<T>
  /** The rule as the end of a sentence: "must be …". */
  readonly rule: string
  /** Undefined: the key has no value unless someone sets it. */
  readonly fallback: T
  /** The default in words, where it depends on the machine. */
  readonly fallbackRule?: string
  readonly about: string
  readonly change: Change
  /** Its value is never shown, and it is refused in a file: secrets come by reference. */
  readonly secret?: true
}

interface About<T> {
  readonly fallback: T
  readonly about: string
  readonly change?: Change
}

function key<T>(form: Form, schema: z.ZodType<T>, rule: string, { fallback, about, change }: About<T>): Key<T> {
  return { form, schema, rule, fallback, about, change: change ?? 'restart' }
}

export function yesNo(about: About<boolean>): Key<boolean> {
  return key('boolean', z.boolean(), 'true or false', about)
}

export function integer(min: number, max: number, about: About<number>): Key<number> {
  return key('integer', z.int().min(min).max(max), `an integer from ${min} to ${max}`, about)
}

/** How many threads: a number, or as many as the machine is good for. */
export function threads(max: number, about: About<number | 'auto'>): Key<number | 'auto'> {
  // Flags and variables are text.
  const asNumber = (value: unknown): unknown =>
    typeof value === 'string' && /^\d{1,9}$/u.test(value) ? Number(value) : value
  const schema = z.preprocess(asNumber, z.union([z.literal('auto'), z.int().min(1).max(max)]))
  return key('text', schema, `"auto" or an integer from 1 to ${max}`, about)
}

export function oneOf<const T extends string>(values: readonly T[], about: About<NoInfer<T>>): Key<T> {
  return key('text', z.enum(values), `one of ${values.map((value) => `"${value}"`).join(', ')}`, about)
}

export function text(rule: string, test: RegExp, about: About<string>): Key<string> {
  return key('text', z.string().regex(test), rule, about)
}

export function secretText(about: string): Key<string | undefined> {
  return {
    ...key<string | undefined>('text', z.string().min(1).optional(), 'text', { fallback: undefined, about }),
    secret: true,
  }
}

export function path(about: string, change?: 'live'): Key<string | undefined> {
  const base = { fallback: undefined, about }
  const schema = z
    .string()
    .min(1)
    .refine((value) => !looksLikeKey(value), 'this looks like a key itself and is not shown')
  return key('path', schema.optional(), 'a path', change === undefined ? base : { ...base, change })
}

/** A path that may be switched off. */
export function pathOrOff(about: string, fallbackRule: string): Key<string | undefined> {
  const schema = z.string().min(1).optional()
  return { ...key('pathOrOff', schema, 'a path, or "off"', { fallback: undefined, about }), fallbackRule }
}

export function paths(about: string): Key<readonly string[]> {
  return key<readonly string[]>('paths', z.array(z.string().min(1)).max(100), 'a list of paths', {
    fallback: [],
    about,
  })
}

/** A list of words. */
export function texts(about: About<readonly string[]>): Key<readonly string[]> {
  const list = z.array(z.string().min(1)).max(100)
  return key<readonly string[]>('list', z.preprocess(asList, list), 'a list of texts', about)
}

const addressRule = 'HOST:PORT, or a list of them'

/** One or several listening addresses; `"off"` and `[]` are none. */
export function addresses(about: About<readonly string[]>): Key<readonly string[]> {
  const list = z.array(z.string().superRefine(requireAddress)).max(100)
  return key<readonly string[]>('list', z.preprocess(asList, list), `${addressRule}, or "off"`, about)
}

function asList(value: unknown): unknown {
  const list: unknown = typeof value === 'string' ? [value] : value
  return Array.isArray(list) && list.length === 1 && list[0] === 'off' ? [] : list
}

export function addressOrOff(about: About<string>): Key<string> {
  return key(
    'text',
    z.string().superRefine((value, context) => {
      if (value !== 'off') requireAddress(value, context)
    }),
    'HOST:PORT, or "off"',
    about,
  )
}

/** A number the library has an option for. */
export function optionInteger<T extends number>({
  default: fallback,
  defaultRule,
  range,
  choices,
  ...option
}: OptionKey<T>): Key<T> {
  const [min, max] = [range?.min ?? Math.min(...(choices ?? [])), range?.max ?? Math.max(...(choices ?? []))]
  const unit = range === undefined ? '' : ` (${range.unit})`
  // The range is what makes a number a T; the library checks it once more.
  const schema = z.int().min(min).max(max) as unknown as z.ZodType<T>
  const rule = `an integer from ${min} to ${max}${unit}`
  return {
    ...option,
    form: 'integer',
    schema,
    rule,
    fallback,
    ...(defaultRule === undefined ? {} : { fallbackRule: defaultRule }),
  }
}

export function optionYesNo({ default: fallback, about, change }: OptionKey<boolean>): Key<boolean> {
  return { form: 'boolean', schema: z.boolean(), rule: 'true or false', fallback, about, change }
}

/** A text that the library has an option for. */
export function optionText({ default: fallback, fits, ...option }: OptionKey<string>): Key<string> {
  const schema = z.custom<string>((value) => fits?.(value) === true)
  return { ...option, form: 'text', schema, fallback }
}

/** A list of addresses and networks that the library has an option for. */
export function optionNetworks({ default: fallback, ...option }: OptionKey<readonly string[]>): Key<readonly string[]> {
  return { ...option, form: 'list', schema: z.preprocess(asList, networkList), fallback }
}

/** A list of topic filters that the library has an option for. */
export function optionFilters({ default: fallback, ...option }: OptionKey<readonly string[]>): Key<readonly string[]> {
  return { ...option, form: 'list', schema: z.preprocess(asFilters, filterList), fallback }
}

/** Addresses and networks where the library has them per listener; `"off"` and `[]` are none. */
export function networks(about: About<readonly string[]>): Key<readonly string[]> {
  return key<readonly string[]>('list', z.preprocess(asList, networkList), `${networksRule}, or "off"`, about)
}

export function optionChoice<T extends string>({ default: fallback, choices = [], ...option }: OptionKey<T>): Key<T> {
  return { ...option, form: 'text', schema: z.enum(choices as readonly T[]) as unknown as z.ZodType<T>, fallback }
}

const filterList = z.array(z.string().superRefine(requireFilter)).max(1_000)
const networkList = z.array(z.string().superRefine(requireNetwork)).max(10_000)

/** `off` is a topic like any other. */
function asFilters(value: unknown): unknown {
  return typeof value === 'string' ? [value] : value
}

function requireFilter(value: string, context: z.RefinementCtx<string>): void {
  const problem = topicFilterProblem(value)
  if (problem !== undefined) context.addIssue({ code: 'custom', message: problem })
}

function requireNetwork(value: string, context: z.RefinementCtx<string>): void {
  const problem = networkProblem(value)
  if (problem !== undefined) context.addIssue({ code: 'custom', message: problem })
}

function requireAddress(value: string, context: z.RefinementCtx<string>): void {
  const parsed = parseAddress(value, { portMin: 0 })
  if ('problem' in parsed) context.addIssue({ code: 'custom', message: parsed.problem })
}
