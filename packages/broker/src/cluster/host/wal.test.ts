import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { WalRecord } from '@concordmq/consensus'
import { randomFrom } from '../../../../../testing/testkit/src/random.ts'
import { MemoryFiles } from '../../storage/memory-files.testkit.ts'
import { type LogLine, recordingLogger } from '../cluster.testkit.ts'
import { type OpenedWal, Wal } from './wal.ts'

interface Opened extends OpenedWal {
  readonly durable: number[]
  readonly lines: LogLine[]
  /** Resolves when the barrier is durable. */
  readonly until: (barrier: number) => Promise<void>
}

async function open(files: MemoryFiles): Promise<Opened> {
  const durable: number[] = []
  const lines: LogLine[] = []
  let look = (): void => {}
  const opened = await Wal.open({
    files,
    directory: '/wal',
    sync: true,
    logger: recordingLogger(lines),
    onDurable(barrier) {
      durable.push(barrier)
      look()
    },
  })
  const until = (barrier: number): Promise<void> =>
    new Promise((resolve) => {
      look = () => {
        if (durable.includes(barrier)) resolve()
      }
      look()
    })
  return { ...opened, durable, lines, until }
}

const record = (mark: number, bytes = 50): WalRecord => ({
  kind: 1 + (mark % 8),
  mark,
  bytes: Buffer.alloc(bytes, mark % 251),
})
const marksOf = (records: Iterable<WalRecord>): number[] => [...records].map(({ mark }) => mark)
const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1)

test('Wal gives back its records in order, and more than once', async () => {
  const files = new MemoryFiles()
  const first = await open(files)
  assert.equal(first.empty, true)
  for (const mark of upTo(100)) first.wal.append([record(mark, mark * 7)], mark % 10 === 0 ? mark : undefined)
  await first.until(100)
  assert.deepEqual(first.durable, [10, 20, 30, 40, 50, 60, 70, 80, 90, 100], 'barriers come in order')
  await first.wal.close()
  const again = await open(files)
  assert.deepEqual(marksOf(again.records), upTo(100))
  assert.deepEqual(
    [...again.records].map(({ kind, bytes }) => [kind, bytes.length, bytes[0]]),
    upTo(100).map((mark) => [1 + (mark % 8), mark * 7, mark % 251]),
  )
  await again.wal.close()
})

test('Wal reads single records back: waiting ones, written ones, and those of an earlier life', async () => {
  const files = new MemoryFiles()
  const first = await open(files)
  first.wal.append([record(1), record(2), record(3)], 1)
  await first.until(1)
  await first.wal.close()
  const { wal, until } = await open(files)
  wal.append([record(4), record(5)], 2)
  assert.equal((await wal.read(5))?.[0], 5, 'not yet written')
  await until(2)
  for (const mark of upTo(5)) assert.deepEqual(await wal.read(mark), record(mark).bytes, `record ${mark}`)
  assert.equal(await wal.read(6), undefined)
  await wal.close()
})

test('what is durable survives the loss of power, and a torn tail is cut in silence', async () => {
  for (let seed = 1; seed <= 30; seed++) {
    const { below } = randomFrom(seed)
    const files = new MemoryFiles()
    const { wal, until, durable } = await open(files)
    let mark = 0
    for (let group = 1; group <= 8; group++) {
      wal.append([record(++mark, below(3000)), record(++mark, below(300))], group)
      if (below(2) === 0) await until(group)
    }
    const kept = 2 * durable.length
    const { records, damaged, lines, wal: after } = await open(files.afterPowerLoss(() => below(1000) / 1000))
    assert.equal(damaged, false, `seed ${seed}: ${lines.map(({ message }) => message).join()}`)
    assert.ok(marksOf(records).length >= kept, `seed ${seed}: ${marksOf(records).length} of ${kept}`)
    await after.close()
    await wal.close()
  }
})

test('damage before the tail is seen, said, and the log is put aside: the node must learn which blocks it made', async () => {
  const files = new MemoryFiles()
  const { wal, until } = await open(files)
  for (const mark of upTo(20)) {
    wal.append([record(mark, 200)], mark)
    await until(mark)
  }
  await wal.close()
  const [path, file] = [...files.files].find(([name]) => name.endsWith('.log')) ?? []
  assert.ok(path !== undefined && file !== undefined)
  const place = 4096 + 5 * 240 + 100
  file.bytes[place] = (file.bytes[place] ?? 0) ^ 0xff
  const again = await open(files)
  assert.equal(again.damaged, true)
  assert.deepEqual(marksOf(again.records), [])
  assert.match(again.lines.map(({ message }) => message).join(), /damaged .* put aside/)
  assert.ok(
    [...files.files.keys()].some((name) => name.endsWith('.damaged')),
    'nothing is thrown away',
  )
  again.wal.append([record(1)], 1)
  await again.until(1)
  await again.wal.close()
})

test('a disk that is full makes barriers wait, and they come when there is room again', async () => {
  const files = new MemoryFiles()
  const { wal, until, durable, lines } = await open(files)
  wal.append([record(1)], 1)
  await until(1)
  let full = true
  files.fault = () => (full ? 'ENOSPC' : undefined)
  wal.append([record(2)], 2)
  await new Promise<void>((resolve) => {
    const poll = setInterval(() => {
      if (wal.trouble === undefined) return
      clearInterval(poll)
      resolve()
    }, 5)
  })
  assert.deepEqual(durable, [1])
  full = false
  await until(2)
  assert.equal(wal.trouble, undefined)
  assert.deepEqual(
    lines.filter(({ level }) => level === 'error' || level === 'info').map(({ fields }) => fields.event),
    ['cluster.wal.trouble', 'cluster.wal.healed'],
  )
  await wal.close()
})

test('a barrier that comes while records without one are written is not forgotten', async (t) => {
  // The timer of records that wait must not be what saves it.
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const { wal, until } = await open(new MemoryFiles())
  let mark = 0
  let barrier = 0
  for (let turns = 0; turns < 30; turns++) {
    wal.append([record(++mark)], ++barrier)
    const first = until(barrier)
    wal.append([record(++mark)], undefined)
    await first
    // The group without a barrier is under way now, somewhere between its write and its sync.
    for (let turn = 0; turn < turns; turn++) await Promise.resolve()
    wal.append([record(++mark)], ++barrier)
    let durable = false
    void until(barrier).then(() => {
      durable = true
    })
    for (let turn = 0; turn < 100 && !durable; turn++) await new Promise((resolve) => setImmediate(resolve))
    assert.ok(durable, `after ${turns} turns`)
  }
  await wal.close()
})
