import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Output } from './output.ts'
import { type Slab, slabOf, slabsToSpare, takeSlab } from './slab.ts'

const SLABS_MAX = 128

function taken(): Slab {
  const slab = takeSlab()
  assert.ok(slab !== undefined)
  return slab
}

/** An output whose system takes bytes when the test says so. */
function slowOutput(): { output: Output; transport: { pending: number; chunks: Uint8Array[] } } {
  const chunks: Uint8Array[] = []
  const transport = {
    pending: 0,
    chunks,
    write(list: readonly Uint8Array[], count: number) {
      for (const chunk of list.slice(0, count)) {
        chunks.push(chunk)
        transport.pending += chunk.length
      }
    },
  }
  return { output: new Output(transport, { counters: { bytesSent: 0 }, add: () => {} }), transport }
}

test('a slab is used again when reader and outputs have let go, and known by its bytes', () => {
  const slab = taken()
  const part = slab.bytes.subarray(5, 20_005)
  assert.equal(slabOf(part), slab)
  assert.equal(slabOf(new Uint8Array(9)), undefined)
  const { output, transport } = slowOutput()
  output.borrow(part)
  assert.equal(slab.isLent, true)
  slab.flush()
  assert.deepEqual([slab.isLent, slab.isFree], [false, false])
  assert.equal(transport.chunks[0]?.buffer, slab.bytes.buffer, 'nothing was copied')
  slab.letGo()
  const other = taken()
  assert.notEqual(other, slab)
  output.drained()
  const whileHeld = taken()
  assert.notEqual(whileHeld, slab)
  transport.pending = 0
  output.drained()
  assert.equal(taken(), slab)
  for (const each of [slab, other, whileHeld]) each.letGo()
})

test('what is borrowed while earlier bytes are with the system is held until it has left, too', () => {
  const { output, transport } = slowOutput()
  const [first, second] = [taken(), taken()]
  output.borrow(first.bytes.subarray(0, 20_000))
  first.flush()
  output.borrow(second.bytes.subarray(0, 20_000))
  transport.pending = 0
  output.drained()
  assert.deepEqual([first.isFree, second.isFree], [true, false])
  second.flush()
  transport.pending = 0
  output.drained()
  assert.equal(second.isFree, true)
  first.letGo()
  second.letGo()
})

test('small pieces are copied and hold nothing', () => {
  const slab = taken()
  const { output, transport } = slowOutput()
  output.borrow(slab.bytes.subarray(0, 1000))
  assert.deepEqual([slab.isLent, slab.isFree], [false, true])
  output.flush()
  assert.notEqual(transport.chunks[0]?.buffer, slab.bytes.buffer)
  slab.letGo()
})

test('a slab of a client that is gone is not used again while the system may read it', () => {
  const slab = taken()
  const { output } = slowOutput()
  output.borrow(slab.bytes.subarray(0, 20_000))
  slab.flush()
  output.close()
  slab.letGo()
  const more = Array.from({ length: 40 }, taken)
  assert.equal(more.includes(slab), false)
  for (const each of more) each.letGo()
})

test('there are only so many, and few to spare before', () => {
  assert.equal(slabsToSpare(), true)
  const all = Array.from({ length: SLABS_MAX }, taken)
  assert.deepEqual([takeSlab(), slabsToSpare()], [undefined, false])
  for (const each of all) each.letGo()
  assert.equal(slabsToSpare(), true)
})
