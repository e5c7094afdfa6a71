import assert from 'node:assert/strict'
import { test } from 'node:test'
import { randomFrom } from '../../../../testing/testkit/src/random.ts'
import { GROUPS_START } from './log-format.ts'
import { readLog } from './log-reader.ts'
import { type Fault, MemoryFiles } from './memory-files.testkit.ts'
import { SegmentLog } from './segment-log.ts'

const fraction = (seed: number): (() => number) => {
  const { below } = randomFrom(seed)
  return () => below(1_000_000) / 1_000_000
}

const directory = '/log'
const SEGMENT = 16_384
const MIB = 1024 * 1024

async function open(
  files: MemoryFiles,
  segmentBytes = SEGMENT,
): Promise<{ log: SegmentLog; troubles: (string | undefined)[] }> {
  const before = await readLog(files, directory)
  assert.equal(before.damage, undefined)
  const troubles: (string | undefined)[] = []
  const log = new SegmentLog(
    {
      files,
      directory,
      segmentBytes,
      sync: true,
      lastNumber: before.lastNumber,
      lastEnd: before.lastEnd,
      onTrouble: (trouble) => troubles.push(trouble?.message),
    },
    before.segments.map((name) => ({ name, tag: 0 })),
  )
  return { log, troubles }
}

const payload = (n: number, bytes = 100): Uint8Array =>
  Buffer.from(`${n}:`.padEnd(bytes, String.fromCharCode(97 + (n % 26))))
const numbers = (groups: readonly Uint8Array[]): number[] =>
  groups.map((group) => Number(Buffer.from(group).toString('latin1').split(':')[0]))
const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i)

test('SegmentLog gives back what it was given, over several segments and several lives', async () => {
  const files = new MemoryFiles()
  let n = 0
  for (let life = 0; life < 4; life++) {
    const { log } = await open(files)
    for (let i = 0; i < 120; i++) await log.write([payload(n, 1 + ((n * 37) % 900))], n++)
    await log.close()
  }
  const { groups, segments, damage } = await readLog(files, directory)
  assert.equal(damage, undefined)
  assert.deepEqual(numbers(groups), upTo(n))
  assert.ok(segments.length > 8)
})

test('SegmentLog drops closed segments up to a tag, and uses their files again', async () => {
  const files = new MemoryFiles()
  const { log } = await open(files)
  for (let n = 0; n < 500; n++) {
    await log.write([payload(n, 500)], n)
    if (n % 50 === 49) await log.drop(n - 100)
  }
  const { groups, damage } = await readLog(files, directory)
  assert.equal(damage, undefined)
  const left = numbers(groups)
  assert.equal(left.at(-1), 499)
  assert.ok((left[0] as number) <= 400 && (left[0] as number) > 300, `begins with ${left[0]}`)
  assert.deepEqual(left, upTo(500).slice(left[0]))
  assert.ok(files.files.size < 12)
})

test('a segment grows by steps in proportion to its groups, so that a small one never waits for many zeros', async () => {
  const files = new MemoryFiles()
  const { log } = await open(files, 64 * MIB)
  const bytes = (): number => Math.max(...[...files.files.values()].map((file) => file.bytes.length))
  const steps: number[] = []
  const write = async (groups: number, each: number): Promise<void> => {
    for (let n = 0; n < groups; n++) {
      const before = bytes()
      await log.write([payload(n, each)], n)
      if (bytes() > before && before > GROUPS_START) steps.push(bytes() - before)
    }
  }
  await write(600, 1000)
  assert.deepEqual(new Set(steps), new Set([MIB / 4]))
  await write(1, 300_000)
  await write(300, 1000)
  assert.ok(Math.max(...steps) < MIB / 2, 'one that is large now and then changes little')
  await write(60, 200_000)
  assert.equal(steps.at(-1), 4 * MIB)
  await log.close()
})

test('a segment in a file that was used before, whose header a power cut tore, is none', async () => {
  const files = new MemoryFiles()
  const { log } = await open(files)
  for (let n = 0; n < 200; n++) {
    await log.write([payload(n, 500)], n)
    if (n % 50 === 49) await log.drop(n - 50)
  }
  const before = new Set(files.files.keys())
  assert.ok([...before].some((path) => path.includes('spare')))
  const begun = (): string | undefined =>
    [...files.files.keys()].find((path) => !before.has(path) && path.endsWith('.log'))
  files.fault = () => (begun() === undefined ? undefined : 'EIO')
  for (let n = 200; begun() === undefined; n++) {
    const writing = log.write([payload(n, 500)], n).catch(() => {})
    await new Promise(setImmediate)
    if (begun() !== undefined) log.stopRetrying()
    await writing
  }
  const file = files.files.get(begun() as string)
  file?.bytes.fill(0, 0, GROUPS_START)
  files.fault = () => undefined
  const { damage, stillborn } = await readLog(files, directory)
  assert.equal(damage, undefined)
  assert.equal(stillborn.length, 1)
})

test('a log that is cut anywhere gives back a beginning of what was written, and goes on', async () => {
  const whole = new MemoryFiles()
  const { log } = await open(whole)
  for (let n = 0; n < 60; n++) await log.write([payload(n, 40)], n)
  await log.close()
  const [path] = [...whole.files.keys()]
  const { bytes } = whole.files.get(path as string) as { bytes: Buffer }
  const end = GROUPS_START + 60 * 56
  let longest = -1
  for (let length = 0; length <= end; length += 7) {
    const files = new MemoryFiles()
    const cut = Buffer.concat([bytes.subarray(0, length), Buffer.alloc(bytes.length - length)])
    files.files.set(path as string, { bytes: cut, synced: cut })
    const { groups, damage, stillborn } = await readLog(files, directory)
    assert.equal(damage, undefined)
    assert.deepEqual(numbers(groups), upTo(groups.length))
    assert.ok(groups.length >= longest, 'a longer rest holds more')
    longest = groups.length
    for (const name of stillborn) await files.remove(`${directory}/${name}`)
    const again = await open(files)
    await again.log.write([payload(groups.length)], 0)
    await again.log.close()
    assert.deepEqual(numbers((await readLog(files, directory)).groups), upTo(groups.length + 1))
  }
  assert.ok(longest >= 59)
})

test('a byte changed before the last group is refused with its place, never skipped', async () => {
  const whole = new MemoryFiles()
  const { log } = await open(whole)
  for (let n = 0; n < 300; n++) await log.write([payload(n, 100)], n)
  await log.close()
  const random = fraction(7)
  let refused = 0
  for (let i = 0; i < 300; i++) {
    const files = new MemoryFiles()
    const paths = [...whole.files.keys()]
    for (const path of paths) {
      const { bytes } = whole.files.get(path) as { bytes: Buffer }
      files.files.set(path, { bytes: Buffer.from(bytes), synced: bytes })
    }
    const path = paths[Math.floor(random() * (paths.length - 1))] as string
    const { bytes } = files.files.get(path) as { bytes: Buffer }
    const at = GROUPS_START + Math.floor(random() * (SEGMENT - GROUPS_START - 300))
    bytes[at] = (bytes[at] as number) ^ (1 + Math.floor(random() * 255))
    const { damage, groups } = await readLog(files, directory)
    assert.deepEqual(numbers(groups), upTo(groups.length))
    // A change in the zeros between two groups harms nothing.
    if (damage === undefined) assert.equal(groups.length, 300)
    else {
      refused++
      assert.equal(`${directory}/${damage.file}`, path)
      assert.ok(damage.offset <= at)
    }
  }
  assert.ok(refused > 200)
})

test('every write and sync failing in turn: what was acknowledged is there after a power loss at any time', async () => {
  const random = fraction(11)
  for (const fault of ['EIO', 'ENOSPC', 'short'] as readonly Fault[]) {
    for (let failing = 1; failing <= 24; failing++) {
      const files = new MemoryFiles()
      files.fault = (call, what) =>
        call === failing ? (what === 'sync' && fault === 'short' ? 'EIO' : fault) : undefined
      const { log, troubles } = await open(files)
      let acknowledged = 0
      for (let n = 0; n < 20; n++) {
        const left = files.afterPowerLoss(random)
        const read = await readLog(left, directory)
        assert.equal(read.damage, undefined, `${fault} at ${failing}, group ${n}: ${JSON.stringify(read.damage)}`)
        assert.ok(read.groups.length >= acknowledged)
        assert.deepEqual(numbers(read.groups).slice(0, acknowledged), upTo(acknowledged))
        await log.write([payload(n, 800)], n)
        acknowledged = n + 1
      }
      await log.close()
      assert.deepEqual(numbers((await readLog(files, directory)).groups), upTo(20))
      assert.deepEqual(troubles.length % 2, 0)
    }
  }
})

test('a log that cannot be written says so, tries again, and is done with when it stops', async () => {
  const files = new MemoryFiles()
  const { log, troubles } = await open(files)
  await log.write([payload(0)], 0)
  files.fault = () => 'ENOSPC'
  const stuck = log.write([payload(1)], 1)
  while (troubles.length === 0) await new Promise((resolve) => setImmediate(resolve))
  assert.match(troubles[0] ?? '', /planted ENOSPC/)
  assert.ok(log.trouble !== undefined)
  log.stopRetrying()
  await assert.rejects(stuck, /planted ENOSPC/)
  await log.close()
})
