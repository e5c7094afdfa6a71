import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { MemoryStore } from './memory-store.ts'
import { SqliteStore } from './sqlite-store.ts'
import { storeSuite } from './store.testkit.ts'

const directory = mkdtempSync(join(tmpdir(), 'concordmq-stores-'))
after(() => rmSync(directory, { recursive: true, force: true }))

storeSuite('MemoryStore', { make: async () => new MemoryStore(), reopens: false })
storeSuite('SqliteStore', {
  make: () => SqliteStore.open(join(directory, 'state.sqlite'), { sync: true }),
  reopens: true,
})
