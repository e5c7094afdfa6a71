/**
 * The thread that talks to SQLite. It holds the database locked for as long as it runs: a second process, or a second
 * broker in this one, is refused by the operating system's own lock, which a crash releases.
 *
 *   records(key, value)                        everything but contents; read whole at start
 *   contents(id = chunk × 1024 + part, content)
 */
import { DatabaseSync } from 'node:sqlite'
import { parentPort, workerData } from 'node:worker_threads'
import { type Answer, Packer, type Request, type SqliteStart, type StoreFault, Unpacker } from './sqlite-protocol.ts'

/** The form of the database. A newer one is refused; an older one is brought forward by `UPGRADES`. */
const FORMAT = 1
const APPLICATION_ID = 0x434d5131
const PARTS = 1024
const BATCH_BYTES = 1_048_576
/** SQL that brings the form with this number to the next one. */
const UPGRADES: readonly string[] = [
  // 0: an empty file.
  `CREATE TABLE records (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
   CREATE TABLE contents (id INTEGER PRIMARY KEY, content BLOB NOT NULL);
   PRAGMA application_id = ${APPLICATION_ID};`,
]

const port = parentPort
if (port === null) throw new Error('This module runs in a worker thread')

const { path, sync } = workerData as SqliteStart
let database: DatabaseSync

try {
  database = open()
  port.postMessage({ id: 0 } satisfies Answer)
} catch (error) {
  port.postMessage({ id: 0, error: faultOf(error) } satisfies Answer)
  process.exit()
}

const statements = {
  remove: database.prepare('DELETE FROM records WHERE key = ?'),
  put: database.prepare('INSERT INTO records VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value'),
  removeContents: database.prepare('DELETE FROM contents WHERE id >= ? AND id < ?'),
  putContent: database.prepare(
    'INSERT INTO contents VALUES (?, ?) ON CONFLICT DO UPDATE SET content = excluded.content',
  ),
  content: database.prepare('SELECT content FROM contents WHERE id >= ? AND id < ? ORDER BY id'),
  records: database.prepare('SELECT key, value FROM records'),
}

port.on('message', (request: Request) => {
  try {
    answer(request)
  } catch (error) {
    port.postMessage({ id: request.id, error: faultOf(error) } satisfies Answer)
  }
})

function open(): DatabaseSync {
  const opened = new DatabaseSync(path)
  opened.exec('PRAGMA locking_mode = EXCLUSIVE')
  opened.exec('PRAGMA journal_mode = WAL')
  opened.exec(`PRAGMA synchronous = ${sync ? 'FULL' : 'OFF'}`)
  opened.exec('PRAGMA cache_size = -16384')
  // Takes the lock now, not with the first commit.
  opened.exec('BEGIN EXCLUSIVE')
  try {
    upgrade(opened)
    opened.exec('COMMIT')
  } catch (error) {
    opened.exec('ROLLBACK')
    opened.close()
    throw error
  }
  return opened
}

function upgrade(opened: DatabaseSync): void {
  const format = numberOf(opened, 'user_version')
  const application = numberOf(opened, 'application_id')
  if (format > 0 && application !== APPLICATION_ID) throw fault('FOREIGN', 'it is the database of another program')
  if (format > FORMAT) {
    throw fault('NEWER', `its form ${format} is newer than this version reads (${FORMAT})`)
  }
  for (let from = format; from < FORMAT; from++) {
    opened.exec(UPGRADES[from] as string)
    opened.exec(`PRAGMA user_version = ${from + 1}`)
  }
}

function numberOf(opened: DatabaseSync, pragma: string): number {
  return Number(opened.prepare(`PRAGMA ${pragma}`).get()?.[pragma] ?? 0)
}

function answer(request: Request): void {
  const { id } = request
  switch (request.op) {
    case 'records':
      sendRecords(id)
      return
    case 'content': {
      const first = request.chunk * PARTS
      const parts = statements.content.all(first, first + PARTS).map((row) => row['content'] as Uint8Array)
      send(id, parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts))
      return
    }
    case 'commit':
      commit(request.save)
      port?.postMessage({ id } satisfies Answer)
      return
    case 'check': {
      const texts = database
        .prepare('PRAGMA integrity_check')
        .all()
        .map((row) => String(row['integrity_check']))
        .filter((text) => text !== 'ok')
      port?.postMessage({ id, texts } satisfies Answer)
      return
    }
    case 'close':
      database.close()
      port?.postMessage({ id } satisfies Answer)
      port?.close()
  }
}

function commit(bytes: Uint8Array): void {
  const save = new Unpacker(bytes)
  database.exec('BEGIN')
  try {
    for (let left = save.u32(); left > 0; left--) statements.remove.run(save.bytes())
    for (let left = save.u32(); left > 0; left--) statements.put.run(save.bytes(), save.bytes())
    for (let left = save.u32(); left > 0; left--) removeContents(save.f64())
    for (let left = save.u32(); left > 0; left--) {
      const chunk = save.f64()
      const part = save.u32()
      if (save.u8() === 1) removeContents(chunk)
      statements.putContent.run(chunk * PARTS + part, save.bytes())
    }
    database.exec('COMMIT')
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK')
    throw error
  }
}

function removeContents(chunk: number): void {
  statements.removeContents.run(chunk * PARTS, (chunk + 1) * PARTS)
}

function sendRecords(id: number): void {
  let batch: [Uint8Array, Uint8Array][] = []
  let bytes = 0
  const flush = (more: boolean): void => {
    const packer = new Packer(bytes + 8 * batch.length)
    for (const [key, value] of batch) {
      packer.bytes(key)
      packer.bytes(value)
    }
    port?.postMessage({ id, bytes: packer.packed, more } satisfies Answer, [packer.packed.buffer as ArrayBuffer])
    batch = []
    bytes = 0
  }
  for (const row of statements.records.iterate()) {
    const key = row['key'] as Uint8Array
    const value = row['value'] as Uint8Array
    batch.push([key, value])
    bytes += key.length + value.length
    if (bytes >= BATCH_BYTES) flush(true)
  }
  flush(false)
}

/** Bytes of a pool must be copied: only a buffer of its own can be handed over. */
function send(id: number, content: Uint8Array): void {
  const own = new Uint8Array(content)
  port?.postMessage({ id, bytes: own } satisfies Answer, [own.buffer])
}

function fault(code: string, message: string): Error {
  return Object.assign(new Error(message), { code })
}

function faultOf(error: unknown): StoreFault {
  if (!(error instanceof Error)) return { code: 'UNKNOWN', message: String(error) }
  const { errcode, code } = error as { errcode?: number; code?: string }
  return { code: errcode === undefined ? String(code ?? 'UNKNOWN') : sqliteCode(errcode), message: error.message }
}

/** The primary result codes that somebody acts upon. */
function sqliteCode(errcode: number): string {
  const names: Readonly<Record<number, string>> = {
    5: 'SQLITE_BUSY',
    6: 'SQLITE_LOCKED',
    8: 'SQLITE_READONLY',
    10: 'SQLITE_IOERR',
    11: 'SQLITE_CORRUPT',
    13: 'SQLITE_FULL',
    14: 'SQLITE_CANTOPEN',
    26: 'SQLITE_NOTADB',
  }
  return names[errcode & 0xff] ?? `SQLITE_${errcode}`
}
