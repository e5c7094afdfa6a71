import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { recordInto } from '../../testkit/src/recorded-broker.ts'
import { runLoad } from './load.ts'
import { checkRecording, type Recording, readRecording } from './replay.ts'

const folder = mkdtempSync(join(tmpdir(), 'concordmq-replay-'))
after(() => rmSync(folder, { recursive: true }))

const steps = 1_500
const seeds = [Number(process.env['CONCORDMQ_TEST_SEED'] ?? 1), 8123]

/** The recording of a load; the broker's queues are small, so that they fill. */
async function record(name: string, seed: number): Promise<string> {
  const path = join(folder, name)
  const broker = await recordInto(path, {
    access: { allowAnonymous: true },
    sys: { intervalSeconds: 0 },
    sessions: { queueMessagesMax: 20, queueFull: seed % 2 === 0 ? 'dropNewest' : 'dropOldest' },
  })
  try {
    const { port } = await broker.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 })
    await runLoad({ host: '127.0.0.1', port }, { seed, steps })
  } finally {
    await broker.close({ graceMs: 0 })
  }
  return `${path}.commands`
}

for (const seed of seeds) {
  test(`replay: a load of kept sessions, wills, groups and cut handshakes ends in the broker's hash (CONCORDMQ_TEST_SEED=${seed})`, async () => {
    const recording = readRecording(await record(`load-${seed}`, seed))
    checkRecording(recording)
    const kinds = new Set(recording.records.map(({ command }) => command.type))
    assert.deepEqual(
      [...kinds].sort(),
      allKinds.filter((kind) => kind !== 'tick' || kinds.has('tick')),
    )
  })
}

/** `tick` comes only if the machine's deadline passed while nothing else did. */
const allKinds = [
  'acknowledge',
  'connect',
  'disconnect',
  'publish',
  'release',
  'start',
  'subscribe',
  'tick',
  'unsubscribe',
]

describe('a recording that is not what the broker did', () => {
  let file = ''
  let recording: Recording
  before(async () => {
    file = await record('damaged', 3)
    recording = readRecording(file)
  })

  test('replay refuses one command left out', () => {
    const at = recording.records.findLastIndex(({ command }) => command.type === 'publish' && command.message.retain)
    assert.throws(
      () => checkRecording({ ...recording, records: recording.records.toSpliced(at, 1) }),
      /another hash than the broker/u,
    )
  })

  test('replay refuses one command at another time', () => {
    const moved = recording.records.map((record, i) => (i === 0 ? record : { ...record, timeUs: record.timeUs + 1 }))
    assert.throws(() => checkRecording({ ...recording, records: moved }), /another hash than the broker/u)
  })

  test('replay refuses other settings than the broker had', () => {
    const settings = { ...recording.end.settings, queueMessagesMax: 1 }
    assert.throws(
      () => checkRecording({ ...recording, end: { ...recording.end, settings } }),
      /another hash than the broker/u,
    )
  })

  test('replay refuses a file that was cut, and one whose broker was not closed', () => {
    const bytes = readFileSync(file)
    const cut = join(folder, 'cut.commands')
    writeFileSync(cut, bytes.subarray(0, bytes.length - 1))
    assert.throws(() => readRecording(cut), /was not closed/u)
    writeFileSync(join(folder, 'cut.json'), JSON.stringify(recording.end))
    assert.throws(() => readRecording(cut), /record \d+/u)
  })
})

test('replay: the program names each recording, exits 1 for one that does not replay and 64 without a file', async () => {
  const good = await record('good', 4)
  const bad = join(folder, 'bad.commands')
  writeFileSync(bad, readFileSync(good))
  writeFileSync(join(folder, 'bad.json'), JSON.stringify({ ...readRecording(good).end, hash: '00' }))
  const replay = (...files: string[]) =>
    spawnSync(process.execPath, [fileURLToPath(new URL('./replay.ts', import.meta.url)), ...files], {
      encoding: 'utf8',
    })
  assert.match(replay(good).stdout, /good\.commands: \d+ commands, hash [0-9a-f]{64}\n$/u)
  const mixed = replay(bad, good)
  assert.equal(mixed.status, 1)
  assert.match(mixed.stderr, /bad\.commands: The fresh machine ends with another hash/u)
  assert.match(mixed.stdout, /good\.commands/u)
  assert.equal(replay().status, 64)
})
