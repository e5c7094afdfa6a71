/**
 * Whose a data directory is. A consensus log of another network or another node would make this node sign what contradicts that
 * one's blocks, so the first start writes down whose it is, and every later one compares, before anything is served.
 *
 *   <directory>/cluster.json   format, network, first epoch, key; and for `os` durability the boot of the machine that wrote it
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Epoch } from '@concordmq/consensus'
import { ConcordError } from '../../errors.ts'
import type { Files } from '../../model/files.ts'
import { type ClusterOwner, clusterFormat, ownerFile, parseOwner } from '../../storage/cluster-directory.ts'
import { keyIdOfPoint } from '../identity/node-keys.ts'
import { incomingPrefix } from './snapshots.ts'

export interface DirectoryClaim {
  readonly directory: string
  readonly files: Files
  readonly genesis: Epoch
  /** The point of this node's key. */
  readonly publicKey: Uint8Array
  readonly durability: 'fsync' | 'os'
}

export interface ClaimedDirectory {
  /** There was something in its log. */
  readonly used: boolean
  /** The end of its log may have been lost with the power. */
  readonly doubtful: boolean
}

/** Rejects when it is another's, or of a newer format. */
export async function claimDirectory(claim: DirectoryClaim): Promise<ClaimedDirectory> {
  const { directory, files, durability } = claim
  const path = join(directory, ownerFile)
  const names = await files.list(directory)
  const before = names.includes(ownerFile) ? parseOwner(await files.read(path), path) : undefined
  const used = before?.used ?? false
  const now = ownerOf(claim, { used, boot: durability === 'os' ? bootId() : undefined })
  if (before !== undefined) refuseOthers(before, now, directory)
  // Of a life that ended while they came.
  for (const name of names) if (name.startsWith(incomingPrefix)) await files.remove(join(directory, name))
  await write(files, directory, now)
  // Written in another boot, without syncs, and not closed since: its end may be lost.
  const doubtful = before?.boot !== undefined && before.boot !== bootId()
  return { used, doubtful }
}

/** Something is in the log now. */
export async function markUsed(claim: DirectoryClaim): Promise<void> {
  const boot = claim.durability === 'os' ? bootId() : undefined
  await write(claim.files, claim.directory, ownerOf(claim, { used: true, boot }))
}

/** All that was written is on the disk now: after a clean stop no boot matters. */
export async function releaseDirectory(claim: DirectoryClaim): Promise<void> {
  if (claim.durability === 'os')
    await write(claim.files, claim.directory, ownerOf(claim, { used: true, boot: undefined }))
}

function ownerOf(
  { genesis, publicKey }: DirectoryClaim,
  { used, boot }: Pick<ClusterOwner, 'used' | 'boot'>,
): ClusterOwner {
  return {
    format: clusterFormat,
    network: Buffer.from(genesis.networkId).toString('latin1'),
    genesis: Buffer.from(genesis.hash).toString('hex'),
    key: keyIdOfPoint(publicKey),
    nodes: genesis.n,
    used,
    boot,
  }
}

function refuseOthers(before: ClusterOwner, now: ClusterOwner, directory: string): void {
  if (before.key !== now.key) {
    throw new ConcordError(
      'CMQ_CLUSTER_DIRECTORY',
      `Cannot use ${directory}: it belongs to the node with the key ${before.key}, this one has ${now.key}`,
    )
  }
  if (before.network !== now.network || before.genesis !== now.genesis) {
    const [theirs, own] = [before, now].map(
      ({ network, genesis }) => `"${network}" with the book ${genesis.slice(0, 16)}`,
    )
    throw new ConcordError(
      'CMQ_CLUSTER_DIRECTORY',
      `Cannot use ${directory}: it belongs to the network ${theirs}, this node to ${own}. The book file of a node stays that with which the network began; what operators changed since is in the directory`,
    )
  }
}

async function write(files: Files, directory: string, owner: ClusterOwner): Promise<void> {
  const temporary = join(directory, `${ownerFile}.new`)
  await files.remove(temporary)
  const file = await files.open(temporary)
  try {
    await file.write(Buffer.from(`${JSON.stringify(owner)}\n`), 0)
    await file.sync()
  } finally {
    await file.close()
  }
  await files.rename(temporary, join(directory, ownerFile))
  await files.syncDirectory(directory)
}

/** Changes when the machine is started; empty where the system does not tell. */
function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  } catch {
    return ''
  }
}
