/**
 * The file of a Unix socket. A broker that was killed leaves its file behind and `listen` then fails; so a file is removed
 * before, but only a socket, and only when nobody answers on it: removing the file of a running broker would make it
 * unreachable without a trace.
 */
import { chmod, lstat, unlink } from 'node:fs/promises'
import { connect } from 'node:net'
import { ConcordError, systemCode } from '../errors.ts'

/** Owner and group may connect (connecting needs the write bit). The folder's rights narrow it further. */
const mode = 0o660

/** Linux has 108 bytes for the path, other systems 104, both with a final zero; Node cuts longer ones silently. */
export const socketPathBytesMax = 103

/** Removes what a dead broker left at the path. Rejects when the path is in use, or is something else than a socket. */
export async function clearStaleSocket(path: string): Promise<void> {
  if (Buffer.byteLength(path) > socketPathBytesMax) {
    throw new ConcordError(
      'CMQ_ADDRESS_UNAVAILABLE',
      `Cannot listen on ${path}: the path of a Unix socket has at most ${socketPathBytesMax} bytes`,
    )
  }
  let isSocket: boolean
  try {
    isSocket = (await lstat(path)).isSocket()
  } catch (error) {
    // Nothing there, or a folder that cannot be read: `listen` will say the latter.
    if (systemCode(error) !== '') return
    throw error
  }
  if (!isSocket)
    throw new ConcordError('CMQ_ADDRESS_IN_USE', `Cannot listen on ${path}: a file that is no socket is there`)
  if (await answers(path))
    throw new ConcordError('CMQ_ADDRESS_IN_USE', `Cannot listen on ${path}: another process answers there`)
  await unlink(path).catch((error: unknown) => {
    if (systemCode(error) !== 'ENOENT')
      throw new ConcordError('CMQ_ADDRESS_FORBIDDEN', `Cannot remove the stale socket ${path}`, { cause: error })
  })
}

export async function restrictSocket(path: string): Promise<void> {
  await chmod(path, mode)
}

/** Anything but a refusal counts as an answer: a full accept queue (EAGAIN) or missing rights (EACCES) mean somebody lives. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path)
    probe.once('connect', () => {
      probe.destroy()
      resolve(true)
    })
    probe.once('error', (error) => resolve(systemCode(error) !== 'ECONNREFUSED' && systemCode(error) !== 'ENOENT'))
  })
}
