/**
 * Where a node can be spoken to on its own machine: `control.sock` in its configuration directory. The node and `ctl` find
 * the same place by the same rules:
 *
 *   --control-socket, CONCORDMQ_CONTROL_SOCKET, `control-socket` in concordmq.toml     as given
 *   DIRECTORY/control.sock                                                              usually
 *   DIRECTORY/control-N.sock                                                            node N of a cluster
 *   TMPDIR/concordmq-UID/HASH.sock      where the directory is missing or read-only, or the path too long for a socket
 *   \\.\pipe\concordmq-HASH                                                             Windows, which has no such files
 *
 * HASH stands for the absolute path of the directory. Absent: a TCP port. Who may do all this is decided by the file's
 * owner (mode 0600), and nothing of it can be reached over a network.
 */
import { createHash } from 'node:crypto'
import { accessSync, constants, lstatSync, mkdirSync, statSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join, resolve } from 'node:path'
import process from 'node:process'
import { nodesMax } from '../identity/make-address-book.ts'

/** Linux has 108 bytes for the path, other systems 104, both with a final zero; Node cuts longer ones silently. */
const pathBytesMax = 103

export const controlSocketName = 'control.sock'

export interface ControlPlace {
  readonly path: string
  /** Why it is not in the directory; undefined where it is. */
  readonly moved: string | undefined
}

export interface WhoseSocket {
  /** Index of a node of a cluster, several of which may share a directory. */
  readonly node?: number | undefined
  readonly platform?: NodeJS.Platform
}

/** Where the node of a directory opens its socket. */
export function controlPlace(directory: string, { node, platform = process.platform }: WhoseSocket = {}): ControlPlace {
  if (platform === 'win32') return { path: pipePath(directory, node), moved: undefined }
  const path = join(resolve(directory), socketName(node))
  const moved = whyNot(directory, path)
  return moved === undefined ? { path, moved } : { path: elsewhere(directory, node), moved }
}

/** Where `ctl` looks, in this order. Without a number: for a node alone, then for those of a cluster by their numbers. */
export function controlPlaces(directory: string, { node, platform = process.platform }: WhoseSocket = {}): string[] {
  if (platform === 'win32') return [pipePath(directory, node)]
  const others = node === undefined ? Array.from({ length: nodesMax }, (_, i) => i) : []
  return [
    ...[node, ...others].map((one) => join(resolve(directory), socketName(one))).filter(fits),
    ...[...others, node].map((one) => elsewhere(directory, one)),
  ]
}

function socketName(node: number | undefined): string {
  return node === undefined ? controlSocketName : `control-${node}.sock`
}

/** Whether a path is short enough for a socket. */
export function fits(path: string): boolean {
  return Buffer.byteLength(path) <= pathBytesMax
}

/**
 * Makes the folder for sockets outside of configuration directories: nobody else may write there, or somebody could put a
 * socket of their own in the place of ours. Returns what is wrong with one that is there.
 */
export function ensurePrivateFolder(): string | undefined {
  const folder = privateFolder()
  try {
    mkdirSync(folder, { mode: 0o700, recursive: true })
    const stat = lstatSync(folder)
    if (!stat.isDirectory()) return `${folder} is not a directory`
    const uid = process.getuid?.()
    if (uid !== undefined && stat.uid !== uid) return `${folder} belongs to another user`
    if ((stat.mode & 0o077) !== 0) return `others have rights on ${folder}`
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

function whyNot(directory: string, path: string): string | undefined {
  if (!fits(path)) return `the path ${path} is longer than ${pathBytesMax} bytes, the most a socket can have`
  if (statSync(directory, { throwIfNoEntry: false })?.isDirectory() !== true) return `${directory} does not exist`
  try {
    accessSync(directory, constants.W_OK)
    return undefined
  } catch {
    return `${directory} cannot be written`
  }
}

function elsewhere(directory: string, node: number | undefined): string {
  return join(privateFolder(), `${hashOf(directory)}${suffix(node)}.sock`)
}

function privateFolder(): string {
  return join(tmpdir(), `concordmq-${process.getuid?.() ?? userInfo().username}`)
}

function pipePath(directory: string, node: number | undefined): string {
  return `\\\\.\\pipe\\concordmq-${hashOf(directory)}${suffix(node)}`
}

function suffix(node: number | undefined): string {
  return node === undefined ? '' : `-${node}`
}

function hashOf(directory: string): string {
  return createHash('sha256').update(resolve(directory)).digest('hex').slice(0, 16)
}
