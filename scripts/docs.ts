/**
 * `npm run docs` writes what the documents take from the code: the reference pages and the graph in ARCHITECTURE.md.
 * `npm run check:docs` fails if one of them is stale, so that a changed default or flag shows up in review twice, once in the
 * code and once in the words a user reads.
 */
import { existsSync, globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { drawGraph } from './docs/graph.ts'
import { commandPage, configurationPage, errorPage, exitCodePage, sysTopicPage } from './docs/reference.ts'
import { withRegion } from './docs/region.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const { values: options } = parseArgs({ options: { check: { type: 'boolean', default: false } } })

const pages: Readonly<Record<string, () => Promise<string> | string>> = {
  'ARCHITECTURE.md': () => withRegion(readFileSync(join(root, 'ARCHITECTURE.md'), 'utf8'), 'graph', drawGraph(root)),
  'docs/reference/configuration.md': configurationPage,
  'docs/reference/commands.md': commandPage,
  'docs/reference/errors.md': errorPage,
  'docs/reference/exit-codes.md': exitCodePage,
  'docs/reference/sys-topics.md': sysTopicPage,
}

const problems: string[] = []
for (const [path, render] of Object.entries(pages)) {
  const file = join(root, path)
  const wanted = await render()
  if (existsSync(file) && readFileSync(file, 'utf8') === wanted) continue
  if (options.check) problems.push(`${path} is stale: run npm run docs`)
  else {
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, wanted)
    process.stdout.write(`docs: wrote ${path}\n`)
  }
}
problems.push(...deadLinks())
for (const problem of problems) process.stdout.write(`${problem}\n`)
process.stdout.write(`docs: ${Object.keys(pages).length} generated, ${problems.length} problems\n`)
process.exitCode = problems.length === 0 ? 0 : 1

/** Links from one document to a file of the checkout that is not there. */
function deadLinks(): string[] {
  const dead: string[] = []
  for (const path of globSync(['*.md', 'docs/**/*.md', 'packages/*/README.md'], { cwd: root }).sort()) {
    const text = readFileSync(join(root, path), 'utf8').replaceAll(/^```.*?^```$/gmsu, '')
    for (const [, target = ''] of text.matchAll(/\]\(([^)\s#]+)[^)]*\)/gu)) {
      if (/^[a-z]+:/u.test(target)) continue
      if (!existsSync(join(root, normalize(join(dirname(path), target)))))
        dead.push(`${path}: leads to ${target}, which is not there`)
    }
  }
  return dead
}
