/**
 * The few things that the log asks of a file system, as an interface: tests put one in its place whose writes fail in turn
 * or that forgets what was not synced. All is asynchronous: the event loop never waits for a disk.
 */
export interface LogFile {
  /** Writes all bytes at `position`, or rejects. */
  write(bytes: Uint8Array, position: number): Promise<void>
  /** What was written is on the disk when it resolves; after a rejection nothing is known of it. */
  sync(): Promise<void>
  close(): Promise<void>
}

export interface Files {
  /** Opens a file for writing, made empty if it does not exist. */
  open(path: string): Promise<LogFile>
  /**
   * The same, and each write is on the disk when it resolves; after a rejection nothing is known of it. Absent where that is
   * no cheaper than to write and to sync.
   */
  openSynced?(path: string): Promise<LogFile>
  read(path: string): Promise<Uint8Array>
  /** So many bytes from `position` on, fewer where the file ends before. */
  readPart(path: string, position: number, bytes: number): Promise<Uint8Array>
  /** Names in a directory, made if it does not exist. */
  list(directory: string): Promise<readonly string[]>
  rename(from: string, to: string): Promise<void>
  remove(path: string): Promise<void>
  /** Names that were made, changed or removed in a directory are on the disk when it resolves. */
  syncDirectory(directory: string): Promise<void>
}
