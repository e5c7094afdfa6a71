/**
 * A file system in memory for tests: it knows what was synced, so that a loss of power can be played, and any call can be
 * made to fail.
 */
import type { Files, LogFile } from '../model/files.ts'

export type Fault = 'ENOSPC' | 'EIO' | 'short'

interface MemoryFile {
  bytes: Buffer
  synced: Buffer
}

export class MemoryFiles implements Files {
  readonly files = new Map<string, MemoryFile>()
  /** Writes and syncs so far. */
  calls = 0
  /** What the call with a number, and those behind it while it says so, does instead. */
  fault: (call: number, what: 'write' | 'sync') => Fault | undefined = () => undefined

  async open(path: string): Promise<LogFile> {
    const file = this.files.get(path) ?? { bytes: Buffer.alloc(0), synced: Buffer.alloc(0) }
    this.files.set(path, file)
    return {
      write: async (bytes, position) => {
        const fault = this.fault(++this.calls, 'write')
        const written = fault === undefined ? bytes.length : fault === 'short' ? Math.floor(bytes.length / 2) : 0
        if (file.bytes.length < position + written) {
          file.bytes = Buffer.concat([file.bytes, Buffer.alloc(position + written - file.bytes.length)])
        }
        file.bytes.set(bytes.subarray(0, written), position)
        if (fault !== undefined) throw Object.assign(new Error(`planted ${fault}`), { code: fault })
      },
      sync: async () => {
        const fault = this.fault(++this.calls, 'sync')
        if (fault !== undefined) throw Object.assign(new Error(`planted ${fault}`), { code: fault })
        file.synced = Buffer.from(file.bytes)
      },
      close: async () => {},
    }
  }

  async read(path: string): Promise<Uint8Array> {
    return Buffer.from(this.files.get(path)?.bytes ?? [])
  }

  async readPart(path: string, position: number, bytes: number): Promise<Uint8Array> {
    return (await this.read(path)).subarray(position, position + bytes)
  }

  async list(directory: string): Promise<readonly string[]> {
    return [...this.files.keys()]
      .filter((path) => path.startsWith(`${directory}/`))
      .map((path) => path.slice(directory.length + 1))
  }

  async rename(from: string, to: string): Promise<void> {
    const file = this.files.get(from)
    if (file === undefined) throw Object.assign(new Error(`no ${from}`), { code: 'ENOENT' })
    this.files.delete(from)
    this.files.set(to, file)
  }

  async remove(path: string): Promise<void> {
    this.files.delete(path)
  }

  async syncDirectory(): Promise<void> {}

  /** What is left when the power goes: what was synced, and of the rest a part that `keep` (0..1) draws. */
  afterPowerLoss(keep: () => number): MemoryFiles {
    const left = new MemoryFiles()
    for (const [path, { bytes, synced }] of this.files) {
      const kept = Buffer.concat([synced, Buffer.alloc(Math.max(0, bytes.length - synced.length))])
      const until = Math.floor(keep() * bytes.length)
      bytes.copy(kept, 0, 0, until)
      left.files.set(path, { bytes: kept, synced: kept })
    }
    return left
  }
}
