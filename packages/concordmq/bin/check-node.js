/**
 * Whether this Node can run ConcordMQ, said in words a person can act on.
 *
 * Plain JavaScript of an old kind on purpose: an old Node must be able to read it, and then say what to do, where it would
 * otherwise fail on the first type annotation. Used by the program, by `npm test` and by the checks.
 */

/** Lowest Node that runs ConcordMQ; `npm run check:version` compares it with `engines` in every manifest. */
export const nodeFloor = '24.11'

/**
 * What to tell a person whose Node is too old; undefined if it is new enough.
 *
 * @param {string} version as in `process.versions.node`
 * @param {{ checkout: boolean }} where whether this is a checkout, which brings its own Node, or an installed package
 * @returns {string | undefined}
 */
export function nodeProblem(version, where) {
  if (!isOlder(version, nodeFloor)) return undefined
  const fact = 'ConcordMQ needs Node ' + nodeFloor + ' or later; this is Node ' + version + '.'
  if (!where.checkout) {
    return [
      fact,
      'Install a newer Node (https://nodejs.org), or let npm bring one for this call:',
      '',
      '  npx --package=node@24 --package=concordmq concordmq --help',
    ].join('\n')
  }
  return [
    fact,
    '`npm ci` brings a Node of its own for `npm start`, `npm test` and `npx concordmq`, by the install script of the',
    'package `node`. If `npm ci` has run, install scripts were switched off (--ignore-scripts, or ignore-scripts=true in an',
    'npmrc). Run that one script:',
    '',
    '  npm rebuild node --ignore-scripts=false',
    '',
    'or put Node ' + nodeFloor + ' or later first in PATH.',
  ].join('\n')
}

/**
 * Compares major and minor number.
 *
 * @param {string} version
 * @param {string} floor
 */
function isOlder(version, floor) {
  const have = version.split('.').map(Number)
  const need = floor.split('.').map(Number)
  for (let i = 0; i < need.length; i++) {
    const difference = (have[i] ?? 0) - (need[i] ?? 0)
    if (difference !== 0) return difference < 0
  }
  return false
}
