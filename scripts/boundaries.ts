/** `npm run check:boundaries`: prints every import that breaks a rule of `boundaries.mjs` and fails if there is one. */
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { checkWorkspace } from './boundaries/rules.ts'
import { readWorkspace } from './boundaries/workspace.ts'

const { values } = parseArgs({ options: { root: { type: 'string' } } })
const workspace = readWorkspace(values.root ?? fileURLToPath(new URL('..', import.meta.url)))
const violations = checkWorkspace(workspace)
for (const { rule, place, reason } of violations) process.stdout.write(`${place}  ${rule}: ${reason}\n`)
const imports = workspace.files.reduce((sum, file) => sum + file.imports.length, 0)
process.stdout.write(
  `boundaries: ${workspace.files.length} files, ${imports} imports, ${violations.length} violations\n`,
)
process.exitCode = violations.length === 0 && workspace.files.length > 0 ? 0 : 1
