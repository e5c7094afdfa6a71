/**
 * `npm run check`: everything about the code that is not a test, each part also a script of its own. All parts run, so that
 * one call shows all there is to mend; two at a time, as the machines that run this have two cores.
 */
import { readFileSync } from 'node:fs'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { runChild } from './run-child.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const { scripts } = JSON.parse(readFileSync(`${root}package.json`, 'utf8')) as { scripts: Record<string, string> }
const parts = Object.keys(scripts).filter((name) => name.startsWith('check:'))

const failed: string[] = []
const waiting = [...parts]
await Promise.all([lane(), lane()])
process.stdout.write(
  failed.length === 0 ? `check: ${parts.length} parts, all well\n` : `check: failed: ${failed.join(', ')}\n`,
)
process.exitCode = failed.length === 0 ? 0 : 1

async function lane(): Promise<void> {
  for (let part = waiting.shift(); part !== undefined; part = waiting.shift()) {
    const started = performance.now()
    const { code, output } = await runChild('npm', ['run', '--silent', part], { cwd: root })
    const seconds = ((performance.now() - started) / 1000).toFixed(1)
    process.stdout.write(`${code === 0 ? '✓' : '✗'} ${part}  ${seconds} s\n`)
    if (code === 0) continue
    failed.push(part)
    process.stdout.write(`${output}\n`)
  }
}
