/** What the store and its worker say to each other. A save travels as one buffer, since thousands of small ones are slow. */
import type { MessagePort } from 'node:worker_threads'
import type { Save } from '@concordmq/state'

export interface SqliteStart {
  readonly path: string
  readonly sync: boolean
}

export type Request =
  | { readonly id: number; readonly op: 'records' }
  | { readonly id: number; readonly op: 'content'; readonly chunk: number }
  | { readonly id: number; readonly op: 'commit'; readonly save: Uint8Array }
  | { readonly id: number; readonly op: 'check' }
  | { readonly id: number; readonly op: 'close' }
  /** Another thread asks through this port, for records and contents alone. */
  | { readonly id: 0; readonly op: 'share'; readonly port: MessagePort }

export type Answer =
  /** The database is open, or not. */
  | { readonly id: 0; readonly error?: StoreFault }
  /** `more`: further answers with this number follow. */
  | { readonly id: number; readonly bytes?: Uint8Array; readonly texts?: readonly string[]; readonly more?: boolean }
  | { readonly id: number; readonly error: StoreFault }

/** An error as it goes between threads. `code`: SQLite's, such as `SQLITE_FULL`, or one of ours. */
export interface StoreFault {
  readonly code: string
  readonly message: string
}

/**
 *   u32 count │ key, u32 length first …        keys that are gone
 *   u32 count │ key, value …                   records
 *   u32 count │ f64 chunk …                    chunks that are gone
 *   u32 count │ f64 chunk, u32 part, u8 anew, content …
 */
export function packSave({ gone, records, chunksGone, contents }: Save): Uint8Array {
  let size = 16
  for (const key of gone) size += 4 + key.length
  for (const { key, value } of records) size += 8 + key.length + value.length
  size += 8 * chunksGone.length
  for (const { content } of contents) size += 17 + content.length
  const packer = new Packer(size)
  packer.u32(gone.length)
  for (const key of gone) packer.bytes(key)
  packer.u32(records.length)
  for (const { key, value } of records) {
    packer.bytes(key)
    packer.bytes(value)
  }
  packer.u32(chunksGone.length)
  for (const chunk of chunksGone) packer.f64(chunk)
  packer.u32(contents.length)
  for (const { chunk, part, anew, content } of contents) {
    packer.f64(chunk)
    packer.u32(part)
    packer.u8(anew ? 1 : 0)
    packer.bytes(content)
  }
  return packer.packed
}

export class Packer {
  readonly packed: Uint8Array
  readonly #view: DataView
  #at = 0

  constructor(size: number) {
    this.packed = new Uint8Array(size)
    this.#view = new DataView(this.packed.buffer)
  }

  u8(value: number): void {
    this.#view.setUint8(this.#at, value)
    this.#at += 1
  }

  u32(value: number): void {
    this.#view.setUint32(this.#at, value)
    this.#at += 4
  }

  f64(value: number): void {
    this.#view.setFloat64(this.#at, value)
    this.#at += 8
  }

  bytes(value: Uint8Array): void {
    this.u32(value.length)
    this.packed.set(value, this.#at)
    this.#at += value.length
  }
}

export class Unpacker {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  }

  get left(): number {
    return this.#bytes.length - this.#at
  }

  u8(): number {
    this.#at += 1
    return this.#view.getUint8(this.#at - 1)
  }

  u32(): number {
    this.#at += 4
    return this.#view.getUint32(this.#at - 4)
  }

  f64(): number {
    this.#at += 8
    return this.#view.getFloat64(this.#at - 8)
  }

  /** A view. */
  bytes(): Uint8Array {
    const length = this.u32()
    this.#at += length
    return this.#bytes.subarray(this.#at - length, this.#at)
  }
}
