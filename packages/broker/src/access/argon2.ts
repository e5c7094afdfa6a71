/**
 * Argon2id off the event loop: `@node-rs/argon2` where it is installed (8 ms for the usual parameters), else Node's own
 * (23 ms). Both run in libuv's thread pool and give the same bytes. The package is optional, so what it computes is
 * compared with a known answer before it is trusted with a login; a package that does something else is not used.
 */
import { argon2 as nodeArgon2, timingSafeEqual } from 'node:crypto'

export interface Argon2Input {
  /** KiB. */
  readonly memory: number
  readonly passes: number
  readonly lanes: number
  readonly salt: Uint8Array
  /** Bytes. */
  readonly hashBytes: number
}

export type Argon2 = (password: Uint8Array, input: Argon2Input) => Promise<Uint8Array>

let loading: Promise<Argon2> | undefined

/** The fastest implementation there is; looked for once per process. */
export function loadArgon2(): Promise<Argon2> {
  loading ??= loadNative().then((native) => native ?? argon2OfNode)
  return loading
}

/** Node's own. */
export function argon2OfNode(password: Uint8Array, input: Argon2Input): Promise<Uint8Array> {
  const { memory, passes, lanes, salt, hashBytes } = input
  return new Promise((resolve, reject) => {
    nodeArgon2(
      'argon2id',
      { message: password, nonce: salt, parallelism: lanes, tagLength: hashBytes, memory, passes },
      (error, hash) => {
        if (error === null) resolve(hash)
        else reject(error)
      },
    )
  })
}

/** Whether an implementation gives the known answer for parameters that cost next to nothing. */
export async function givesKnownAnswer(argon2: Argon2): Promise<boolean> {
  const { password, input, hash } = knownAnswer
  try {
    const computed = await argon2(password, input)
    return computed.length === hash.length && timingSafeEqual(computed, hash)
  } catch {
    return false
  }
}

/** Made with Node's implementation, whose answers the tests compare with a record of the reference tool. */
const knownAnswer = {
  password: Buffer.from('concordmq'),
  input: { memory: 32, passes: 2, lanes: 1, salt: Buffer.from('known answer 016'), hashBytes: 32 },
  hash: Buffer.from('iJweD62TWeXBhpYU3SRSjOALlVyY+3SXGZ6z3nh9+cM=', 'base64'),
}

interface NativeModule {
  hashRaw(password: Uint8Array, options: Readonly<Record<string, unknown>>): Promise<Uint8Array>
}

async function loadNative(): Promise<Argon2 | undefined> {
  // A variable, so that neither the compiler nor a bundler insists on a package that may be absent.
  const name: string = '@node-rs/argon2'
  let module: Partial<NativeModule>
  try {
    module = (await import(name)) as Partial<NativeModule>
  } catch {
    return undefined
  }
  const { hashRaw } = module
  if (typeof hashRaw !== 'function') return undefined
  const native: Argon2 = (password, { memory, passes, lanes, salt, hashBytes }) =>
    // algorithm 2 is Argon2id, version 1 is 0x13 (19).
    hashRaw(password, {
      memoryCost: memory,
      timeCost: passes,
      parallelism: lanes,
      outputLen: hashBytes,
      salt,
      algorithm: 2,
      version: 1,
    })
  return (await givesKnownAnswer(native)) ? native : undefined
}
