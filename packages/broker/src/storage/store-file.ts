/**
 * The state store's file without its thread, for whoever has it for himself: checks, repairs, exports and imports.
 *
 * `read` changes nothing, not even by folding SQLite's own log into the file; like `write` it holds a lock that keeps a
 * broker out, and is refused while one has the file. All that is written between `begin` and `commit` is there whole or
 * not at all.
 */
import { existsSync, rmSync, statSync } from 'node:fs'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { pathToFileURL } from 'node:url'
import type { Save } from '@concordmq/state'
import type { Store, StoredRecord } from '../model/store.ts'
import { CONTENT_PARTS, faultOf, formatOf, openDatabase } from './sqlite-file.ts'
import { openError } from './sqlite-store.ts'

interface Statements {
  readonly remove: StatementSync
  readonly put: StatementSync
  readonly removeContents: StatementSync
  readonly putContent: StatementSync
}

export class StoreFile implements Store {
  readonly path: string
  /** Form 0 is a file without anything in it. */
  readonly isEmpty: boolean
  readonly #database: DatabaseSync
  #statements: Statements | undefined
  #contents: StatementSync | undefined

  private constructor(path: string, database: DatabaseSync, { isEmpty }: { readonly isEmpty: boolean }) {
    this.path = path
    this.#database = database
    this.isEmpty = isEmpty
  }

  /** Opens a file that exists, only to read it. Throws `CMQ_DATA_…` errors. */
  static read(path: string): StoreFile {
    const sharedMemory = `${path}-shm`
    const made = [sharedMemory, `${path}-wal`].filter((name) => !existsSync(name))
    let database: DatabaseSync | undefined
    try {
      database = openToRead(path)
      const isEmpty = formatOf(database) === 0
      return new StoreFile(path, database, { isEmpty })
    } catch (error) {
      database?.close()
      throw openError(path, faultOf(error))
    } finally {
      // They serve only writers, which cannot come while this is open.
      for (const name of made) rmSync(name, { force: true })
    }
  }

  /** Opens a file for writing, or makes it. */
  static write(path: string, { sync }: { readonly sync: boolean }): StoreFile {
    try {
      return new StoreFile(path, openDatabase(path, { sync }), { isEmpty: false })
    } catch (error) {
      throw openError(path, faultOf(error))
    }
  }

  /** Rows that cannot be read are reported in `damage`, and the others still come. */
  async *records(): AsyncIterable<readonly StoredRecord[]> {
    const batch: StoredRecord[] = []
    for (const row of this.rows()) batch.push(row)
    yield batch
  }

  /** All records in the order of their keys. */
  *rows(): IterableIterator<StoredRecord> {
    if (this.isEmpty) return
    for (const row of this.#database.prepare('SELECT key, value FROM records').iterate()) {
      yield [bytesOf(row['key']), bytesOf(row['value'])]
    }
  }

  /** Runs a question that answers with rows; for whoever saves what can be read. */
  ask(sql: string, ...values: (Uint8Array | number)[]): readonly Record<string, unknown>[] {
    return this.#database.prepare(sql).all(...values)
  }

  contentOf(chunk: number): Uint8Array {
    if (this.isEmpty) return new Uint8Array(0)
    this.#contents ??= this.#database.prepare('SELECT content FROM contents WHERE id >= ? AND id < ? ORDER BY id')
    const rows = this.#contents.all(chunk * CONTENT_PARTS, (chunk + 1) * CONTENT_PARTS)
    const [only] = rows
    return rows.length === 1 ? bytesOf(only?.['content']) : Buffer.concat(rows.map((row) => bytesOf(row['content'])))
  }

  async content(chunk: number): Promise<Uint8Array> {
    return this.contentOf(chunk)
  }

  async check(): Promise<readonly string[]> {
    return this.#database
      .prepare('PRAGMA integrity_check')
      .all()
      .map((row) => String(row['integrity_check']))
      .filter((text) => text !== 'ok')
  }

  async commit({ gone, records, chunksGone, contents }: Save): Promise<void> {
    for (const key of gone) this.remove(key)
    for (const { key, value } of records) this.put(key, value)
    for (const chunk of chunksGone) this.removeContent(chunk)
    for (const { chunk, part, anew, content } of contents) {
      if (anew) this.removeContent(chunk)
      this.putContent(chunk, part, content)
    }
  }

  put(key: Uint8Array, value: Uint8Array): void {
    this.#prepared().put.run(key, value)
  }

  has(key: Uint8Array): boolean {
    return this.ask('SELECT 1 FROM records WHERE key = ?', key).length > 0
  }

  /** Removes every record whose key begins so. */
  removePrefix(prefix: Uint8Array): void {
    const end = Uint8Array.from(prefix)
    let last = end.length - 1
    while (end[last] === 255) last--
    end[last] = (end[last] as number) + 1
    this.#database.prepare('DELETE FROM records WHERE key >= ? AND key < ?').run(prefix, end.subarray(0, last + 1))
  }

  remove(key: Uint8Array): void {
    this.#prepared().remove.run(key)
  }

  putContent(chunk: number, part: number, content: Uint8Array): void {
    this.#prepared().putContent.run(chunk * CONTENT_PARTS + part, content)
  }

  removeContent(chunk: number): void {
    this.#prepared().removeContents.run(chunk * CONTENT_PARTS, (chunk + 1) * CONTENT_PARTS)
  }

  begin(): void {
    this.#database.exec('BEGIN')
  }

  /** Makes all since `begin` final. */
  finish(): void {
    this.#database.exec('COMMIT')
  }

  async close(): Promise<void> {
    if (this.#database.isTransaction) this.#database.exec('ROLLBACK')
    this.#database.close()
  }

  #prepared(): Statements {
    const database = this.#database
    this.#statements ??= {
      remove: database.prepare('DELETE FROM records WHERE key = ?'),
      put: database.prepare('INSERT INTO records VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value'),
      removeContents: database.prepare('DELETE FROM contents WHERE id >= ? AND id < ?'),
      putContent: database.prepare(
        'INSERT INTO contents VALUES (?, ?) ON CONFLICT DO UPDATE SET content = excluded.content',
      ),
    }
    return this.#statements
  }
}

function openToRead(path: string): DatabaseSync {
  const opened = new DatabaseSync(path, { readOnly: true })
  try {
    // Reads, so that the lock is taken and SQLite's own log is looked at.
    opened.prepare('SELECT count(*) FROM sqlite_schema').get()
    return opened
  } catch (error) {
    opened.close()
    // Beside a file in a folder that cannot be written SQLite can keep no lock; where nothing waits in its own log, the
    // file alone is all there is.
    const { code } = faultOf(error)
    const isUnlockable = code === 'SQLITE_CANTOPEN' || code === 'SQLITE_READONLY'
    if (!isUnlockable || (existsSync(`${path}-wal`) && statSync(`${path}-wal`).size > 0)) throw error
    const url = pathToFileURL(path)
    url.search = 'immutable=1'
    return new DatabaseSync(url, { readOnly: true })
  }
}

function bytesOf(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value
  throw Object.assign(new Error('a column holds no bytes'), { errcode: 11 })
}
