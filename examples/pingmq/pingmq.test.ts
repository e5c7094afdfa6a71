/** The program as its opening comment starts it: a server, and a client that hears of failures only. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { addressesOf } from './addresses.ts'
import { ping } from './ping.ts'

const program = fileURLToPath(new URL('pingmq.ts', import.meta.url))
const children: ChildProcess[] = []
after(() => {
  for (const child of children) child.kill('SIGKILL')
})

/** Yields the lines of the program. */
function start(...args: readonly string[]): { readonly child: ChildProcess; readonly lines: AsyncIterator<string> } {
  const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  return { child, lines: createInterface({ input: child.stdout })[Symbol.asyncIterator]() }
}

test('addressesOf() lists a range from its first address on, and says what is no range', () => {
  assert.deepEqual(addressesOf('127.0.0.5/30'), ['127.0.0.4', '127.0.0.5', '127.0.0.6', '127.0.0.7'])
  assert.deepEqual(addressesOf('10.1.2.3'), ['10.1.2.3'])
  assert.equal(addressesOf('192.168.0.0/16').length, 65_536)
  for (const wrong of ['10.0.0.0/8', '10.0.0.0/33', '10.0.0/24', '::1/128', '10.0.0.0/x', '']) {
    assert.throws(() => addressesOf(wrong), /is no range of IPv4 addresses/u)
  }
})

test('ping() takes a refused connection for an answer, and an address that cannot be reached for none', async () => {
  const there = await ping('127.0.0.1', { port: 1, timeoutMs: 5_000 })
  assert.equal(there.alive, true)
  assert.ok((there.rttMs ?? -1) >= 0)
  const nowhere = await ping('255.255.255.255', { port: 1, timeoutMs: 200 })
  assert.equal(nowhere.alive, false)
  assert.equal(typeof nowhere.error, 'string')
})

test('the server pings 127.0.0.0/29 and one address that is not there; the client prints the failure alone', async () => {
  const ranges = ['-p', '127.0.0.0/29', '-p', '255.255.255.255/32']
  const server = start('server', '-u', 'tcp://127.0.0.1:0', ...ranges, '-i', '1', '--port', '1')
  const first = await server.lines.next()
  const port = /^MQTT on 127\.0\.0\.1:(\d+); 9 addresses/u.exec(first.value)?.[1]
  assert.ok(port !== undefined, first.value)
  const client = start('client', '-s', `mqtt://127.0.0.1:${port}`)
  const line: string = (await client.lines.next()).value
  const [topic, payload] = [line.slice(0, line.indexOf(' ')), JSON.parse(line.slice(line.indexOf(' ')))]
  assert.equal(topic, '/ping/failure/255.255.255.255')
  assert.equal(payload.ip, '255.255.255.255')
  assert.equal(payload.alive, false)
  const curious = start('client', '-s', `mqtt://127.0.0.1:${port}`, '-t', '/ping/success/+')
  const heard = new Set<string>()
  while (heard.size < 7) heard.add(JSON.parse(String((await curious.lines.next()).value).split(' ')[1] ?? '').ip)
  assert.ok([...heard].every((ip) => /^127\.0\.0\.[0-7]$/u.test(ip)))
  for (const { child } of [client, curious, server]) {
    child.kill('SIGTERM')
    assert.deepEqual(await once(child, 'exit'), [0, null])
  }
})

test('without a range, and without a command, it says how it is used', async () => {
  for (const args of [[], ['server']]) {
    const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'ignore', 'pipe'] })
    children.push(child)
    const [[code], [text]] = await Promise.all([once(child, 'exit'), once(child.stderr, 'data')])
    assert.equal(code, 64)
    assert.match(String(text), /^Usage: pingmq server/u)
  }
})
