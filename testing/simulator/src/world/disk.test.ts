import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Agenda } from './agenda.ts'
import { Disk } from './disk.ts'
import { drawsFrom } from './draws.ts'

function makeDisk(seed = 3) {
  const agenda = new Agenda()
  const disk = new Disk(agenda, drawsFrom(seed), { syncUs: 100 })
  const append = (...marks: number[]): void =>
    disk.append(marks.map((mark) => ({ kind: 2, mark, bytes: Uint8Array.of(mark) })))
  const marks = (): number[] => disk.all().map(({ mark }) => mark)
  return { agenda, disk, append, marks }
}

test('A crash keeps all that was synchronised and cuts the rest somewhere', () => {
  const lengths = new Set<number>()
  for (let seed = 0; seed < 60; seed++) {
    const { agenda, disk, append, marks } = makeDisk(seed)
    append(1, 2)
    let durable: number[] = []
    disk.sync((fresh) => {
      durable = fresh.map(({ mark }) => mark)
    })
    append(3, 4)
    while (agenda.next());
    assert.deepEqual(durable, [1, 2])
    const { kept, cut } = disk.crash()
    assert.deepEqual(marks(), [1, 2, 3, 4].slice(0, marks().length))
    assert.deepEqual(
      kept.map(({ mark }) => mark),
      marks().slice(2),
    )
    assert.equal(cut, 4 - marks().length)
    lengths.add(marks().length)
  }
  assert.deepEqual(
    [...lengths].sort((a, b) => a - b),
    [2, 3, 4],
  )
})

test('A synchronisation that a crash interrupts answers nobody', () => {
  const { agenda, disk, append } = makeDisk()
  append(1)
  disk.sync(() => assert.fail('answered'))
  disk.crash()
  while (agenda.next());
})

test('Synchronisations that are asked for while one runs are one, which begins when it ends', () => {
  const { agenda, disk, append } = makeDisk()
  const ended: { marks: number[]; atUs: number }[] = []
  for (let mark = 1; mark <= 5; mark++) {
    append(mark)
    disk.sync((fresh) => ended.push({ marks: fresh.map((record) => record.mark), atUs: agenda.nowUs }))
  }
  while (agenda.next());
  assert.deepEqual(
    ended.map(({ marks }) => marks),
    [[1], [2, 3, 4, 5], [], [], []],
  )
  assert.equal(new Set(ended.map(({ atUs }) => atUs)).size, 2)
})

test('forget() drops what is durable and below the mark, and reading and crashing go on behind it', () => {
  const { agenda, disk, append, marks } = makeDisk()
  append(1, 2, 3)
  disk.sync(() => undefined)
  while (agenda.next());
  append(4)
  disk.forget(3)
  assert.deepEqual(marks(), [3, 4])
  assert.equal(disk.read(2), undefined)
  assert.equal(disk.read(3)?.mark, 3)
  disk.forget(9)
  assert.deepEqual(marks(), [4])
})
