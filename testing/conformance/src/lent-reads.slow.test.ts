/** The whole suite once more, with everything overwritten that was lent: nobody is given what another client sent. */
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { outside } from './target.ts'
import { passWholeSuite } from './whole-suite.ts'

test('brokers keep no bytes of a read that is over', { skip: outside }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'concordmq-overwritten-'))
  try {
    const preload = new URL('../../testkit/src/overwrite-reads.ts', import.meta.url).href
    await passWholeSuite({ NODE_OPTIONS: `--import=${preload}`, CONCORDMQ_TEST_OVERWRITTEN_DIR: folder })
    assert.ok(readdirSync(folder).length > 10, 'reads were overwritten')
  } finally {
    rmSync(folder, { recursive: true })
  }
})
