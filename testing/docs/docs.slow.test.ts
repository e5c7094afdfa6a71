import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { delimiter, dirname, join } from 'node:path'
import { after, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { createBroker } from '@concordmq/broker'
import { type ChildEnd, runChild } from '../../scripts/run-child.ts'
import { type Block, blocksOf, holdsInOrder } from './blocks.ts'

/** A block that hangs must say which one it is. */
const blockTimeoutMs = 60_000

const root = fileURLToPath(new URL('../..', import.meta.url))
// Below the checkout, so that code in the documents finds the packages by name.
mkdirSync(join(root, '.out'), { recursive: true })
const folder = mkdtempSync(join(root, '.out', 'docs-'))
after(() => rmSync(folder, { recursive: true }))

const documents = globSync(['*.md', 'docs/**/*.md', 'packages/*/README.md'], { cwd: root }).sort()
for (const file of documents) {
  const blocks = blocksOf(file, readFileSync(join(root, file), 'utf8'))
  if (blocks.length === 0) continue
  describe(file, () => {
    for (const block of blocks) {
      test(`code in line ${block.line} ${block.run ? 'runs' : 'says why it is not run'}`, async () => {
        if (block.run) await runBlock(block)
        else assert.ok(block.notRunBecause, 'mark it `run`, or say above it: <!-- not run: why -->')
      })
    }
  })
}

async function runBlock(block: Block): Promise<void> {
  const broker = await createBroker({ access: { allowAnonymous: true } })
  try {
    const ports = block.broker
      ? {
          mqtt: (await broker.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 })).port,
          ws: (await broker.listen({ kind: 'ws', host: '127.0.0.1', port: 0 })).port,
        }
      : { mqtt: await freePort(), ws: await freePort() }
    const { code, output } = await execute(block, withPorts(block.code, ports))
    assert.equal(code, 0, `${block.file}:${block.line} ended with ${code}\n${output}`)
    const expected = block.output.map((line) => withPorts(line, ports))
    assert.ok(
      holdsInOrder(output, expected),
      `${block.file}:${block.line} should print\n\n${expected.join('\n')}\n\nand printed\n\n${output}`,
    )
  } finally {
    await broker.close({ graceMs: 100 })
  }
}

function withPorts(text: string, ports: { readonly mqtt: number; readonly ws: number }): string {
  return text.replaceAll(/\b1883\b/gu, String(ports.mqtt)).replaceAll(/\b8080\b/gu, String(ports.ws))
}

/** Runs in a folder of its own, with the checkout's programs first in PATH, as `npx` would have it. */
async function execute(block: Block, code: string): Promise<ChildEnd> {
  const cwd = mkdtempSync(join(folder, 'block-'))
  const isShell = block.language === 'sh' || block.language === 'bash'
  const file = join(cwd, isShell ? 'block.sh' : `block.${block.language}`)
  writeFileSync(file, isShell ? `set -euo pipefail\n${code}` : code)
  const path = [dirname(process.execPath), join(root, 'node_modules/.bin'), process.env['PATH'] ?? ''].join(delimiter)
  const program = isShell ? 'bash' : block.language === 'python' ? 'python3' : process.execPath
  return runChild(program, [file], {
    cwd,
    env: { ...process.env, PATH: path },
    timeout: blockTimeoutMs,
    killSignal: 'SIGKILL',
  })
}

/**
 * A port that was free a moment ago, for code that opens its own listener. It lies below those that the system gives to
 * outgoing connections, so that none of a test that runs beside this one can take it meanwhile.
 */
async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const port = randomInt(16_000, 32_000)
    const server = createServer()
    const { promise, resolve } = Promise.withResolvers<boolean>()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
    if (await promise) return port
  }
  throw new Error('Cannot find a free port between 16000 and 32000')
}
