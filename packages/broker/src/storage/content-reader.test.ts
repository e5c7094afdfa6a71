import assert from 'node:assert/strict'
import { test } from 'node:test'
import { contentOf } from '@concordmq/state'
import { CACHE_BYTES_MAX, ContentReader, MESSAGE_BYTES } from './content-reader.ts'

const SLOTS = 1000

/** A chunk of small messages. */
function chunk(): Uint8Array {
  const slots = Array.from({ length: SLOTS }, (_, slot) => ({
    slot,
    placed: {
      message: { topic: 't', payload: Uint8Array.of(slot), qos: 1, retain: false, publisher: 'p' } as const,
      position: slot,
      index: 0,
      timeUs: 0,
    },
  }))
  return contentOf(slots).content
}

test('ContentReader keeps as many small messages as fit in memory, and those read last', async () => {
  const content = chunk()
  const reader = new ContentReader(() => Promise.resolve(content), {
    debugEnabled: false,
    debug: assert.fail,
    info: assert.fail,
    warn: assert.fail,
    error: assert.fail,
  })
  const chunks = 2 * Math.ceil(CACHE_BYTES_MAX / (SLOTS * MESSAGE_BYTES))
  for (let i = 0; i < chunks; i++) await new Promise<void>((done) => reader.read(i, done))
  const kept = Array.from({ length: chunks }, (_, i) => i).filter((i) => reader.get(i, 0) !== undefined)
  assert.ok(kept.length * SLOTS * MESSAGE_BYTES <= CACHE_BYTES_MAX, `${kept.length} chunks of ${SLOTS} are kept`)
  assert.ok(kept.length > chunks / 4, `${kept.length} chunks are kept`)
  assert.deepEqual(
    kept,
    Array.from({ length: kept.length }, (_, i) => chunks - kept.length + i),
  )
})
