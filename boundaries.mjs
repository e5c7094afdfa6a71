// @ts-check
/**
 * Who may import whom. This is the table; `scripts/boundaries/` reads the sources and compares (`npm run check:boundaries`),
 * and ARCHITECTURE.md shows the same as a picture. The compiler does not stop a wrong import: in a workspace every package
 * can resolve every other.
 */

/**
 * @typedef {object} PackageRule
 * @property {readonly string[]} imports workspace packages it may import, by folder name
 * @property {boolean} pure whether it is free of input, output, clocks and randomness, Node included
 */

/**
 * Packages by folder name, lowest first. What they may take from outside the workspace is what their own manifest declares;
 * a pure one takes nothing.
 * @type {Readonly<Record<string, PackageRule>>}
 */
export const packages = {
  protocol: { imports: [], pure: true },
  state: { imports: ['protocol'], pure: true },
  consensus: { imports: [], pure: true },
  client: { imports: ['protocol'], pure: false },
  broker: { imports: ['protocol', 'state', 'consensus'], pure: false },
  aedes: { imports: ['protocol', 'broker'], pure: false },
  concordmq: { imports: ['protocol', 'state', 'consensus', 'client', 'broker'], pure: false },
}

/**
 * What `packages/broker/src` holds, lowest level first. A folder imports only from rows above its own here, so neither from
 * higher levels nor from its siblings in the row.
 * @type {readonly (readonly string[])[]}
 */
export const brokerLevels = [
  ['model', 'errors.ts'],
  ['telemetry'],
  ['hooks'],
  ['config', 'storage'],
  ['access', 'routing', 'delivery'],
  ['sessions', 'ordering'],
  ['connections', 'cluster', 'workers'],
  ['listeners', 'admin', 'publishing', 'subscribing'],
  ['pipeline.ts'],
  ['api.ts'],
  ['embedding'],
  ['crew'],
  ['broker.ts', 'suites'],
  ['index.ts', 'testing.ts', 'worker-thread.ts'],
]

/**
 * What a pure package must not even mention: clocks, randomness, timers, input and output, and what differs between hosts.
 * A promise is in the list because a machine never waits.
 * @type {readonly string[]}
 */
export const impureNames = [
  'AbortController',
  'Buffer',
  'Date',
  'FinalizationRegistry',
  'Function',
  'Intl',
  'Promise',
  'TextDecoder',
  'TextEncoder',
  'WeakRef',
  'clearImmediate',
  'clearInterval',
  'clearTimeout',
  'console',
  'crypto',
  'eval',
  'fetch',
  'globalThis',
  'performance',
  'process',
  'queueMicrotask',
  'require',
  'setImmediate',
  'setInterval',
  'setTimeout',
  'structuredClone',
]

/**
 * The same for members: `Math.random`, and whatever depends on the host's locale.
 * @type {readonly string[]}
 */
export const impureMembers = [
  'Math.random',
  'localeCompare',
  'toLocaleString',
  'toLocaleUpperCase',
  'toLocaleLowerCase',
]

/**
 * Names of files and folders that say nothing about what is in them.
 * @type {readonly string[]}
 */
export const emptyNames = ['utils', 'util', 'misc', 'common', 'manager', 'helpers']
