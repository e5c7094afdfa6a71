import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { buildProgram } from '../program.ts'
import { completionScript } from './completion.ts'

function installed(shell: string): boolean {
  try {
    execFileSync(shell, ['-c', 'true'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** What bash would offer after these words. */
function complete(...words: string[]): string[] {
  const list = ['concordmq', ...words].map((word) => `'${word}'`).join(' ')
  const script = `${completionScript(buildProgram(), 'bash')}\nCOMP_WORDS=(${list}); COMP_CWORD=${words.length}; _concordmq 2>/dev/null; printf '%s\\n' "\${COMPREPLY[@]}"`
  return execFileSync('bash', ['-c', script], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => line !== '')
}

test('bash completes commands, sub-commands, flags and values', (t) => {
  if (!installed('bash')) return t.skip('bash is not installed')
  assert.deepEqual(complete('addr'), ['address-book'])
  assert.deepEqual(complete('user', '').sort(), ['add', 'del', 'generate', 'list'])
  assert.deepEqual(complete('run', '--mqtts').sort(), ['--mqtts', '--mqtts-addr'])
  assert.deepEqual(complete('run', '--log', 'j'), ['json'])
  assert.deepEqual(complete('completion', ''), ['bash', 'zsh', 'fish'])
  assert.deepEqual(complete('address-book', 'from-range', '127.0.0.1', '--fo'), ['--force'])
})

for (const shell of ['zsh', 'fish'] as const) {
  test(`the ${shell} script parses`, (t) => {
    if (!installed(shell)) return t.skip(`${shell} is not installed`)
    // In a file: it is longer than an argument may be, and fish does not check what comes by standard input.
    const folder = mkdtempSync(join(tmpdir(), 'concordmq-completion-'))
    const file = join(folder, `concordmq.${shell}`)
    try {
      writeFileSync(file, completionScript(buildProgram(), shell))
      execFileSync(shell, ['-n', file])
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  test(`the ${shell} script names every command and its flags`, () => {
    const script = completionScript(buildProgram(), shell)
    for (const name of ['address-book', 'from-range', 'generate', 'dev', 'pub', 'sub'])
      assert.ok(script.includes(name), name)
    assert.ok(shell === 'fish' ? script.includes('-l mqtts-addr') : script.includes('--mqtts-addr'))
  })
}
