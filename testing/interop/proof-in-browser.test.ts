/**
 * Proofs checked by a browser: the sources of the pure packages as a page loads them, hashing by theirs, signatures by the
 * browser's. It must find the same as Node, for whole proofs and for changed ones.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import { stripTypeScriptTypes } from 'node:module'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { proofText, readProofText, verifyProof } from '../../packages/consensus/src/index.ts'
import { sha256, signatureHolds, smallLog } from '../testkit/src/proven-log.ts'
import { missing } from './programs.ts'

const browsers = ['chromium-headless-shell', 'chromium']
const browser = browsers.find((program) => missing(program) === false)
const root = new URL('../../', import.meta.url)
const log = smallLog()
/** For the browser to start and check all proofs; it takes two seconds. */
const deadlineMs = 60_000

interface Result {
  readonly problems?: readonly string[]
  readonly error?: string
}

/** What Node finds; empty: valid. */
function problemOf(proof: string): string {
  const read = readProofText(proof)
  if (!read.ok) return read.problem
  const verified = verifyProof(log.genesis, read.value, sha256)
  if (!verified.ok) return verified.problem
  return verified.value.signatures.find((check) => !signatureHolds(check))?.name ?? ''
}

/** Whole proofs, and the same with a character changed here and there. */
function proofTexts(): string[] {
  const whole = Array.from({ length: log.size }, (_, position) => proofText(log.prove(position)))
  const changed = whole.flatMap((proof, i) =>
    [0.05, 0.2, 0.5, 0.8, 0.99].map((part) => {
      const at = Math.floor(proof.length * part) - i
      return `${proof.slice(0, at)}${proof[at] === '7' ? '8' : '7'}${proof.slice(at + 1)}`
    }),
  )
  return [...whole, ...changed]
}

/** Serves the page, the sources without their types, and the proofs; resolves with what the page found. */
async function servePage(texts: readonly string[]): Promise<{ server: Server; result: Promise<Result> }> {
  const found = Promise.withResolvers<Result>()
  const answer = async (request: IncomingMessage): Promise<readonly [type: string, body: string]> => {
    const path = request.url ?? ''
    if (path === '/result') {
      found.resolve(JSON.parse(await text(request)) as Result)
      return ['text/plain', '']
    }
    if (path === '/proofs') {
      const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
      const book = log.genesis.nodes.map(({ publicKey, address }) => ({ publicKey: hex(publicKey), address }))
      return ['application/json', JSON.stringify({ book, networkId: hex(log.genesis.networkId), texts })]
    }
    if (/^\/packages\/[\w/-]+\.ts$/u.test(path)) {
      return ['text/javascript', stripTypeScriptTypes(readFileSync(new URL(path.slice(1), root), 'utf8'))]
    }
    return ['text/html', readFileSync(new URL('fixtures/verify-proofs.html', import.meta.url), 'utf8')]
  }
  const server = createServer((request, response) => {
    void answer(request).then(
      ([type, body]) => response.writeHead(200, { 'content-type': type }).end(body),
      (error: unknown) => response.writeHead(404).end(String(error)),
    )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { server, result: found.promise }
}

test('a browser finds the same proofs valid as Node, and the same wrong', {
  skip: browser === undefined && `${browsers.join(' or ')} not installed (apt-get install ${browsers[0]})`,
}, async () => {
  const texts = proofTexts()
  const expected = texts.map(problemOf)
  assert.equal(expected.filter((problem) => problem === '').length, log.size)
  const { server, result } = await servePage(texts)
  const profile = mkdtempSync(join(tmpdir(), 'concordmq-browser-'))
  const { port } = server.address() as AddressInfo
  const page = openPage(`http://127.0.0.1:${port}/`, profile)
  try {
    const { problems, error } = await Promise.race([result, page.ended])
    assert.equal(error, undefined, error)
    assert.deepEqual(problems, expected)
  } finally {
    page.close()
    await page.ended
    server.closeAllConnections()
    server.close()
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 })
  }
})

/** The browser in a group of its own: it is a script that starts several processes, and all of them end together. */
function openPage(url: string, profile: string): { readonly close: () => void; readonly ended: Promise<Result> } {
  const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--remote-debugging-port=0']
  const args = [...flags, `--user-data-dir=${profile}`, url]
  const child = spawn(browser as string, args, { detached: true, stdio: ['ignore', 'ignore', 'pipe'] })
  let output = ''
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    output += chunk
  })
  const close = (): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
    } catch {
      // It has ended by itself.
    }
  }
  process.once('exit', close)
  const late = setTimeout(close, deadlineMs)
  const ended = new Promise<Result>((resolve) => {
    child.once('error', (error) => resolve({ error: error.message }))
    child.once('exit', () => {
      clearTimeout(late)
      child.stderr.destroy()
      resolve({ error: `The browser ended, or was too slow:\n${output}` })
    })
  })
  return { close, ended }
}
