import assert from 'node:assert/strict'
import { once } from 'node:events'
import { suite, test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { SharedOrder, shareMemory } from './shared-order.ts'

const SMALL = { slots: 64, ringBytes: 1024 }

function bytesOf(...values: number[]): Uint8Array {
  return Uint8Array.from(values)
}

/** Reads what is there, whole bundles only, as `worker:first byte:length`. */
function readAll(order: SharedOrder): string[] {
  const found: string[] = []
  for (let entry = order.read(); entry !== undefined; entry = order.read()) {
    if (entry.bytes !== undefined) found.push(`${entry.worker}:${entry.bytes[0] ?? ''}:${entry.bytes.length}`)
  }
  order.tell()
  return found
}

suite('SharedOrder', () => {
  test('gives all workers the entries of all in one order, with ascending numbers', () => {
    const memory = shareMemory(3, SMALL)
    const orders = [0, 1, 2].map((worker) => new SharedOrder(memory, worker)) as [SharedOrder, SharedOrder, SharedOrder]
    orders[2].put(bytesOf(7), { timeUs: 1, more: false })
    orders[0].put(bytesOf(8, 8), { timeUs: 2, more: false })
    orders[2].put(bytesOf(9), { timeUs: 3, more: false })
    for (const order of orders) assert.deepEqual(readAll(order), ['2:7:1', '0:8:2', '2:9:1'])
    assert.equal(orders[1].next, 3)
  })

  test('has no room while one worker has not read, and has it again when that one tells', () => {
    const memory = shareMemory(2, SMALL)
    const [a, b] = [new SharedOrder(memory, 0), new SharedOrder(memory, 1)]
    let taken = 0
    while (a.put(new Uint8Array(100).fill(taken), { timeUs: 0, more: false })) taken++
    assert.equal(taken, Math.floor(1024 / (16 + 112)))
    readAll(a)
    assert.equal(a.put(bytesOf(1), { timeUs: 0, more: false }), false)
    assert.equal(readAll(b).length, taken)
    assert.equal(a.put(bytesOf(1), { timeUs: 0, more: false }), true)
  })

  test('has no room when the words of the order are used up', () => {
    const memory = shareMemory(2, { slots: 8, ringBytes: 1024 })
    const [a, b] = [new SharedOrder(memory, 0), new SharedOrder(memory, 1)]
    for (let i = 0; i < 8; i++) assert.ok((i % 2 === 0 ? a : b).put(bytesOf(i), { timeUs: 0, more: false }))
    assert.equal(b.put(bytesOf(8), { timeUs: 0, more: false }), false)
    assert.equal(readAll(a).length, 8)
    assert.equal(b.put(bytesOf(8), { timeUs: 0, more: false }), false)
    readAll(b)
    assert.equal(b.put(bytesOf(8), { timeUs: 0, more: false }), true)
    assert.deepEqual(readAll(a), ['1:8:1'])
  })

  test('goes around many times, with records that lie across the end of a ring', () => {
    const memory = shareMemory(2, SMALL)
    const [a, b] = [new SharedOrder(memory, 0), new SharedOrder(memory, 1)]
    for (let i = 0; i < 5000; i++) {
      const length = (i * 37) % 300
      const writer = i % 3 === 0 ? b : a
      assert.ok(writer.put(new Uint8Array(length).fill(i), { timeUs: i, more: false }))
      for (const order of [a, b]) {
        const entry = order.read()
        assert.equal(entry?.place, i)
        assert.equal(entry.timeUs, i)
        assert.deepEqual(entry.bytes, new Uint8Array(length).fill(i))
        order.tell()
      }
    }
  })

  test('joins the parts of a bundle, whatever others put in between', () => {
    const memory = shareMemory(2, SMALL)
    const [a, b] = [new SharedOrder(memory, 0), new SharedOrder(memory, 1)]
    assert.equal(a.partBytesMax, 1024 / 4 - 16)
    a.put(new Uint8Array(100).fill(1), { timeUs: 1, more: true })
    b.put(bytesOf(5), { timeUs: 1, more: false })
    a.put(new Uint8Array(60).fill(2), { timeUs: 1, more: true })
    a.put(new Uint8Array(3).fill(3), { timeUs: 1, more: false })
    a.put(bytesOf(6), { timeUs: 1, more: false })
    for (const order of [a, b]) assert.deepEqual(readAll(order), ['1:5:1', '0:1:163', '0:6:1'])
  })

  test('rings for whoever sleeps, once, and for nobody else', async () => {
    const memory = shareMemory(2, SMALL)
    const [a, b] = [new SharedOrder(memory, 0), new SharedOrder(memory, 1)]
    const alive = setInterval(() => {}, 1000)
    let woken = 0
    const bell = new Promise<void>((resolve) => {
      b.sleep(() => {
        woken++
        resolve()
      })
    })
    b.sleep(() => assert.fail('a second sleep has no bell of its own'))
    a.put(bytesOf(1), { timeUs: 0, more: false })
    a.ring()
    a.ring()
    await bell
    clearInterval(alive)
    assert.equal(woken, 1)
    assert.deepEqual(readAll(b), ['0:1:1'])
  })

  test('does not sleep over what came just before', async () => {
    const memory = shareMemory(2, SMALL)
    const [a, b] = [new SharedOrder(memory, 0), new SharedOrder(memory, 1)]
    a.put(bytesOf(1), { timeUs: 0, more: false })
    a.ring()
    await new Promise<void>((resolve) => b.sleep(resolve))
    assert.deepEqual(readAll(b), ['0:1:1'])
  })

  test('wakes a writer that found no room', async () => {
    const memory = shareMemory(2, SMALL)
    const [a, b] = [new SharedOrder(memory, 0), new SharedOrder(memory, 1)]
    const alive = setInterval(() => {}, 1000)
    while (a.put(new Uint8Array(100), { timeUs: 0, more: false }));
    readAll(a)
    const woken = new Promise<void>((resolve) => a.sleep(resolve))
    readAll(b)
    await woken
    clearInterval(alive)
    assert.ok(a.put(bytesOf(1), { timeUs: 0, more: false }))
  })

  test('is one order for threads that put in as fast as they can, with a small ring and few words', async () => {
    const workers = 3
    const bundles = 5000
    const memory = shareMemory(workers, { slots: 32, ringBytes: 2048 })
    const threads = Array.from(
      { length: workers },
      (_, worker) =>
        new Worker(new URL('./shared-order-load.testkit.ts', import.meta.url), {
          workerData: { memory, worker, bundles },
        }),
    )
    const results = await Promise.all(threads.map(async (thread) => (await once(thread, 'message'))[0] as LoadResult))
    const [first] = results as [LoadResult]
    assert.equal(first.read, workers * bundles)
    for (const { problems, read, hash } of results) {
      assert.deepEqual(problems, [])
      assert.equal(read, first.read)
      assert.equal(hash, first.hash)
    }
    assert.ok(first.changes > workers, 'the threads took turns')
  })
})

/** What a thread of `shared-order-load.testkit.ts` found. */
interface LoadResult {
  readonly read: number
  readonly hash: string
  /** How often an entry was of another worker than the one before. */
  readonly changes: number
  readonly problems: readonly string[]
}
