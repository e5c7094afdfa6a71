/**
 * Aedes' own public examples, as its npm package ships them (`docs/Examples.md`, `example.js`), with one change: the name that
 * is imported. Each runs as a program of its own, and a client goes through it.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { after, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { connectAsync } from 'mqtt'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const published = dirname(fileURLToPath(import.meta.resolve('aedes')))
mkdirSync(join(root, '.out'), { recursive: true })
// Below the checkout, so that the programs find the packages by name.
const folder = mkdtempSync(join(root, '.out', 'aedes-'))
after(() => rmSync(folder, { recursive: true }))

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  assert.ok(address !== null && typeof address === 'object')
  return address.port
}

/** Starts a program and resolves when it says that its server listens, `times` times. */
async function started(file: string, times: number): Promise<ChildProcess & { readonly said: string[] }> {
  const said: string[] = []
  const child = Object.assign(spawn(process.execPath, [file], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] }), {
    said,
  })
  await new Promise<void>((resolve, reject) => {
    let listening = 0
    const hear = (chunk: Buffer): void => {
      said.push(chunk.toString())
      listening += chunk.toString().match(/listening on/gu)?.length ?? 0
      if (listening >= times) resolve()
    }
    child.stdout.on('data', hear)
    child.stderr.on('data', hear)
    child.once('exit', () => reject(new Error(`the example ended:\n${said.join('')}`)))
  })
  return child
}

/** A message there and back, at every QoS, and a retained one. */
async function roundTrip(url: string): Promise<void> {
  const client = await connectAsync(url, { rejectUnauthorized: false, reconnectPeriod: 0 })
  const got: string[] = []
  const all = new Promise<void>((resolve) => {
    client.on('message', (topic, payload) => {
      got.push(`${topic} ${payload.toString()}`)
      if (got.length === 4) resolve()
    })
  })
  await client.publishAsync('kept', 'r', { qos: 1, retain: true })
  await client.subscribeAsync('kept')
  await client.subscribeAsync('t/+', { qos: 2 })
  for (const qos of [0, 1, 2] as const) await client.publishAsync('t/x', `${qos}`, { qos })
  await all
  assert.deepEqual(got.sort(), ['kept r', 't/x 0', 't/x 1', 't/x 2'])
  await client.endAsync()
}

async function stopped(child: ChildProcess): Promise<void> {
  const gone = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGTERM')
  await gone
}

/** Sections of Examples.md with code of their own. */
const examples = readFileSync(join(published, 'docs/Examples.md'), 'utf8')
  .split(/^## /mu)
  .map((section) => ({
    title: section.slice(0, section.indexOf('\n')),
    code: /^```js\n([\s\S]*?)^```$/mu.exec(section)?.[1],
  }))
  .filter((example): example is { title: string; code: string } => example.code !== undefined)

const schemes: Readonly<Record<string, string>> = { '8883': 'mqtts', '8888': 'ws', '1883': 'mqtt' }

describe("Aedes' examples", () => {
  test('are there', () => {
    assert.deepEqual(
      examples.map(({ title }) => title),
      [
        'Simple plain MQTT server',
        'CommonJS',
        'Simple plain MQTT server using server-factory',
        'MQTT over TLS / MQTTS',
        'MQTT server over WebSocket',
        'MQTT server over WebSocket using server-factory',
      ],
    )
  })

  for (const { title, code } of examples) {
    test(title, { timeout: 60_000 }, async () => {
      const wanted = /const port = (\d+)/u.exec(code)?.[1] as string
      const port = await freePort()
      let program = code
        .replaceAll("'aedes'", "'@concordmq/aedes'")
        .replace(`const port = ${wanted}`, `const port = ${port}`)
      const isCommon = program.includes('require(')
      // As printed it is neither module system's: `await` at the top level of CommonJS.
      if (isCommon) program = `;(async () => {\n${program}\n})()\n`
      if (wanted === '8883') {
        const files = ['-keyout', 'YOUR_PRIVATE_KEY_FILE.pem', '-out', 'YOUR_PUBLIC_CERT_FILE.pem']
        const subject = ['-subj', '/CN=localhost', '-days', '1', '-nodes']
        execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', ...subject, ...files], {
          cwd: folder,
          stdio: 'ignore',
        })
      }
      const file = join(folder, `${title.replaceAll(/\W+/gu, '-')}.${isCommon ? 'cjs' : 'mjs'}`)
      writeFileSync(file, program)
      const child = await started(file, 1)
      try {
        await roundTrip(`${schemes[wanted]}://localhost:${port}`)
      } finally {
        await stopped(child)
      }
    })
  }

  test('example.js, with its events', { timeout: 60_000 }, async () => {
    const [mqtt, ws] = [await freePort(), await freePort()]
    const file = join(folder, 'example.mjs')
    writeFileSync(
      file,
      readFileSync(join(published, 'example.js'), 'utf8')
        .replace("'./aedes.js'", "'@concordmq/aedes'")
        // As shipped it asks the default export of `ws` for what only stands beside it.
        .replace("import ws from 'ws'", "import * as ws from 'ws'")
        .replace('port = 1883', `port = ${mqtt}`)
        .replace('wsPort = 8888', `wsPort = ${ws}`),
    )
    const child = await started(file, 2)
    try {
      await roundTrip(`mqtt://localhost:${mqtt}`)
      await roundTrip(`ws://localhost:${ws}`)
      const said = child.said.join('')
      for (const line of ['new client', 'subscribe from client', 'message from client'])
        assert.match(said, new RegExp(line, 'u'))
    } finally {
      await stopped(child)
    }
  })
})
