/**
 * Preloaded into a process by `NODE_OPTIONS=--import=…`: bytes that a socket read into lent memory (`connections/shared-reads.ts`) are
 * overwritten as soon as they were taken, so that whoever keeps them without a copy is found out. Leaves a file in
 * `CONCORDMQ_TEST_OVERWRITTEN_DIR`, so that a test sees that it was so. Slabs are left alone: what lies there may be held.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

type Callback = (bytes: number, buffer: Uint8Array) => boolean

/** Of the memory that all share. */
const SHARED_BYTES = 65_536

const set = Reflect.set
let told = false

Reflect.set = (target: object, key: PropertyKey, value: unknown): boolean =>
  set(target, key, typeof key === 'symbol' && isCallback(value) ? overwriting(value) : value)

function isCallback(value: unknown): value is Callback {
  return typeof value === 'function' && value.length === 2
}

function overwriting(take: Callback): Callback {
  return (bytes, buffer) => {
    const goesOn = take(bytes, buffer)
    if (buffer.buffer.byteLength !== SHARED_BYTES) return goesOn
    buffer.fill(0xdb, 0, bytes)
    if (!told) writeFileSync(join(process.env['CONCORDMQ_TEST_OVERWRITTEN_DIR'] ?? '.', String(process.pid)), '')
    told = true
    return goesOn
  }
}
