/**
 * Cryptography for tests: SHA-256 is real, signatures are not, since no test of the graph or of the order looks at them.
 */
import { createHash } from 'node:crypto'
import type { Cryptography } from '../src/model/cryptography.ts'

export const fakeCryptography: Cryptography = {
  sha256: (bytes) => new Uint8Array(createHash('sha256').update(bytes).digest()),
  sign: (bytes) => {
    const half = createHash('sha256').update(bytes).digest()
    const signature = new Uint8Array(64)
    signature.set(half)
    signature.set(half, 32)
    return signature
  },
  verify: () => true,
  certifies: () => 'there are no certificates here',
  open: () => undefined,
  decryptShare: () => undefined,
}
