/**
 * The thread that talks to SQLite. It holds the database locked for as long as it runs: a second process, or a second
 * broker in this one, is refused by the operating system's own lock, which a crash releases.
 *
 *   records(key, value)                        everything but contents; read whole at start
 *   contents(id = chunk × 1024 + part, content)
 */
import type { DatabaseSync } from 'node:sqlite'
import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { CONTENT_PARTS, faultOf, numberOf, openDatabase } from './sqlite-file.ts'
import { type Answer, Packer, type Request, type SqliteStart, Unpacker } from './sqlite-protocol.ts'

const BATCH_BYTES = 1_048_576
/** Free pages of 4 KiB that are kept for what comes next. */
const FREE_PAGES_MIN = 2048
/** Pages given back with one commit, so that no commit takes long. */
const VACUUM_PAGES = 1024

const port = parentPort
if (port === null) throw new Error('This module runs in a worker thread')

const { path, sync } = workerData as SqliteStart
let database: DatabaseSync

try {
  database = openDatabase(path, { sync })
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

/** Ports of other threads. */
const readers: MessagePort[] = []

port.on('message', (request: Request) => answerTo(port, request))

function answerTo(asking: MessagePort, request: Request): void {
  try {
    answer(asking, request)
  } catch (error) {
    asking.postMessage({ id: request.id, error: faultOf(error) } satisfies Answer)
  }
}

function answer(asking: MessagePort, request: Request): void {
  const { id } = request
  switch (request.op) {
    case 'records':
      sendRecords(asking, id)
      return
    case 'content': {
      const first = request.chunk * CONTENT_PARTS
      const parts = statements.content.all(first, first + CONTENT_PARTS).map((row) => row['content'] as Uint8Array)
      send(asking, id, parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts))
      return
    }
    case 'share': {
      const reader = request.port
      readers.push(reader)
      reader.on('message', (asked: Request) => {
        if (asked.op === 'records' || asked.op === 'content') answerTo(reader, asked)
      })
      return
    }
    case 'commit':
      commit(request.save)
      asking.postMessage({ id } satisfies Answer)
      return
    case 'check': {
      const texts = database
        .prepare('PRAGMA integrity_check')
        .all()
        .map((row) => String(row['integrity_check']))
        .filter((text) => text !== 'ok')
      asking.postMessage({ id, texts } satisfies Answer)
      return
    }
    case 'close':
      database.close()
      for (const reader of readers) reader.close()
      asking.postMessage({ id } satisfies Answer)
      asking.close()
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
      statements.putContent.run(chunk * CONTENT_PARTS + part, save.bytes())
    }
    giveBack()
    database.exec('COMMIT')
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK')
    throw error
  }
}

/** The file gets shorter while much of it is free: a backlog that was taken must not occupy the disk for good. */
function giveBack(): void {
  const free = numberOf(database, 'freelist_count')
  if (free < FREE_PAGES_MIN || free * 2 < numberOf(database, 'page_count')) return
  database.exec(`PRAGMA incremental_vacuum(${VACUUM_PAGES})`)
}

function removeContents(chunk: number): void {
  statements.removeContents.run(chunk * CONTENT_PARTS, (chunk + 1) * CONTENT_PARTS)
}

function sendRecords(asking: MessagePort, id: number): void {
  let batch: [Uint8Array, Uint8Array][] = []
  let bytes = 0
  const flush = (more: boolean): void => {
    const packer = new Packer(bytes + 8 * batch.length)
    for (const [key, value] of batch) {
      packer.bytes(key)
      packer.bytes(value)
    }
    asking.postMessage({ id, bytes: packer.packed, more } satisfies Answer, [packer.packed.buffer as ArrayBuffer])
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
function send(asking: MessagePort, id: number, content: Uint8Array): void {
  const own = new Uint8Array(content)
  asking.postMessage({ id, bytes: own } satisfies Answer, [own.buffer])
}
