/**
 * Preloaded into a process by `NODE_OPTIONS=--import=…`: bytes that a socket read into lent memory (`connections/shared-reads.ts`) are
 * overwritten as soon as they were taken, so that whoever keeps them without a copy is found out. Leaves a file in
 * `CONCORDMQ_TEST_OVERWRITTEN_DIR`, so that a test sees that it was so.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

type Callback = (bytes: number, buffer: Uint8Array) => boolean

const set = Reflect.set
let told = false

Reflect.set = (target: object, key: PropertyKey, value: unknown): boolean =>
  set(target, key, typeof key === 'symbol' && typeof value === 'function' ? overwriting(value as Callback) : value)

function overwriting(take: Callback): Callback {
  return (bytes, buffer) => {
    const goesOn = take(bytes, buffer)
    buffer.fill(0xdb, 0, bytes)
    if (!told) writeFileSync(join(process.env['CONCORDMQ_TEST_OVERWRITTEN_DIR'] ?? '.', String(process.pid)), '')
    told = true
    return goesOn
  }
}
