/** `concordmq data …` as a person starts it. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { connect } from '../../../../testing/testkit/src/raw-client.ts'
import { publish } from '../../../../testing/testkit/src/wire.ts'
import { at, portOf, run, start, startNode } from '../program.testkit.ts'

/** As an export has it: a session with `count` messages. */
function* streamOf(count: number): IterableIterator<string> {
  const line = (fields: object): string => `${JSON.stringify(fields)}\n`
  const time = { timeUs: 1_790_000_000_000_000, time: '' }
  yield line({ kind: 'header', format: 'concordmq-data', version: 1, position: count, ...time })
  const message = { index: 0, timeUs: 1, topic: 'plant/1', qos: 1, retain: false, payload: 'x'.repeat(100) }
  for (let id = 1; id <= count; id++) yield line({ kind: 'message', id, position: id, ...message })
  const clientId = 'display'
  const queue = { base: 0, next: count, sentBelow: 0 }
  const session = { kept: true, principal: '', version: 5, receiveMaximum: 65_535, expirySeconds: 4_294_967_295, queue }
  yield line({ kind: 'session', clientId, ...session })
  const order = { qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 }
  yield line({ kind: 'subscription', clientId, filter: 'plant/+', ...order })
  for (let number = 0; number < count; number++) {
    const packetId = (number % 65_535) + 1
    yield line({ kind: 'entry', clientId, number, packetId, message: number + 1, qos: 1, retain: false })
  }
  yield line({ kind: 'end', lines: 2 * count + 4 })
}

function contentsOf(directory: string): string {
  const names = readdirSync(directory, { recursive: true, encoding: 'utf8' }).sort()
  const files = names.filter((name) => statSync(join(directory, name)).isFile() && !name.includes('.new'))
  return files.map((name) => `${name}: ${readFileSync(join(directory, name), 'latin1')}`).join('\n')
}

test('data go from one node to another by export and import, and the other node serves them', async () => {
  const node = await startNode(['--allow-anonymous-login'])
  const client = { clientId: 'c', cleanStart: false, properties: [['sessionExpiryInterval', 1000]] } as const
  const first = await connect({ host: '127.0.0.1', port: await portOf(node, 'tcp') }, 5, client)
  await first.subscribe('a', 1)
  await first.drop()
  const other = await connect({ host: '127.0.0.1', port: await portOf(node, 'tcp') }, 5)
  other.send(publish(5, 'a', 'kept', { qos: 1, id: 1 }))
  await other.expectPacket('PUBACK', { id: 1 })
  const locked = await run(['data', 'check'])
  assert.equal(locked.code, 69)
  assert.match(locked.stderr, /another broker has it open[\s\S]*stop it first/)
  node.child.kill('SIGKILL')
  await once(node.child, 'exit')

  const checked = await run(['data', 'check', '--json'])
  assert.equal(checked.code, 0, checked.stderr)
  assert.equal((JSON.parse(checked.stdout) as { queuedMessages: number }).queuedMessages, 1)
  assert.equal((await run(['data', 'export', '--out', 'kept.jsonl'])).code, 0)
  assert.equal(statSync(at('kept.jsonl')).mode & 0o777, 0o600)
  const imported = await run(['data', 'import', 'kept.jsonl', '--data-dir', 'moved'])
  assert.equal(imported.code, 0, imported.stderr)
  assert.match(imported.stdout, /1 sessions, 1 subscriptions, 1 queued messages/)
  const twice = await run(['data', 'import', '-', '--data-dir', 'moved'], {
    input: readFileSync(at('kept.jsonl'), 'utf8'),
  })
  assert.equal(twice.code, 73)

  const second = await startNode(['--allow-anonymous-login', '--data-dir', 'moved'])
  const back = await connect({ host: '127.0.0.1', port: await portOf(second, 'tcp') }, 5, client)
  assert.equal(back.connack?.sessionPresent, true)
  await back.expectPacket('PUBLISH', { topic: 'a', payload: 'kept', id: 1 })
})

test('damage is named with a remedy, and repaired only when somebody agrees', async () => {
  writeFileSync(at('in.jsonl'), [...streamOf(20)].join(''))
  assert.equal((await run(['data', 'import', 'in.jsonl', '--data-dir', 'data'])).code, 0)
  const clean = await run(['data', 'repair', 'data'])
  assert.equal(clean.code, 0)
  assert.match(clean.stdout, /nothing is damaged, nothing was changed/)
  mkdirSync(at('data', 'log'))
  writeFileSync(at('data', 'state.sqlite'), 'no database, but long enough to be none')
  const damaged = await run(['data', 'check', 'data'])
  assert.equal(damaged.code, 65)
  assert.match(damaged.stdout, /state\.sqlite: the state store: it is no database.*\n.*concordmq data repair/)
  const had = contentsOf(at('data'))
  const unasked = await run(['data', 'repair', 'data'])
  assert.equal(unasked.code, 64)
  assert.match(unasked.stderr, /--yes/)
  const exported = await run(['data', 'export', 'data', '-o', 'out.jsonl'])
  assert.equal(exported.code, 65)
  assert.equal(existsSync(at('out.jsonl')), false)
  const taken = await run(['data', 'repair', 'data', '--yes', '--backup', 'in.jsonl'])
  assert.equal(taken.code, 74)
  assert.equal(contentsOf(at('data')), had)
  const repaired = await run(['data', 'repair', 'data', '--yes', '--backup', 'copy'])
  assert.equal(repaired.code, 0, repaired.stderr)
  assert.equal(contentsOf(at('copy')), had)
  assert.equal((await run(['data', 'check', 'data'])).code, 0)
})

test('what cannot be done is refused with its status', async () => {
  writeFileSync(at('bad.jsonl'), '{"kind":"header"}\n')
  writeFileSync(at('in.jsonl'), [...streamOf(1)].join(''))
  for (const [args, code, words] of [
    [['check', 'nowhere'], 1, /Cannot read nowhere/],
    [['import', 'bad.jsonl', '--data-dir', 'x'], 65, /line 1: "format" is missing/],
    [['import', 'none.jsonl', '--data-dir', 'x'], 74, /Cannot read none\.jsonl: it does not exist/],
    [['import', 'in.jsonl', '--data-dir', 'in.jsonl/x'], 74, /./],
    [['export', '--data-dir', 'x'], 1, /Cannot read x/],
    [['import'], 64, /missing required argument/],
  ] as const) {
    const { code: found, stderr } = await run(['data', ...args])
    assert.equal(found, code, stderr)
    assert.match(stderr, words)
    assert.equal(existsSync(at('x')), false)
  }
})

test('an import or a repair that is killed leaves the old data, or whole new ones', async () => {
  writeFileSync(at('in.jsonl'), [...streamOf(6000)].join(''))
  writeFileSync(at('small.jsonl'), [...streamOf(3)].join(''))
  assert.equal((await run(['data', 'import', 'small.jsonl', '--data-dir', 'old'])).code, 0)
  cpSync(at('old'), at('damaged'), { recursive: true })
  assert.equal((await run(['data', 'import', 'in.jsonl', '--data-dir', 'damaged', '--merge'])).code, 0)
  const bytes = readFileSync(at('damaged', 'state.sqlite'))
  writeFileSync(at('damaged', 'state.sqlite'), bytes.subarray(0, bytes.length - 40_000))
  let interrupted = 0
  for (const [n, delayMs] of [100, 400, 600, 800].entries()) {
    const isImport = n % 2 === 0
    const target = isImport ? 'old' : 'damaged'
    cpSync(at(target), at('target'), { recursive: true })
    const had = contentsOf(at('target'))
    const args = isImport
      ? ['import', 'in.jsonl', '--data-dir', 'target', '--merge']
      : ['repair', 'target', '--yes', '--backup', `backup${n}`]
    const { child, ended } = start(['data', ...args])
    const timer = setTimeout(() => child.kill('SIGKILL'), delayMs)
    if ((await ended) === null) interrupted++
    clearTimeout(timer)
    const checked = await run(['data', 'check', 'target', '--json'])
    const { clean, queuedMessages } = JSON.parse(checked.stdout) as { clean: boolean; queuedMessages: number }
    if (contentsOf(at('target')) !== had) {
      if (!clean) assert.equal((await run(['data', 'repair', 'target', '--yes', '--backup', `again${n}`])).code, 0)
      const { stdout } = await run(['data', 'check', 'target', '--json'])
      const after = JSON.parse(stdout) as { clean: boolean; queuedMessages: number }
      assert.equal(after.clean, true)
      // What SQLite puts beside a file that it reads may be left by a kill: the data are the old ones then.
      if (isImport) assert.ok([3, 6000].includes(after.queuedMessages), String(after.queuedMessages))
    } else if (isImport) assert.equal(queuedMessages, 3)
    rmSync(at('target'), { recursive: true })
  }
  assert.ok(interrupted > 0)
})
