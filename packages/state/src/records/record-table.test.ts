import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Writer } from '../encoding/writer.ts'
import { sha256 } from '../hash/sha256.ts'
import { RecordTable } from './record-table.ts'
import { StateRecord } from './state-record.ts'

class Note extends StateRecord {
  readonly name: string
  text: number

  constructor(name: string, text: number) {
    super()
    this.name = name
    this.text = text
  }

  override writeKey(writer: Writer): void {
    writer.string(this.name)
  }

  override writeValue(writer: Writer): void {
    writer.u32(this.text)
  }
}

/** A table together with a plain map of what must be in it. */
class Notes {
  /** Hashes so far. */
  hashes = 0
  readonly table = new RecordTable({
    hashing: true,
    sha256: (bytes) => {
      this.hashes++
      return sha256(bytes)
    },
  })
  readonly live = new Map<string, Note>()

  change(name: string, text: number): void {
    const note = this.live.get(name)
    if (note === undefined) {
      const fresh = new Note(name, text)
      this.live.set(name, fresh)
      this.table.add(fresh)
    } else if (text === 0) {
      this.table.remove(note)
      this.live.delete(name)
    } else {
      this.table.touch(note)
      note.text = text
    }
  }

  /** So often that what was new is hashed. */
  hashAhead(): void {
    for (let calls = 0; calls < 140; calls++) this.table.hashAhead()
  }

  contents(): string[] {
    return [...this.live.values()].map(({ name, text }) => `${name}=${text}`).sort()
  }
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const changes = fc.array(fc.record({ name: fc.nat({ max: 30 }).map((n) => `note ${n}`), text: fc.nat({ max: 3 }) }), {
  maxLength: 80,
})

test('RecordTable hashes what is there, not how it came to be there', () => {
  fc.assert(
    fc.property(changes, fc.nat({ max: 9 }), fc.nat({ max: 9 }), (list, every, everyAhead) => {
      const notes = new Notes()
      list.forEach(({ name, text }, i) => {
        notes.change(name, text)
        if (i % (every + 1) === 0) notes.table.hash()
        if (i % (everyAhead + 1) === 0) notes.hashAhead()
      })
      const straight = new Notes()
      for (const { name, text } of [...notes.live.values()].reverse()) straight.change(name, text)
      assert.equal(hex(notes.table.hash()), hex(straight.table.hash()))
    }),
  )
})

test('RecordTable gives different contents different hashes', () => {
  const seen = new Set<string>()
  const notes = new Notes()
  for (let n = 1; n <= 50; n++) {
    seen.add(hex(notes.table.hash()))
    notes.change('a', n)
    seen.add(hex(notes.table.hash()))
    notes.change(`b${n}`, 1)
  }
  assert.equal(seen.size, 100)
})

test('RecordTable walks over the records as they were when the walk began, whatever changes between two of them', () => {
  fc.assert(
    fc.property(changes, fc.array(changes, { maxLength: 40 }), fc.nat({ max: 3 }), (before, between, hashBetween) => {
      const notes = new Notes()
      for (const { name, text } of before) notes.change(name, text)
      const expected = notes.contents()
      const walk = notes.table.startWalk()
      const seen: string[] = []
      for (let step = 0; ; step++) {
        for (const { name, text } of between[step] ?? []) notes.change(name, text)
        if ((hashBetween & 1) !== 0) notes.table.hash()
        if ((hashBetween & 2) !== 0) notes.hashAhead()
        const next = walk.records.next()
        if (next.done === true) break
        const view = new DataView(next.value.buffer, next.value.byteOffset)
        const name = Buffer.from(next.value.subarray(2, 2 + view.getUint16(0))).toString()
        seen.push(`${name}=${view.getUint32(next.value.length - 4)}`)
      }
      assert.deepEqual(seen.sort(), expected)
    }),
    { numRuns: 300 },
  )
})

test('hashAhead() leaves to hash() what was new a moment ago, and of what stays only the tree', () => {
  const notes = new Notes()
  for (let n = 0; n < 60; n++) notes.change(`n${n}`, 1)
  const before = notes.hashes
  for (let calls = 0; calls < 40; calls++) notes.table.hashAhead()
  assert.equal(notes.hashes, before, 'none of them is old enough')
  for (let n = 0; n < 50; n++) notes.change(`n${n}`, 0)
  notes.hashAhead()
  assert.equal(notes.hashes, before + 2 * 10, 'a value and a key of each that stayed')
  notes.change('n59', 2)
  const straight = new Notes()
  for (const { name, text } of notes.live.values()) straight.change(name, text)
  const { hashes } = notes
  assert.equal(hex(notes.table.hash()), hex(straight.table.hash()))
  assert.equal(notes.hashes - hashes, straight.hashes - 2 * 10 + 1, 'the tree, and what changed since')
})

test('RecordTable ends a walk when a newer one begins', () => {
  const notes = new Notes()
  notes.change('a', 1)
  const first = notes.table.startWalk()
  const second = notes.table.startWalk()
  assert.throws(() => first.records.next(), /Cannot go on with this snapshot/)
  assert.equal([...second.records].length, 1)
})

test('RecordTable without hashing refuses to hash', () => {
  assert.throws(() => new RecordTable({ hashing: false }).hash(), /hashing: false/)
})
