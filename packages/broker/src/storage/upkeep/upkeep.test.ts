/** Checks, repairs, exports and imports of data that real brokers wrote. */
import assert from 'node:assert/strict'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, test } from 'node:test'
import { connect } from '../../../../../testing/testkit/src/raw-client.ts'
import { publish } from '../../../../../testing/testkit/src/wire.ts'
import type { Broker } from '../../api.ts'
import { createBroker } from '../../broker.ts'
import { ConcordError } from '../../errors.ts'
import { encodeSegmentHeader } from '../log-format.ts'
import { checkData } from './check-data.ts'
import { exportData } from './export-data.ts'
import { importData } from './import-data.ts'
import { repairData } from './repair-data.ts'

const root = mkdtempSync(join(tmpdir(), 'concordmq-upkeep-'))
const brokers: Broker[] = []
after(async () => {
  for (const broker of brokers) await broker.close({ graceMs: 0 })
  rmSync(root, { recursive: true, force: true })
})
let count = 0
const fresh = (): string => join(root, String(count++))

async function start(directory: string) {
  const broker = await createBroker({
    access: { allowAnonymous: true },
    sys: { intervalSeconds: 0 },
    storage: { directory },
  })
  brokers.push(broker)
  const { port } = await broker.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 })
  return { broker, target: { host: '127.0.0.1', port } }
}

const kept = (clientId: string, receiveMaximum = 65_535) =>
  ({
    clientId,
    cleanStart: false,
    properties: [
      ['sessionExpiryInterval', 1000],
      ['receiveMaximum', receiveMaximum],
    ],
  }) as const

function copyOf(directory: string): string {
  const copy = fresh()
  cpSync(directory, copy, { recursive: true })
  return copy
}

/** Half of it in the store, with chunks, and half in the log; as a kill leaves it. */
let sample = ''

before(async () => {
  const directory = fresh()
  for (const life of [1, 2]) {
    const { broker, target } = await start(directory)
    if (life === 1) {
      for (const clientId of ['sub', 'other']) {
        const client = await connect(target, 5, kept(clientId))
        await client.subscribe('a/#', 2)
        client.send(Buffer.from([0xe0, 0]))
        await client.expectClosed()
      }
    } else {
      // Gets three, acknowledges the first: the next three come again with DUP.
      const back = await connect(target, 5, kept('sub', 3))
      for (let n = 0; n < 3; n++) await back.expectPacket('PUBLISH', { payload: `1.${n}`, id: n + 1 })
      back.send(Buffer.from([0x40, 2, 0, 1]))
      await back.expectPacket('PUBLISH', { payload: '1.3', id: 4 })
      await back.ping()
      await back.drop()
    }
    const publisher = await connect(target, 5, { ...kept('pub'), will: { topic: 'a/will', payload: 'gone', qos: 1 } })
    for (let n = 0; n < 40; n++) {
      publisher.send(publish(5, 'a/b', `${life}.${n}`, { qos: 1, id: n + 1 }))
      await publisher.expectPacket('PUBACK', { id: n + 1 })
    }
    publisher.send(publish(5, `r/${life}`, Buffer.from([0xff, life]), { qos: 1, id: 99, retain: true }))
    await publisher.expectPacket('PUBACK', { id: 99 })
    publisher.send(publish(5, 'a/2', 'exactly once', { qos: 2, id: 100 + life }))
    await publisher.expectPacket('PUBREC', { id: 100 + life })
    if (life === 2) {
      const more = await connect(target, 5, kept('third'))
      await more.subscribe('$share/g/x', 1)
      sample = copyOf(directory)
    } else {
      publisher.send(Buffer.from([0xe0, 0]))
      await publisher.expectClosed()
    }
    await broker.close({ graceMs: 0 })
  }
})

async function linesOf(directory: string): Promise<string[]> {
  const lines: string[] = []
  for await (const line of exportData(directory)) lines.push(line)
  return lines
}

async function* streamOf(lines: readonly string[]): AsyncGenerator<string> {
  yield* lines
}

/** All files with their bytes. */
function contentsOf(directory: string): Record<string, string> {
  const names = readdirSync(directory, { recursive: true, encoding: 'utf8' }).sort()
  const files = names.filter((name) => statSync(join(directory, name)).isFile())
  return Object.fromEntries(files.map((name) => [name, readFileSync(join(directory, name), 'latin1')]))
}

const coded =
  (code: string, text = /./) =>
  (error: unknown) => {
    assert.ok(error instanceof ConcordError, String(error))
    assert.equal(error.code, code)
    assert.match(error.message, text)
    return true
  }

test('a check says what is there, and changes no byte', async () => {
  const directory = copyOf(sample)
  writeFileSync(join(directory, 'notes.txt'), 'mine')
  const had = contentsOf(directory)
  const report = await checkData(directory)
  assert.deepEqual(contentsOf(directory), had)
  assert.deepEqual(report.problems, [])
  assert.equal(report.clean, true)
  const { sessions, subscriptions, queuedMessages, retained, wills, logSegments } = report
  assert.deepEqual(
    { sessions, subscriptions, retained, wills },
    { sessions: 4, subscriptions: 3, retained: 2, wills: 1 },
  )
  assert.ok(queuedMessages > 150, String(queuedMessages))
  assert.equal(logSegments, 1)
  assert.deepEqual(report.foreign, ['notes.txt'])
})

test('an export taken in gives the same export', async () => {
  const lines = await linesOf(sample)
  const imported = fresh()
  const counts = await importData(imported, streamOf(lines))
  assert.equal(counts.sessions, 4)
  assert.equal((await checkData(imported)).clean, true)
  assert.deepEqual(await linesOf(imported), lines)
  // As one text, cut anywhere, as bytes.
  const again = fresh()
  const bytes = Buffer.from(lines.join(''))
  await importData(
    again,
    (async function* () {
      for (let at = 0; at < bytes.length; at += 1013) yield bytes.subarray(at, at + 1013)
    })(),
  )
  assert.deepEqual(await linesOf(again), lines)
})

for (const how of ['itself', 'imported', 'repaired'] as const) {
  test(`a broker on the data ${how === 'itself' ? 'themselves' : how} gives its clients the same`, async () => {
    let directory = copyOf(sample)
    if (how === 'imported') {
      directory = fresh()
      await importData(directory, exportData(sample))
    } else if (how === 'repaired') {
      const database = new DatabaseSync(join(directory, 'state.sqlite'))
      database.prepare('INSERT INTO records VALUES (?, ?)').run(Buffer.from([77]), Buffer.from([1]))
      database.close()
      assert.equal((await repairData(directory)).report.problemsTotal, 1)
    }
    const { broker, target } = await start(directory)
    const back = await connect(target, 5, kept('sub'))
    assert.equal(back.connack?.sessionPresent, true)
    for (let n = 1; n < 40; n++) {
      await back.expectPacket('PUBLISH', { payload: `1.${n}`, id: n + 1, dup: n < 4 })
    }
    await back.expectPacket('PUBLISH', { payload: 'exactly once', qos: 2, id: 41 })
    for (let n = 0; n < 40; n++) await back.expectPacket('PUBLISH', { payload: `2.${n}` })
    const pub = await connect(target, 5, kept('pub'))
    for (const id of [101, 102]) {
      pub.send(publish(5, 'a/2', 'exactly once', { qos: 2, id, dup: true }))
      await pub.expectPacket('PUBREC', { id })
      pub.send(Buffer.from([0x62, 2, 0, id]))
      await pub.expectPacket('PUBCOMP', { id })
    }
    await broker.close({ graceMs: 0 })
  })
}

/** The numbers of a generator that everybody can repeat. */
function random(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}

async function starts(directory: string): Promise<boolean> {
  try {
    const { broker } = await start(copyOf(directory))
    await broker.close({ graceMs: 0 })
    return true
  } catch (error) {
    assert.ok(error instanceof ConcordError, String(error))
    return false
  }
}

/** A check agrees with a start, and after a repair both are content. */
async function judge(directory: string, what: string): Promise<boolean> {
  const started = await starts(directory)
  const had = contentsOf(directory)
  const report = await checkData(directory)
  assert.deepEqual(contentsOf(directory), had, what)
  if (!started) assert.equal(report.clean, false, `${what}: a start refuses it, a check does not`)
  for (const problem of report.problems) assert.ok(problem.file !== '' && problem.detail !== '', what)
  const asked: string[] = []
  const { backup } = await repairData(directory, {
    backup: fresh(),
    confirm: (found) => {
      asked.push(...found.problems.map(({ detail }) => detail))
      return true
    },
  })
  if (report.clean) {
    assert.equal(backup, undefined)
    assert.deepEqual(contentsOf(directory), had, what)
    return false
  }
  assert.ok(asked.length > 0)
  assert.deepEqual(contentsOf(backup as string), had, what)
  const after = await checkData(directory)
  assert.deepEqual(after.problems, [], what)
  assert.equal(await starts(directory), true, what)
  return true
}

test('a changed byte anywhere is no surprise: a check agrees with a start, and a repair makes whole', async () => {
  const seed = 20261128
  const draw = random(seed)
  let damaged = 0
  for (let n = 0; n < 24; n++) {
    const directory = copyOf(sample)
    const names = Object.keys(contentsOf(directory))
    const name = names[n % names.length] as string
    const bytes = readFileSync(join(directory, name))
    // The log is mostly zeros ahead of what is written.
    const used = Math.max(
      1,
      bytes.findLastIndex((byte) => byte !== 0),
    )
    const at = Math.floor(draw() * used)
    bytes[at] = (bytes[at] as number) ^ (1 << Math.floor(draw() * 8))
    writeFileSync(join(directory, name), bytes)
    if (await judge(directory, `seed ${seed}, ${name} byte ${at}`)) damaged++
  }
  assert.ok(damaged > 5, String(damaged))
})

test('a file cut off anywhere is no surprise either', async () => {
  const draw = random(7)
  for (const name of Object.keys(contentsOf(sample))) {
    for (let n = 0; n < 3; n++) {
      const directory = copyOf(sample)
      const bytes = readFileSync(join(directory, name))
      const at = Math.floor(draw() * (bytes.findLastIndex((byte) => byte !== 0) + 1))
      writeFileSync(join(directory, name), bytes.subarray(0, at))
      await judge(directory, `${name} cut at ${at}`)
    }
  }
})

function change(directory: string, sql: string): void {
  const database = new DatabaseSync(join(directory, 'state.sqlite'))
  assert.ok(database.prepare(sql).run().changes > 0)
  database.close()
}

for (const [what, sql, words] of [
  ['the content of a chunk is missing', 'DELETE FROM contents', /content is missing/],
  [
    'the content of a chunk is cut',
    'UPDATE contents SET content = substr(content, 1, 400)',
    /content is damaged|missing from its content/,
  ],
  ['the list of a chunk is missing', "DELETE FROM records WHERE hex(key) LIKE '09%'", /its list is missing/],
  ['a session is missing', "DELETE FROM records WHERE hex(key) LIKE '030003737562'", /without session/],
  [
    'a session is cut',
    "UPDATE records SET value = substr(value, 1, 9) WHERE hex(key) LIKE '030003737562'",
    /cut short/,
  ],
  ['a subscription is no MQTT', "UPDATE records SET value = x'ff00000000' WHERE hex(key) LIKE '04%'", /subscription/],
  ['the clock is missing', "DELETE FROM records WHERE hex(key) = '00'", /place that the state has reached/],
  [
    'messages that queues wait for are fewer',
    "UPDATE records SET value = substr(value, 1, 40) WHERE hex(key) LIKE '05%'",
    /cut short/,
  ],
] as const) {
  test(`where ${what}, a check names it and a repair gives up no more than that`, async () => {
    const stopped = fresh()
    // All in the store: what the log has would make good for some of it.
    await importData(stopped, exportData(sample))
    change(stopped, sql)
    const report = await checkData(stopped)
    assert.match(report.problems.map((problem) => `${problem.what}: ${problem.detail}`).join('\n'), words)
    assert.equal(await judge(stopped, what), true)
    const left = await checkData(stopped)
    assert.equal(left.retained, 2)
    if (/list|clock/.test(what)) assert.equal(left.queuedMessages, (await checkData(sample)).queuedMessages)
  })
}

test('a log with a segment missing, or without its store, is damaged', async () => {
  const directory = copyOf(sample)
  writeFileSync(
    join(directory, 'log', '00000099.log'),
    encodeSegmentHeader({ number: 99, previousEnd: 8192, salt: new Uint8Array(16) }),
  )
  assert.match((await checkData(directory)).problems[0]?.detail ?? '', /the segment before it, \d+, is missing/)
  assert.equal(await judge(directory, 'a segment is missing'), true)
  const blind = copyOf(sample)
  const [segment] = readdirSync(join(blind, 'log')) as [string]
  const bytes = readFileSync(join(blind, 'log', segment))
  writeFileSync(join(blind, 'log', segment), bytes.fill(0, 0, 4096))
  assert.match((await checkData(blind)).problems[0]?.detail ?? '', /the header is damaged/)
  assert.equal(await judge(blind, 'the header of the last segment'), true)
  const headless = copyOf(sample)
  for (const name of readdirSync(headless)) if (name.startsWith('state')) rmSync(join(headless, name))
  assert.match((await checkData(headless)).problems[0]?.detail ?? '', /is missing/)
  const had = contentsOf(headless)
  await assert.rejects(
    repairData(headless, {
      confirm: () => {
        throw new ConcordError('CMQ_DATA_ABSENT', 'no')
      },
    }),
    coded('CMQ_DATA_ABSENT'),
  )
  assert.deepEqual(contentsOf(headless), had)
})

test('what no broker here wrote, or a newer one, is refused by all four', async () => {
  const newer = copyOf(sample)
  const foreign = fresh()
  const strange = fresh()
  const empty = fresh()
  for (const directory of [foreign, strange, empty]) mkdirSync(directory)
  const set = (directory: string, sql: string): void => {
    const database = new DatabaseSync(join(directory, 'state.sqlite'))
    database.exec(sql)
    database.close()
  }
  set(newer, 'PRAGMA user_version = 99')
  set(foreign, 'CREATE TABLE records (x)')
  set(strange, 'PRAGMA application_id = 7')
  for (const [directory, code] of [
    [newer, 'CMQ_DATA_FORMAT'],
    [foreign, 'CMQ_DATA_FORMAT'],
    [strange, 'CMQ_DATA_FORMAT'],
    [empty, 'CMQ_DATA_ABSENT'],
    [join(empty, 'none'), 'CMQ_DATA_ABSENT'],
  ] as const) {
    const had = existsSync(directory) ? contentsOf(directory) : undefined
    await assert.rejects(checkData(directory), coded(code))
    await assert.rejects(repairData(directory), coded(code))
    await assert.rejects(linesOf(directory), coded(code))
    if (code !== 'CMQ_DATA_FORMAT') continue
    await assert.rejects(importData(directory, exportData(sample), { merge: true }), coded(code))
    await assert.rejects(start(directory), coded(code))
    assert.deepEqual(had && contentsOf(directory), had)
  }
})

test('data that a broker has are locked, and two checks may look at once', async () => {
  const directory = copyOf(sample)
  const { broker } = await start(directory)
  await assert.rejects(checkData(directory), coded('CMQ_DATA_LOCKED'))
  await assert.rejects(repairData(directory), coded('CMQ_DATA_LOCKED'))
  await assert.rejects(linesOf(directory), coded('CMQ_DATA_LOCKED'))
  await assert.rejects(importData(directory, exportData(sample), { merge: true }), coded('CMQ_DATA_LOCKED'))
  await broker.close({ graceMs: 0 })
  const lines = exportData(directory)
  await lines.next()
  assert.equal((await checkData(directory)).clean, true)
  await assert.rejects(start(directory), coded('CMQ_DATA_LOCKED'))
  await lines.return()
  const later = await start(directory)
  await later.broker.close({ graceMs: 0 })
})

test('a replacement that was interrupted keeps brokers out, and a repair finishes it', async () => {
  const directory = copyOf(sample)
  const other = fresh()
  await importData(other, exportData(sample))
  cpSync(join(other, 'state.sqlite'), join(directory, 'state.sqlite.new'))
  writeFileSync(join(directory, 'unfinished'), '')
  await assert.rejects(start(directory), coded('CMQ_DATA_DAMAGED', /interrupted/))
  assert.equal(await judge(directory, 'interrupted'), true)
  assert.deepEqual(await linesOf(directory), await linesOf(sample))
})

test('a stream that is wrong anywhere is refused with its line, and nothing is written', async () => {
  const lines = await linesOf(sample)
  const at = (kind: string) => lines.findIndex((line) => line.startsWith(`{"kind":"${kind}"`))
  const altered = (kind: string, alter: (fields: Record<string, unknown>) => void): [string, string[]] => {
    const changed = [...lines]
    const fields = JSON.parse(changed[at(kind)] as string) as Record<string, unknown>
    alter(fields)
    changed[at(kind)] = `${JSON.stringify(fields)}\n`
    return [`line ${at(kind) + 1}: `, changed]
  }
  const cases: [string, string[]][] = [
    ['line 1: the stream ends', []],
    ['line 1: it is no JSON', ['hello\n']],
    [`line ${lines.length}: the stream ends without its last line`, lines.slice(0, -1)],
    [
      `line ${lines.length}: .*which "lines" denies`,
      [...lines.slice(0, 5), ...lines.slice(6)].slice(0, -1).concat(lines.slice(-1)),
    ],
    [`line ${lines.length + 1}: `, [...lines, lines[1] as string]],
    altered('header', (fields) => (fields['version'] = 2)),
    altered('header', (fields) => (fields['format'] = 'other')),
    altered('message', (fields) => (fields['id'] = 5)),
    altered('message', (fields) => (fields['topic'] = 'a/#')),
    altered('message', (fields) => (fields['position'] = 2 ** 52)),
    altered('message', (fields) => delete fields['payload']),
    altered('message', (fields) => (fields['colour'] = 'red')),
    altered('retained', (fields) => (fields['payloadBase64'] = '***')),
    altered('session', (fields) => (fields['clientId'] = '')),
    altered('session', (fields) => (fields['version'] = 6)),
    altered('session', (fields) => (fields['receipts'] = [3, 2])),
    altered('session', (fields) => (fields['queue'] = { base: 9, next: 1, sentBelow: 0 })),
    altered('subscription', (fields) => (fields['filter'] = 'a/#/b')),
    altered('subscription', (fields) => (fields['clientId'] = 'nobody')),
    altered('entry', (fields) => (fields['packetId'] = 60_000)),
    altered('entry', (fields) => (fields['number'] = 9999)),
    altered('entry', (fields) => (fields['message'] = 0)),
    altered('entry', (fields) => (fields['qos'] = 0)),
    altered('will', (fields) => (fields['qos'] = 3)),
  ]
  cases.splice(3, 1)
  for (const [words, stream] of cases) {
    const directory = fresh()
    await assert.rejects(importData(directory, streamOf(stream)), coded('CMQ_DATA_STREAM', new RegExp(words)), words)
    assert.equal(existsSync(directory), false)
    const target = copyOf(sample)
    const had = contentsOf(target)
    await assert.rejects(importData(target, streamOf(stream), { merge: true }), coded('CMQ_DATA_STREAM'))
    assert.deepEqual(contentsOf(target), had, words)
  }
})

test('an import into data needs to be a merge, and takes the place of sessions of the same name', async () => {
  const target = fresh()
  const { broker, target: place } = await start(target)
  const mine = await connect(place, 5, kept('mine'))
  await mine.subscribe('m', 1)
  mine.send(Buffer.from([0xe0, 0]))
  await mine.expectClosed()
  const other = await connect(place, 5, kept('another'))
  other.send(publish(5, 'm', 'kept', { qos: 1, id: 1 }))
  await other.expectPacket('PUBACK', { id: 1 })
  const sub = await connect(place, 5, kept('sub'))
  await sub.subscribe('elsewhere', 1)
  await broker.close({ graceMs: 0 })
  await assert.rejects(importData(target, exportData(sample)), coded('CMQ_DATA_PRESENT'))
  const counts = await importData(target, exportData(sample), { merge: true })
  assert.equal(counts.replaced, 1)
  const report = await checkData(target)
  assert.deepEqual(report.problems, [])
  assert.equal(report.sessions, 6)
  assert.equal(report.queuedMessages, (await checkData(sample)).queuedMessages + 1)
  const text = (await linesOf(target)).join('')
  assert.doesNotMatch(text, /elsewhere/)
  const again = await start(target)
  const back = await connect(again.target, 5, kept('mine'))
  await back.expectPacket('PUBLISH', { topic: 'm', payload: 'kept' })
  await again.broker.close({ graceMs: 0 })
})
