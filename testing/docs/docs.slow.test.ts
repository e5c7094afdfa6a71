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

/** A block that hangs must say which one it is. Four nodes on a busy machine take their time. */
const blockTimeoutMs = 120_000
/** Nodes of a cluster in the documents: they have ports one behind the other. */
const nodesMax = 4

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
          nodes: await freePorts(nodesMax),
        }
      : { mqtt: await freePorts(nodesMax), ws: await freePorts(1), nodes: await freePorts(nodesMax) }
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

interface Ports {
  /** In the place of 1883, and the following ones in that of 1884 to 1886. */
  readonly mqtt: number
  readonly ws: number
  /** In the place of 19793, where nodes meet, and so on to 19796. */
  readonly nodes: number
}

function withPorts(text: string, { mqtt, ws, nodes }: Ports): string {
  return text
    .replaceAll(/\b188([3-6])\b/gu, (_, digit: string) => String(mqtt + Number(digit) - 3))
    .replaceAll(/\b1979([3-6])\b/gu, (_, digit: string) => String(nodes + Number(digit) - 3))
    .replaceAll(/\b8080\b/gu, String(ws))
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
 * The first of ports that were free a moment ago, for code that opens its own listeners. They lie below those that the system
 * gives to outgoing connections, so that none of a test that runs beside this one can take them meanwhile.
 */
async function freePorts(count: number): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const first = randomInt(16_000, 32_000)
    const free = await Promise.all(Array.from({ length: count }, (_, i) => isFree(first + i)))
    if (free.every(Boolean)) return first
  }
  throw new Error('Cannot find free ports between 16000 and 32000')
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer()
  const { promise, resolve } = Promise.withResolvers<boolean>()
  server.once('error', () => resolve(false))
  server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  return await promise
}
