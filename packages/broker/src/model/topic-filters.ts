/** Lists of topic filters in the options: which topics go another way than the rest. */
import { filterMatches, filterProblem } from '@concordmq/protocol'

export const topicFiltersRule = 'a list of at most 1000 topic filters that do not begin with $'

const FILTERS_MAX = 1000

/** What is wrong with one of them, as the end of a sentence; undefined: nothing. */
export function topicFilterProblem(filter: string): string | undefined {
  // What begins with $ is the broker's own, or addressed, or shared: none of it is a topic among others.
  if (filter.startsWith('$')) return `"${filter}" begins with $`
  const problem = filterProblem(filter, 5)
  return problem === undefined ? undefined : `"${filter}" is no topic filter: ${problem.detail}`
}

export function isTopicFilters(value: unknown): boolean {
  return (
    Array.isArray(value) &&
    value.length <= FILTERS_MAX &&
    value.every((one) => typeof one === 'string' && topicFilterProblem(one) === undefined)
  )
}

/** Whether one of the filters matches. */
export function isAmong(filters: readonly string[], topic: string): boolean {
  return filters.some((filter) => filterMatches(filter, topic))
}
