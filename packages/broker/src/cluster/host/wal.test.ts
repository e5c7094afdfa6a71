import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RecordKind, type WalRecord } from '@concordmq/consensus'
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

async function open(files: MemoryFiles, segmentBytes = 64 * 1024 * 1024): Promise<Opened> {
  const durable: number[] = []
  const lines: LogLine[] = []
  let look = (): void => {}
  const opened = await Wal.open({
    files,
    directory: '/wal',
    sync: true,
    segmentBytes,
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
  kind: mark % 2 === 0 ? RecordKind.block : RecordKind.own,
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
    upTo(100).map((mark) => [record(mark).kind, mark * 7, mark % 251]),
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

const checkpointBytes = 50_000
const checkpoint = (mark: number): WalRecord => ({
  kind: RecordKind.checkpoint,
  mark,
  bytes: Buffer.from(Uint8Array.from({ length: checkpointBytes }, (_, at) => (at * mark) % 251)),
})
const checkpointsOf = (records: Iterable<WalRecord>): WalRecord[] =>
  [...records].filter(({ kind }) => kind === RecordKind.checkpoint)

/** Groups of one block each, with a checkpoint among them, and what is on disk after each. */
async function withCheckpointInParts(): Promise<{ readonly disks: MemoryFiles[]; readonly groupBytes: number[] }> {
  const files = new MemoryFiles()
  const { wal, until } = await open(files)
  const disks: MemoryFiles[] = []
  const groupBytes: number[] = []
  let barrier = 0
  const end = (): number =>
    Math.max(0, ...[...files.files.values()].map(({ bytes }) => bytes.findLastIndex((b) => b !== 0)))
  let before = end()
  const group = async (...records: WalRecord[]): Promise<void> => {
    wal.append(records, ++barrier, { checkpointLater: true })
    await until(barrier)
    disks.push(files.afterPowerLoss(() => 0))
    groupBytes.push(end() - before)
    before = end()
  }
  await group(record(1))
  await group(record(2), checkpoint(3), record(4))
  for (let mark = 5; mark < 30; mark++) await group(record(mark))
  await wal.close()
  return { disks, groupBytes }
}

test('a long checkpoint goes in parts: no block that is made meanwhile waits for all of it', async () => {
  const { groupBytes } = await withCheckpointInParts()
  const total = groupBytes.slice(1).reduce((sum, bytes) => sum + bytes, 0)
  assert.ok(total > checkpointBytes, `${total} bytes in all`)
  assert.ok(Math.max(...groupBytes.slice(1)) < 6000, `groups of ${groupBytes.join()} bytes`)
})

test('a crash between two parts of a checkpoint takes nothing but the checkpoint, and none behind the last one does', async () => {
  const { disks } = await withCheckpointInParts()
  let incomplete = 0
  for (const [i, disk] of disks.entries()) {
    const { wal, records, damaged } = await open(disk)
    assert.equal(damaged, false)
    const others = [...records].filter(({ kind }) => kind !== RecordKind.checkpoint)
    const appended = i === 0 ? [1] : [1, 2, ...upTo(i + 3).slice(3)]
    assert.deepEqual(marksOf(others), appended, `after group ${i}`)
    const [whole] = checkpointsOf(records)
    if (whole === undefined) incomplete++
    else assert.deepEqual({ ...whole, bytes: Buffer.from(whole.bytes) }, checkpoint(3))
    if (i > 1 && whole === undefined) assert.ok(incomplete === i + 1, 'once it is there it stays')
    for (const mark of appended) assert.deepEqual(await wal.read(mark), record(mark).bytes)
    assert.equal(await wal.read(3), undefined)
    await wal.close()
  }
  assert.equal(incomplete, 1 + Math.ceil(checkpointBytes / 4096) - 1, 'it was whole with its last part')
})

test('a log that goes on behind parts that lead to nothing takes the next checkpoint as if they were not there', async () => {
  const { disks } = await withCheckpointInParts()
  const { wal, until } = await open(disks[5] as MemoryFiles)
  wal.append([checkpoint(3), record(9)], 1, { checkpointLater: true })
  await until(1)
  await wal.close()
  const again = await open(disks[5] as MemoryFiles)
  assert.deepEqual(
    checkpointsOf(again.records).map(({ bytes }) => Buffer.from(bytes)),
    [checkpoint(3).bytes],
  )
  await again.wal.close()
})

test('a checkpoint that the log does not lead to is on disk when its barrier is', async () => {
  const files = new MemoryFiles()
  const { wal, until } = await open(files)
  wal.append([checkpoint(1)], 1, { checkpointLater: false })
  await until(1)
  const again = await open(files.afterPowerLoss(() => 0))
  assert.equal(checkpointsOf(again.records).length, 1)
  await again.wal.close()
  await wal.close()
})

test('checkpoints are whole in the order in which they were taken', async () => {
  const files = new MemoryFiles()
  const { wal, until } = await open(files)
  wal.append([checkpoint(1), record(2)], 1, { checkpointLater: true })
  await until(1)
  wal.append([checkpoint(3), record(4)], 2, { checkpointLater: true })
  await until(2)
  wal.append([checkpoint(5), record(6)], 3, { checkpointLater: false })
  await until(3)
  const again = await open(files.afterPowerLoss(() => 0))
  assert.deepEqual(marksOf(checkpointsOf(again.records)), [1, 3, 5])
  await again.wal.close()
  await wal.close()
})

test('what a checkpoint allows to forget stays until its last part is on disk', async () => {
  const files = new MemoryFiles()
  const { wal, until } = await open(files, 30_000)
  let barrier = 0
  const group = async (...records: WalRecord[]): Promise<void> => {
    wal.append(records, ++barrier, { checkpointLater: true })
    await until(barrier)
  }
  const isWhole = async (): Promise<{ readonly checkpoints: number; readonly first: number | undefined }> => {
    const again = await open(files.afterPowerLoss(() => 0))
    const records = [...again.records]
    await again.wal.close()
    return { checkpoints: checkpointsOf(records).length, first: records[0]?.mark }
  }
  let mark = 0
  while (mark < 20) await group(record(++mark, 4000))
  const base = ++mark
  await group(record(base), checkpoint(++mark), record(++mark))
  wal.forget(base)
  for (let groups = 0; groups < 30; groups++) {
    const { checkpoints, first } = await isWhole()
    if (checkpoints === 0) assert.equal(first, 1, `nothing is gone after ${groups} groups`)
    // The next one is on its way before this one is whole: it must not put off for ever what may go.
    if (groups === 5) await group(checkpoint(++mark))
    await group(record(++mark))
  }
  assert.equal((await isWhole()).checkpoints, 2)
  assert.ok(((await isWhole()).first ?? 0) > 1, 'what lay before is gone')
  await wal.close()
})
