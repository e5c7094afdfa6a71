import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { type OrderedBatch, proofText } from '@concordmq/consensus'
import { type ProvenLog, smallLog } from '../../../../../testing/testkit/src/proven-log.ts'
import { MemoryFiles } from '../../storage/memory-files.testkit.ts'
import { type LogLine, recordingLogger } from '../cluster.testkit.ts'
import { nodeCryptography } from './cryptography.ts'
import { ProofFiles } from './proof-files.ts'

const log: ProvenLog = smallLog()
const cryptography = nodeCryptography(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey)
const ROOM = 1024 * 1024

function open(files: MemoryFiles, bytesMax = ROOM, lines: LogLine[] = []): Promise<ProofFiles> {
  const { genesis } = log
  return ProofFiles.open({ genesis, files, directory: '/p', bytesMax, cryptography, logger: recordingLogger(lines) })
}

function keep(proofs: ProofFiles, batches: readonly OrderedBatch[]): void {
  for (const batch of batches) proofs.add(batch)
}

const firstOf = (batch: OrderedBatch | undefined): number => batch?.leaf.firstPosition as number

/** Positions that are proven, each exactly as by whoever has the whole log. */
async function provenBy(proofs: ProofFiles): Promise<number[]> {
  const positions: number[] = []
  for (let position = 0; position < log.size; position++) {
    const proof = await proofs.prove(position, log.links)
    if (proof === undefined) continue
    assert.equal(proofText(proof), proofText(log.prove(position)))
    positions.push(position)
  }
  return positions
}

const all = Array.from({ length: log.size }, (_, position) => position)

test('ProofFiles proves every position after a restart, wherever in the log that was', async () => {
  for (let stopped = 0; stopped <= log.batches.length; stopped += 9) {
    const files = new MemoryFiles()
    const first = await open(files)
    keep(first, log.batches.slice(0, stopped))
    await first.close()
    const second = await open(files)
    // The replay begins somewhere before.
    keep(second, log.batches.slice(Math.max(0, stopped - 3)))
    second.certified(log.certificate)
    assert.deepEqual(await provenBy(second), all, `stopped at ${stopped}`)
    assert.equal(await second.prove(log.size, log.links), undefined)
  }
})

test('ProofFiles proves what came from its start on, also in the middle of the log', async () => {
  for (let start = 0; start < log.batches.length; start += 3) {
    const proofs = await open(new MemoryFiles())
    keep(proofs, log.batches.slice(start))
    proofs.certified(log.certificate)
    const first = firstOf(log.batches[start])
    assert.equal(proofs.firstPosition, first)
    assert.deepEqual(await provenBy(proofs), all.slice(first))
  }
})

test('ProofFiles proves nothing beyond a hole by a certificate that spans it', async () => {
  const files = new MemoryFiles()
  const first = await open(files)
  keep(first, log.batches.slice(0, 3))
  await first.close()
  const second = await open(files)
  keep(second, log.batches.slice(6))
  second.certified(log.certificate)
  assert.deepEqual(await provenBy(second), all.slice(firstOf(log.batches[6])))
})

test('ProofFiles proves what lies before a hole by the certificate that was kept with it', async () => {
  const files = new MemoryFiles()
  const first = await open(files)
  keep(first, log.batches)
  first.certified(log.certificate)
  await first.close()
  const last = log.batches.at(-1) as OrderedBatch
  const second = await open(files)
  keep(second, [{ ...last, leafIndex: last.leafIndex + 100 }])
  assert.deepEqual(await provenBy(second), all)
})

test('a file that is cut anywhere loses the units behind, and no proof is wrong', async () => {
  const files = new MemoryFiles()
  const first = await open(files)
  keep(first, log.batches)
  first.certified(log.certificate)
  await first.close()
  for (const [path, { bytes }] of files.files) {
    for (let length = 0; length < bytes.length; length += 997) {
      const torn = new MemoryFiles()
      for (const [other, file] of files.files) torn.files.set(other, { ...file })
      torn.files.set(path, { bytes: bytes.subarray(0, length), synced: bytes })
      const again = await open(torn)
      keep(again, log.batches)
      again.certified(log.certificate)
      assert.deepEqual(await provenBy(again), all, `${path} cut at ${length}: the replay makes up for it`)
    }
  }
})

test('a byte that the disk changed gives no proof instead of a wrong one', async () => {
  const files = new MemoryFiles()
  const first = await open(files)
  keep(first, log.batches)
  await first.close()
  let refused = 0
  for (const [path, { bytes }] of files.files) {
    for (let at = 0; at < bytes.length; at += 731) {
      const changed = Buffer.from(bytes)
      changed[at] = (changed[at] as number) ^ 0x40
      const damaged = new MemoryFiles()
      for (const [other, file] of files.files) damaged.files.set(other, { ...file })
      damaged.files.set(path, { bytes: changed, synced: changed })
      const again = await open(damaged)
      again.certified(log.certificate)
      if ((await provenBy(again)).length < log.size) refused++
    }
  }
  assert.ok(refused > 0)
})

test('ProofFiles keeps about its maximum of bytes, the newest part of the log', async () => {
  const files = new MemoryFiles()
  const bytesMax = 4000
  const proofs = await open(files, bytesMax)
  keep(proofs, log.batches)
  proofs.certified(log.certificate)
  const proven = await provenBy(proofs)
  assert.ok(proven.length > 0 && proven.length < log.size)
  assert.deepEqual(proven, all.slice(-proven.length))
  const bytes = [...files.files.values()].reduce((sum, file) => sum + file.bytes.length, 0)
  assert.ok(bytes < 2 * bytesMax, `${bytes} bytes`)
})

test('a disk that fails costs the segment and a line in the log, and no more', async () => {
  const files = new MemoryFiles()
  const lines: LogLine[] = []
  const proofs = await open(files, ROOM, lines)
  files.fault = (_, what) => (what === 'write' ? 'ENOSPC' : undefined)
  keep(proofs, log.batches.slice(0, 4))
  assert.equal(await proofs.prove(0, log.links), undefined)
  keep(proofs, log.batches.slice(4))
  await proofs.close()
  assert.deepEqual(
    lines.map(({ level, message }) => `${level} ${message}`),
    ['warn The log is not kept for proofs for 30 s: planted ENOSPC'],
  )
})
