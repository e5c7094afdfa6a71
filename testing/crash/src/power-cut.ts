/**
 * What a power cut does beyond a kill: whatever was written and not synchronised may be missing, in whole or in part. The
 * broker's process is preloaded with `recording-files.ts`, which notes every write and every finished synchronisation in a
 * ledger that survives the kill; after it `cut()` takes from the files what the ledger does not show as synchronised.
 *
 *   write A, sync, write B, write C, kill   ─▶   A stays; of B and C each is kept, taken away, or torn
 *
 * A piece that is taken away from the end of a file shortens it; elsewhere zeros stand in its place, as in blocks that were
 * preallocated. SQLite's own files are written by its own code and not seen here: their promise is SQLite's.
 */
import { closeSync, existsSync, fstatSync, ftruncateSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs'
import type { Random } from '../../testkit/src/random.ts'

export interface Piece {
  readonly path: string
  /** Of the write, counted from the start of the process. */
  readonly number: number
  readonly at: number
  readonly length: number
  readonly sizeBefore: number
}

/** A line of the ledger; a finished synchronisation covers the writes that were begun before it. */
export type Note =
  | ({ readonly what: 'write' } & Piece)
  | { readonly what: 'sync'; readonly path: string; readonly covers: number }

export class PowerCut {
  readonly preload: string = new URL('recording-files.ts', import.meta.url).href
  readonly environment: Readonly<Record<string, string>>
  /** Writes that were taken away, in whole or in part. */
  taken = 0
  readonly #ledger: string

  constructor(folder: string, ledger: string) {
    this.#ledger = ledger
    this.environment = {
      CONCORDMQ_TEST_LEDGER: ledger,
      CONCORDMQ_TEST_LEDGER_FOLDER: folder,
      CONCORDMQ_TEST_SYNC_DELAY_MS: '10',
    }
  }

  /** Call between the kill and the next start. */
  cut(random: Random): void {
    if (!existsSync(this.#ledger)) return
    const pieces = unsynced(readNotes(readFileSync(this.#ledger, 'utf8')))
    rmSync(this.#ledger)
    // The last first: a file is shortened from its end.
    for (const piece of pieces.toReversed()) {
      const choice = random.below(3)
      if (choice === 0 || !existsSync(piece.path)) continue
      this.taken++
      takeAway(piece, choice === 1 ? 0 : random.below(piece.length))
    }
  }
}

/** The last line may be half written: the kill came in the middle. */
export function readNotes(text: string): Note[] {
  const notes: Note[] = []
  for (const line of text.split('\n').slice(0, -1)) notes.push(JSON.parse(line) as Note)
  return notes
}

/** Writes that no finished synchronisation of their file follows. */
export function unsynced(notes: readonly Note[]): Piece[] {
  const open = new Map<string, Piece[]>()
  for (const note of notes) {
    const pieces = open.get(note.path) ?? []
    if (note.what === 'write') open.set(note.path, [...pieces, note])
    else
      open.set(
        note.path,
        pieces.filter(({ number }) => number > note.covers),
      )
  }
  return [...open.values()].flat()
}

/** Leaves the first `kept` bytes of the piece. */
function takeAway({ path, at, length, sizeBefore }: Piece, kept: number): void {
  const file = openSync(path, 'r+')
  try {
    const { size } = fstatSync(file)
    if (at + length >= size && sizeBefore <= at) ftruncateSync(file, at + kept)
    else if (length > kept) writeSync(file, Buffer.alloc(length - kept), 0, length - kept, at + kept)
  } finally {
    closeSync(file)
  }
}
