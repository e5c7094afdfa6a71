/**
 * `npm run check:types`: compiles every project of the workspace without writing anything.
 *
 * A pure package has two projects: its sources without any types of Node, so that a timer does not compile, and its tests
 * with them. Project references would build declarations first; compiling each alone costs seconds and leaves nothing behind.
 */
import { globSync, readFileSync } from 'node:fs'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { runChild } from './run-child.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const projects = globSync(
  ['tsconfig.json', '{packages,plugins,testing}/*/tsconfig*.json', '{testing,bench,examples}/tsconfig.json'],
  {
    cwd: root,
    exclude: (path) => path.includes('node_modules'),
  },
)
  .filter((path) => !onlyReferences(path))
  .sort()

let failed = 0
const waiting = [...projects]
await Promise.all([lane(), lane()])
process.stdout.write(`types: ${projects.length} projects, ${failed} with errors\n`)
process.exitCode = failed === 0 ? 0 : 1

async function lane(): Promise<void> {
  for (let project = waiting.shift(); project !== undefined; project = waiting.shift()) {
    const output = await compile(project)
    if (output === '') continue
    failed++
    process.stdout.write(`── ${project}\n${output}`)
  }
}

/** What the compiler complains about; empty if nothing. */
async function compile(project: string): Promise<string> {
  const script = fileURLToPath(import.meta.resolve('typescript/package.json').replace('package.json', 'bin/tsc'))
  const { code, output } = await runChild(process.execPath, [script, '--noEmit', '--pretty', 'false', '-p', project], {
    cwd: root,
  })
  return code === 0 ? '' : output || `The compiler ended with ${code}\n`
}

/** A solution file, which only tells editors where the projects are. */
function onlyReferences(path: string): boolean {
  return (JSON.parse(readFileSync(root + path, 'utf8')) as { files?: unknown[] }).files?.length === 0
}
