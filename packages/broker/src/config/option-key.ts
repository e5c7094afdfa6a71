/** One row of the tables of options (`defaults.ts`), and the forms that most rows have. */

import { isTopicFilters, topicFiltersRule } from '../model/topic-filters.ts'

/** One option. `rule` ends the sentence "must be …". */
export interface OptionKey<T> {
  readonly default: T
  /** The default in words, where it depends on the machine. */
  readonly defaultRule?: string
  readonly about: string
  readonly change: 'live' | 'new' | 'restart'
  readonly rule: string
  readonly range?: { readonly min: number; readonly max: number; readonly unit: string }
  readonly choices?: readonly T[]
  /** What a value must be, where neither range nor choices say it. */
  readonly fits?: (value: unknown) => boolean
}

type Change = OptionKey<unknown>['change']

export const kib = 1_024
export const mib: number = 1_024 * kib
export const gib: number = 1_024 * mib

export function yesNo(value: boolean, change: Change, about: string): OptionKey<boolean> {
  return { default: value, about, change, rule: 'true or false', choices: [true, false] }
}

export function number(
  value: number,
  range: NonNullable<OptionKey<number>['range']>,
  change: Change,
  about: string,
): OptionKey<number> {
  return { default: value, about, change, range, rule: `an integer from ${range.min} to ${range.max} (${range.unit})` }
}

export function choice<T extends string | number>(
  value: T,
  choices: readonly T[],
  change: Change,
  about: string,
): OptionKey<T> {
  return {
    default: value,
    about,
    change,
    choices,
    rule: `one of ${choices.map((one) => JSON.stringify(one)).join(', ')}`,
  }
}

/** A short text; empty stands for none. */
export function words(
  value: string,
  { charactersMax }: { readonly charactersMax: number },
  change: Change,
  about: string,
): OptionKey<string> {
  const fits = (given: unknown): boolean => typeof given === 'string' && given.length <= charactersMax && isText(given)
  return { default: value, about, change, fits, rule: `a text of at most ${charactersMax} characters` }
}

/** A list of topic filters. */
export function filters(change: Change, about: string): OptionKey<readonly string[]> {
  return { default: [], about, change, fits: isTopicFilters, rule: topicFiltersRule }
}

/** MQTT's strings hold no null characters and no halves of characters [MQTT-1.5.4-1] [MQTT-1.5.4-2]. */
function isText(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed()
}
