/** `data check` and `data repair` of what nodes of a cluster have on disk. */
import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { checkData } from '../../storage/upkeep/check-data.ts'
import { repairData } from '../../storage/upkeep/repair-data.ts'
import { type ClusterNode, submit, TestCluster } from '../consensus.testkit.ts'
import { keyIdOfPoint } from '../identity/node-keys.ts'

const directory = mkdtempSync(join(tmpdir(), 'concordmq-cluster-upkeep-'))
let cluster: TestCluster
let copies = 0

before(async () => {
  cluster = await TestCluster.start(4, 'tls')
  const [first] = cluster.nodes as [ClusterNode]
  for (let i = 0; i < 20; i++) await submit(first.consensus, Buffer.from(`message ${i}`))
  await first.consensus.stop()
})
after(async () => {
  await cluster.stop()
  rmSync(directory, { recursive: true })
})

/** The directory of node 0 as it would lie in a data directory. */
function copied(): string {
  const copy = join(directory, `copy-${copies++}`)
  cpSync(join(cluster.directory, '0'), join(copy, 'cluster'), { recursive: true })
  return copy
}

function segmentOf(copy: string): string {
  const [name = ''] = readdirSync(join(copy, 'cluster', 'consensus')).filter((file) => file.endsWith('.log'))
  return join(copy, 'cluster', 'consensus', name)
}

/** Where the groups of a segment end: what was preallocated behind them is zeros. */
function endOf(path: string): number {
  return readFileSync(path).findLastIndex((byte) => byte !== 0) + 1
}

function change(path: string, at: number): void {
  const bytes = readFileSync(path)
  bytes[at] = (bytes[at] as number) ^ 0x55
  writeFileSync(path, bytes)
}

test('a check says whose the directory is and what its consensus log holds', async () => {
  const { clean, cluster: report, problems } = await checkData(copied())
  assert.deepEqual(problems, [])
  assert.equal(clean, true)
  assert.equal(report?.network, 'test')
  assert.equal(report?.key, keyIdOfPoint(cluster.genesis.nodes[0]?.publicKey as Uint8Array))
  assert.ok((report?.records ?? 0) > 20)
})

test('an end that a crash tore is harmless', async () => {
  const copy = copied()
  const segment = segmentOf(copy)
  const whole = (await checkData(copy)).cluster?.records ?? 0
  truncateSync(segment, endOf(segment) - 5)
  const { clean, cluster: report } = await checkData(copy)
  assert.equal(clean, true)
  assert.ok((report?.tornBytes ?? 0) > 0 && (report?.records ?? 0) < whole)
})

test('damage has its place, and a repair gives up the consensus log, of which the others know enough', async () => {
  const copy = copied()
  const segment = segmentOf(copy)
  change(segment, Math.floor(endOf(segment) / 2))
  const { clean, problems } = await checkData(copy)
  assert.equal(clean, false)
  assert.match(problems[0]?.file ?? '', /^cluster\/consensus\/\d+\.log$/)
  assert.match(problems[0]?.loss ?? '', /it asks the others/)
  const { backup } = await repairData(copy)
  assert.ok(backup !== undefined)
  assert.equal((await checkData(copy)).clean, true)
  assert.equal((await checkData(backup)).clean, false)

  rmSync(join(cluster.directory, '0'), { recursive: true })
  cpSync(join(copy, 'cluster'), join(cluster.directory, '0'), { recursive: true })
  await cluster.restart(0)
  const { consensus, recorder } = cluster.nodes[0] as ClusterNode
  await recorder.until(20, 'what was ordered before')
  // Busy until the others have told it what it made.
  let placed = false
  for (let tries = 0; !placed && tries < 300; tries++) {
    placed = (await submit(consensus, Buffer.from('after'))).type === 'placed'
    if (!placed) await new Promise((resolve) => setTimeout(resolve, 100))
  }
  assert.ok(placed)
  await consensus.stop()
})

test('a newer format is refused, and a directory that does not say whose it is cannot be repaired', async () => {
  const newer = copied()
  const owner = join(newer, 'cluster', 'cluster.json')
  writeFileSync(owner, readFileSync(owner, 'utf8').replace('"format":1', '"format":2'))
  for (const act of [checkData, repairData]) await assert.rejects(act(newer), { code: 'CMQ_DATA_FORMAT' })

  for (const junk of ['', 'no JSON', '{"format":1}', 'null']) {
    const copy = copied()
    writeFileSync(join(copy, 'cluster', 'cluster.json'), junk)
    const { clean, problems } = await checkData(copy)
    assert.equal(clean, false)
    assert.equal(problems[0]?.what, 'whose directory this is')
    await assert.rejects(repairData(copy), { code: 'CMQ_DATA_DAMAGED', message: /does not say whose it is/ })
  }
})

test('where fewer than four nodes agree nobody can make up for a damaged log', async () => {
  const copy = copied()
  const owner = join(copy, 'cluster', 'cluster.json')
  writeFileSync(owner, readFileSync(owner, 'utf8').replace('"nodes":4', '"nodes":3'))
  const segment = segmentOf(copy)
  change(segment, Math.floor(endOf(segment) / 2))
  await assert.rejects(repairData(copy), { code: 'CMQ_DATA_DAMAGED', message: /fewer than four nodes/ })
  assert.equal((await checkData(copy)).clean, false)
})
