import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { randomFrom } from '../../testkit/src/random.ts'
import { type Note, PowerCut, readNotes, unsynced } from './power-cut.ts'

const write = (path: string, number: number, at: number, length: number): Note => ({
  what: 'write',
  path,
  number,
  at,
  length,
  sizeBefore: at,
})

test('unsynced() leaves out what a finished synchronisation covers, file by file', () => {
  const notes: Note[] = [
    write('a', 1, 0, 10),
    write('b', 2, 0, 10),
    write('a', 3, 10, 5),
    // It began before write 3 and ended after it.
    { what: 'sync', path: 'a', covers: 2 },
  ]
  assert.deepEqual(
    unsynced(notes).map(({ number }) => number),
    [3, 2],
  )
})

test('readNotes() leaves out a line that the kill cut off', () => {
  const line = JSON.stringify(write('a', 1, 0, 1))
  assert.equal(readNotes(`${line}\n${line.slice(0, 9)}`).length, 1)
})

test('a power cut takes from unsynchronised writes only, some in whole and some in part', () => {
  const folder = mkdtempSync(join(tmpdir(), 'concordmq-cut-'))
  try {
    const seen = new Set<number>()
    for (let seed = 1; seed <= 40; seed++) {
      const path = join(folder, 'log')
      const ledger = join(folder, 'ledger')
      writeFileSync(path, 'synced----unsynced--')
      const notes: Note[] = [write(path, 1, 0, 10), { what: 'sync', path, covers: 1 }, write(path, 2, 10, 10)]
      writeFileSync(ledger, notes.map((note) => `${JSON.stringify(note)}\n`).join(''))
      new PowerCut(folder, ledger).cut(randomFrom(seed))
      const left = readFileSync(path, 'utf8')
      assert.ok(left.startsWith('synced----') && 'synced----unsynced--'.startsWith(left))
      seen.add(left.length)
    }
    assert.ok(seen.has(10) && seen.has(20) && seen.size > 3, [...seen].join())
  } finally {
    rmSync(folder, { recursive: true })
  }
})
