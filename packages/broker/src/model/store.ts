/**
 * Where the state lies on disk, as an interface: the built-in form is SQLite (`storage/sqlite-store.ts`), another one passes the
 * same suite (`store.testkit.ts`). A store knows no MQTT: it keeps records by key, and contents of chunks by number.
 *
 *   at start        records() ─▶ all records, then content() of some chunks
 *   while running   commit(save), one after the other; content() of chunks whose messages are to be sent
 */
import type { Save } from '@concordmq/state'

export type StoredRecord = readonly [key: Uint8Array, value: Uint8Array]

export interface Store {
  /** All records, each once, in any order. Called once, before anything else. */
  records(): AsyncIterable<readonly StoredRecord[]>
  /** The parts of a chunk's content, ascending, as one; empty if there is none. May be called while a commit is under way. */
  content(chunk: number): Promise<Uint8Array>
  /**
   * Applies a save whole or not at all, in the order of its fields; it is on disk when this resolves. After a rejection the
   * store is as before, and the same save may be given again. One call at a time.
   */
  commit(save: Save): Promise<void>
  /** What is damaged, as sentences; empty: nothing was found. Slow. */
  check(): Promise<readonly string[]>
  /** Frees files and locks. Commits under way end first. */
  close(): Promise<void>
}
