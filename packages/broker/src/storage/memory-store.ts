import type { Save } from '@concordmq/state'
import type { Store, StoredRecord } from '../model/store.ts'

/** Forgets everything when the process ends; for tests, and the measure of what other forms must do. */
export class MemoryStore implements Store {
  readonly #records = new Map<string, StoredRecord>()
  readonly #contents = new Map<number, Map<number, Uint8Array>>()

  async *records(): AsyncIterable<readonly StoredRecord[]> {
    yield [...this.#records.values()]
  }

  async content(chunk: number): Promise<Uint8Array> {
    const parts = [...(this.#contents.get(chunk) ?? [])].sort(([a], [b]) => a - b)
    return Buffer.concat(parts.map(([, content]) => content))
  }

  async commit({ gone, records, chunksGone, contents }: Save): Promise<void> {
    for (const key of gone) this.#records.delete(nameOf(key))
    for (const { key, value } of records) this.#records.set(nameOf(key), [key, value])
    for (const chunk of chunksGone) this.#contents.delete(chunk)
    for (const { chunk, part, anew, content } of contents) {
      const parts = anew ? new Map<number, Uint8Array>() : (this.#contents.get(chunk) ?? new Map<number, Uint8Array>())
      parts.set(part, content)
      this.#contents.set(chunk, parts)
    }
  }

  async check(): Promise<readonly string[]> {
    return []
  }

  async close(): Promise<void> {}
}

function nameOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.length).toString('latin1')
}
