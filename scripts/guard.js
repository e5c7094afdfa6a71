/**
 * Runs a script of this folder once the Node version has been checked: `node scripts/guard.js test …` runs `test.ts`.
 *
 * npm puts the checkout's own Node first in PATH, but not when install scripts were switched off; then this file is read by
 * whatever Node the machine has, which may not understand TypeScript. So it is plain JavaScript and imports nothing else
 * before the check.
 */
import process from 'node:process'
import { nodeProblem } from '../packages/concordmq/bin/check-node.js'

const problem = nodeProblem(process.versions.node, { checkout: true })
const [name, ...rest] = process.argv.slice(2)
if (problem !== undefined) {
  process.stderr.write(problem + '\n')
  process.exitCode = 78
} else if (name === undefined || !/^[a-z-]+$/.test(name)) {
  process.stderr.write('Name a script of this folder: node scripts/guard.js test\n')
  process.exitCode = 64
} else {
  process.argv = [process.argv[0] ?? 'node', name, ...rest]
  await import(new URL(name + '.ts', import.meta.url).href)
}
