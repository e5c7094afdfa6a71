import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Block, BlockName } from '../model/block.ts'
import { Waiting } from './waiting.ts'

function name(author: number, round: number): BlockName {
  return { author, round, digest: new Uint8Array(32).fill(32 * author + round) }
}

function block(author: number, round: number): Block {
  const bytes = { header: new Uint8Array(70), signature: new Uint8Array(64), body: new Uint8Array(0) }
  return { ...name(author, round), ...bytes, epoch: 0, tsUs: round, references: [], messageCount: 0 }
}

function told(lacking: readonly (BlockName & { readonly namers: number })[] | undefined): string[] {
  return (lacking ?? []).map(({ author, round, namers }) => `${author}/${round} by ${namers.toString(2)}`)
}

test('Waiting tells of what lacks below a waiting parent too, once per author that stands on it', () => {
  const waiting = new Waiting(4)
  assert.deepEqual(told(waiting.add(block(0, 3), [name(1, 2)], true)), ['1/2 by 1'])
  // Author 2 stands on 0/3, so it has 1/2, and is one more to ask.
  assert.deepEqual(told(waiting.add(block(2, 4), [name(0, 3)], true)), ['1/2 by 101'])
  assert.deepEqual(told(waiting.add(block(2, 5), [name(2, 4)], true)), [])
  assert.deepEqual(told(waiting.add(block(3, 5), [name(2, 4), name(3, 4)], true)), ['3/4 by 1000', '1/2 by 1101'])
})

test('Waiting knows who stands on a block when that block itself comes and waits', () => {
  const waiting = new Waiting(4)
  waiting.add(block(2, 4), [name(0, 3)], true)
  assert.deepEqual(told(waiting.add(block(0, 3), [name(1, 2)], true)), ['1/2 by 101'])
})
