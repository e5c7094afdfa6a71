/**
 * The database file: its form, how it is opened, and what its errors are called. For the thread of the store
 * (`sqlite-worker.ts`) and for whoever looks at a file that no broker uses (`store-file.ts`).
 */
import { DatabaseSync } from 'node:sqlite'
import type { StoreFault } from './sqlite-protocol.ts'

/** The form of the database. A newer one is refused; an older one is brought forward by `UPGRADES`. */
const FORMAT = 2
const APPLICATION_ID = 0x434d5131
/** Parts that the content of one chunk may have; the row of a part is chunk × this + part. */
export const CONTENT_PARTS = 1024
/** SQL that brings the form with this number to the next one. */
const UPGRADES: readonly string[] = [
  // 0: an empty file.
  `CREATE TABLE records (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
   CREATE TABLE contents (id INTEGER PRIMARY KEY, content BLOB NOT NULL);
   PRAGMA application_id = ${APPLICATION_ID};`,
  // 1: its log never has a run of messages as one change. Nothing in the store differs.
  '',
]

/** Opens the file for writing, makes it if it is not there, locks it, and brings its form forward. */
export function openDatabase(path: string, { sync }: { readonly sync: boolean }): DatabaseSync {
  const opened = new DatabaseSync(path)
  try {
    opened.exec('PRAGMA locking_mode = EXCLUSIVE')
    // Before anything is written: another program's database stays as it is.
    formatOf(opened)
    // Only counts while the file is empty: what is freed later can be given back in small steps.
    opened.exec('PRAGMA auto_vacuum = INCREMENTAL')
    opened.exec('PRAGMA journal_mode = WAL')
    opened.exec(`PRAGMA synchronous = ${sync ? 'FULL' : 'OFF'}`)
    opened.exec('PRAGMA cache_size = -16384')
    // Takes the lock now, not with the first commit.
    opened.exec('BEGIN EXCLUSIVE')
    upgrade(opened)
    opened.exec('COMMIT')
    return opened
  } catch (error) {
    if (opened.isTransaction) opened.exec('ROLLBACK')
    opened.close()
    throw error
  }
}

/** Refuses what this version cannot read; returns the form. */
export function formatOf(opened: DatabaseSync): number {
  const format = numberOf(opened, 'user_version')
  const application = numberOf(opened, 'application_id')
  const tables = Number(opened.prepare('SELECT count(*) AS tables FROM sqlite_schema').get()?.['tables'])
  if (application !== APPLICATION_ID && (format !== 0 || application !== 0 || tables > 0))
    throw fault('FOREIGN', 'it is the database of another program')
  if (format > FORMAT) {
    throw fault('NEWER', `its form ${format} is newer than this version reads (${FORMAT})`)
  }
  return format
}

function upgrade(opened: DatabaseSync): void {
  for (let from = formatOf(opened); from < FORMAT; from++) {
    opened.exec(UPGRADES[from] as string)
    opened.exec(`PRAGMA user_version = ${from + 1}`)
  }
}

/** The value of a pragma. */
export function numberOf(opened: DatabaseSync, pragma: string): number {
  return Number(opened.prepare(`PRAGMA ${pragma}`).get()?.[pragma] ?? 0)
}

function fault(code: string, message: string): Error {
  return Object.assign(new Error(message), { code })
}

export function faultOf(error: unknown): StoreFault {
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
