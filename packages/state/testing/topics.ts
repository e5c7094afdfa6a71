/**
 * Topic names and topic filters that meet often: few levels, of few names. The trees are compared with `filterMatches()` of
 * the protocol, which follows section 4.7 without a tree and has tests of its own.
 */
import fc from 'fast-check'

const level = fc.constantFrom('a', 'b', 'c', '', '$x')

export const topics = fc.array(level, { minLength: 1, maxLength: 4 }).map((levels) => levels.join('/'))

export const filters = fc
  .tuple(fc.array(fc.oneof(level, fc.constant('+')), { minLength: 1, maxLength: 4 }), fc.boolean())
  .map(([levels, rest]) => (rest ? [...levels.slice(1), '#'] : levels).join('/'))
