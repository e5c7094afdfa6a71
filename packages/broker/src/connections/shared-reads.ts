/**
 * One buffer into which all plain sockets of a thread read.
 *
 * Node reads into fresh memory of 64 KiB, shrinks it to what came, wraps it and takes it through a stream: for a message of a
 * hundred bytes that is a third of what the broker spends on it outside the kernel. A socket that the program opens itself may
 * name a buffer of its own instead (`onread`); an accepted one may not. So the buffer is put where `onread` puts it: under
 * two symbols, found by looking at what `onread` leaves in a socket, and in the handle. Where a Node has none of that, sockets
 * read as usual.
 *
 * What was read is lent: the next read of any socket overwrites it. After a read its owner may name another buffer for the next
 * ones of that socket, as `onread` may, too.
 */
import { Buffer } from 'node:buffer'
import { Socket } from 'node:net'

/** What one read brings at most. */
const READ_BYTES = 65_536

/** The parts of an accepted socket that are not public. */
interface Handle {
  useUserBuffer(buffer: Uint8Array): void
}

interface Places {
  readonly buffer: symbol
  readonly callback: symbol
  readonly following: symbol
}

let shared: Buffer | undefined
/** Where the next read of the socket goes whose read was taken last. */
let following: Uint8Array = new Uint8Array(1)
const places = findPlaces()

function findPlaces(): Places | undefined {
  const onread = { buffer: new Uint8Array(1), callback: () => true }
  const probe = new Socket({ onread })
  const keys = Object.getOwnPropertySymbols(probe)
  const buffer = keys.find((key) => Reflect.get(probe, key) === onread.buffer)
  const callback = keys.find((key) => Reflect.get(probe, key) === onread.callback)
  const changing = new Socket({ onread: { buffer: followingBuffer, callback: onread.callback } })
  const next = keys.find((key) => Reflect.get(changing, key) === followingBuffer)
  if (buffer === undefined || callback === undefined || next === undefined) return undefined
  return { buffer, callback, following: next }
}

/** Asked after each read. */
function followingBuffer(): Uint8Array {
  return following
}

/** The buffer that all share. */
export function sharedBuffer(): Uint8Array {
  shared ??= Buffer.allocUnsafeSlow(READ_BYTES)
  return shared
}

/**
 * From now on `take` gets what the socket reads, lent, as the first `bytes` of a buffer, and the 'data' event says nothing. It
 * answers where the next read goes. False, and nothing was done: this Node offers no way, or the socket holds what it has
 * read before.
 */
export function shareReads(socket: Socket, take: (buffer: Uint8Array, bytes: number) => Uint8Array): boolean {
  const handle: Handle | null | undefined = Reflect.get(socket, '_handle')
  if (places === undefined || typeof handle?.useUserBuffer !== 'function' || socket.readableLength > 0) return false
  const buffer = sharedBuffer()
  Reflect.set(socket, places.buffer, buffer)
  const { following: place } = places
  Reflect.set(socket, places.callback, (bytes: number, from: Uint8Array) => {
    following = take(from, bytes)
    // Asked for from then on: most sockets never need it.
    if (following !== from) Reflect.set(socket, place, followingBuffer)
    return true
  })
  handle.useUserBuffer(buffer)
  return true
}
