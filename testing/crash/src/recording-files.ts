/**
 * Loaded into the broker's process before its program: stands between it and its files, as far as they go through
 * `node:fs/promises` and lie in one folder. It does one of two things, by the environment:
 *
 * - `CONCORDMQ_TEST_LEDGER`: notes every write before it is made and every synchronisation after it is done, in a file that
 *   a kill does not take away. What a power cut would have left is known from it (`power-cut.ts`). A synchronisation takes
 *   `CONCORDMQ_TEST_SYNC_DELAY_MS` longer, so that a kill seldom finds nothing on its way.
 * - `CONCORDMQ_TEST_FAIL_AT` and `CONCORDMQ_TEST_FAIL_WITH`: lets the k-th write or synchronisation fail (`EIO`, `ENOSPC`),
 *   or write half of what it was given (`short`); with `CONCORDMQ_TEST_FAIL_FOR` so many of them from there on.
 *
 * The folder is `CONCORDMQ_TEST_LEDGER_FOLDER`.
 */
import { constants, openSync, writeSync } from 'node:fs'
import fsPromises, { type FileHandle } from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import process from 'node:process'
import type { Note } from './power-cut.ts'

const folder = process.env['CONCORDMQ_TEST_LEDGER_FOLDER'] ?? ''
const ledgerPath = process.env['CONCORDMQ_TEST_LEDGER']
const syncDelayMs = Number(process.env['CONCORDMQ_TEST_SYNC_DELAY_MS'] ?? 0)
const failAt = Number(process.env['CONCORDMQ_TEST_FAIL_AT'] ?? Number.POSITIVE_INFINITY)
const failFor = Number(process.env['CONCORDMQ_TEST_FAIL_FOR'] ?? 1)
const failWith = process.env['CONCORDMQ_TEST_FAIL_WITH'] ?? 'EIO'

const ledger =
  ledgerPath === undefined
    ? undefined
    : openSync(ledgerPath, constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND)
let calls = 0
/** Writes begun; a write counts for a synchronisation that begins later. */
let written = 0

function note(entry: Note): void {
  if (ledger !== undefined) writeSync(ledger, `${JSON.stringify(entry)}\n`)
}

/** Which kind of failure the call that is made now has, if it has one. */
function failure(): string | undefined {
  const call = calls++
  return call >= failAt && call < failAt + failFor ? failWith : undefined
}

function failed(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: planted failure, ${path}`), { code, errno: -5, syscall: 'write', path })
}

type Write = (
  buffer: Uint8Array,
  offset?: number,
  length?: number,
  position?: number | null,
) => Promise<{ bytesWritten: number }>

/** `synced`: each write is on the disk when it is done. */
function watched(handle: FileHandle, path: string, { synced }: { readonly synced: boolean }): FileHandle {
  const write = handle.write.bind(handle) as unknown as Write
  const datasync = handle.datasync.bind(handle)
  const sync = handle.sync.bind(handle)
  const watchedWrite: Write = async (buffer, offset = 0, length = buffer.length - offset, position = null) => {
    const how = failure()
    if (how !== undefined && how !== 'short') throw failed(how, path)
    const taken = how === 'short' ? Math.max(1, length >> 1) : length
    const { size } = await handle.stat()
    const number = ++written
    note({ what: 'write', path, number, at: position ?? size, length: taken, sizeBefore: size })
    if (synced && syncDelayMs > 0) await new Promise((resolve) => setTimeout(resolve, syncDelayMs))
    const done = await write(buffer, offset, taken, position)
    if (synced) note({ what: 'sync', path, covers: number })
    return done
  }
  const watchedSync = (body: () => Promise<void>) => async (): Promise<void> => {
    const how = failure()
    if (how !== undefined && how !== 'short') throw failed(how, path)
    if (syncDelayMs > 0) await new Promise((resolve) => setTimeout(resolve, syncDelayMs))
    // A write that is made while the synchronisation runs is not covered by it.
    const covers = written
    await body()
    note({ what: 'sync', path, covers })
  }
  Object.assign(handle, { write: watchedWrite, datasync: watchedSync(datasync), sync: watchedSync(sync) })
  return handle
}

const open = fsPromises.open.bind(fsPromises)
fsPromises.open = async (path, ...rest) => {
  const handle = await open(path, ...rest)
  const name = String(path)
  if (!name.startsWith(folder) || folder === '' || !(await handle.stat()).isFile()) return handle
  const [flags] = rest
  return watched(handle, name, { synced: typeof flags === 'number' && (flags & constants.O_DSYNC) !== 0 })
}
syncBuiltinESMExports()
