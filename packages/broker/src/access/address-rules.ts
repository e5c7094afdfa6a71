/**
 * Rules for network addresses (row U16): `deny` closes a connection before any byte of MQTT or TLS, even for somebody with the
 * right password; `allow` lets a client in without credentials, as the anonymous user; no entry means the normal login. The
 * narrowest range that holds an address decides, so an exception can stand beside its range in any order.
 *
 * An address is looked up once per length of prefix in use, whatever the number of entries.
 */
import type { AddressRuleOptions } from '../config/options.ts'
import { suggest } from '../config/suggest.ts'
import { ConcordError } from '../errors.ts'
import { type Address, type AddressRange, parseAddress, parseRange } from './address-ranges.ts'

/** Entries of both lists together. */
export const ADDRESS_RULES_MAX = 1_000_000

export type AddressVerdict = 'allow' | 'deny'

interface Prefixes {
  readonly bits: number
  readonly verdicts: Map<bigint, AddressVerdict>
}

export class AddressRules {
  /** By family, longest prefix first. */
  readonly #prefixes: Readonly<Record<4 | 6, readonly Prefixes[]>>

  /** Throws `CMQ_ADDRESS_RULES`, which lists every problem. */
  constructor(options: AddressRuleOptions) {
    const problems = addressRuleProblems(options)
    if (problems.length > 0) {
      throw new ConcordError('CMQ_ADDRESS_RULES', `Cannot use the rules for addresses: ${problems.join('; ')}`)
    }
    const found: Record<4 | 6, Map<number, Map<bigint, AddressVerdict>>> = { 4: new Map(), 6: new Map() }
    for (const verdict of ['allow', 'deny'] as const) {
      for (const text of options[verdict] ?? []) {
        const range = parseRange(text) as AddressRange
        const lengths = found[range.family]
        const verdicts = lengths.get(range.bits) ?? new Map<bigint, AddressVerdict>()
        lengths.set(range.bits, verdicts.set(prefixOf(range, range.bits), verdict))
      }
    }
    const sorted = (family: 4 | 6): Prefixes[] =>
      [...found[family]].map(([bits, verdicts]) => ({ bits, verdicts })).sort((a, b) => b.bits - a.bits)
    this.#prefixes = { 4: sorted(4), 6: sorted(6) }
  }

  /** Undefined: no rule, or no IP address. */
  verdict(address: string): AddressVerdict | undefined {
    const parsed = parseAddress(address)
    if (parsed === undefined) return undefined
    for (const { bits, verdicts } of this.#prefixes[parsed.family]) {
      const verdict = verdicts.get(prefixOf(parsed, bits))
      if (verdict !== undefined) return verdict
    }
    return undefined
  }
}

/** What is wrong with rules for addresses; empty if they can be used. */
export function addressRuleProblems(options: AddressRuleOptions): readonly string[] {
  const problems: string[] = []
  for (const key of Object.keys(options)) {
    if (key === 'allow' || key === 'deny') continue
    const meant = suggest(key, ['allow', 'deny'])
    problems.push(`${JSON.stringify(key)} is unknown${meant === undefined ? '' : `, did you mean "${meant}"?`}`)
  }
  const seen = new Map<string, string>()
  for (const verdict of ['allow', 'deny'] as const) {
    const list: unknown = options[verdict] ?? []
    if (!Array.isArray(list)) {
      problems.push(`${verdict} must be a list of addresses and ranges`)
      continue
    }
    for (const text of list as readonly unknown[]) {
      const range = typeof text === 'string' ? parseRange(text) : `${verdict} may list texts only`
      if (typeof range === 'string') {
        problems.push(range)
        continue
      }
      const key = `${range.family} ${range.value} ${range.bits}`
      const other = seen.get(key)
      if (other !== undefined && other !== verdict) problems.push(`${JSON.stringify(text)} is both allowed and denied`)
      seen.set(key, verdict)
    }
  }
  if (seen.size > ADDRESS_RULES_MAX) problems.push(`there are more than ${ADDRESS_RULES_MAX} addresses and ranges`)
  return problems
}

function prefixOf({ family, value }: Address, bits: number): bigint {
  return value >> BigInt((family === 4 ? 32 : 128) - bits)
}
