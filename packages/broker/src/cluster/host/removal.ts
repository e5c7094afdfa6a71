/**
 * How a node learns that it was taken out while it was away: whoever it dials no longer knows it as a node, but as one that was, and
 * gives it the chain of epochs. Each link of that is signed by a quorum of the epoch before, so one liar ends nobody's part.
 *
 *     REMOVED   count u16 | (link, with its length) …        from the first epoch of the network on
 */
import {
  type Cryptography,
  type Epoch,
  type EpochLink,
  type Followed,
  followLink,
  readEpochLink,
} from '@concordmq/consensus'
import { samePoint } from '../identity/members.ts'
import { bodyOf, encodeFrame, FrameType } from '../links/frames.ts'

/** The frame for a node that is one no more. */
export function encodeRemoved(links: readonly Uint8Array[]): Uint8Array {
  const head = Buffer.alloc(2)
  head.writeUInt16BE(links.length)
  const parts = links.flatMap((link) => {
    const length = Buffer.alloc(4)
    length.writeUInt32BE(link.length)
    return [length, link]
  })
  return encodeFrame(FrameType.removed, Buffer.concat([head, ...parts]))
}

/** The newest epoch that the frame proves, if the node of this key is not in it, and was before; undefined: it proves no such thing. */
export function provenRemoval(
  frame: Uint8Array,
  genesis: Epoch,
  point: Uint8Array,
  cryptography: Pick<Cryptography, 'sha256' | 'verify'>,
): Epoch | undefined {
  let epoch = genesis
  let was = hasNode(genesis, point)
  for (const link of linksOf(bodyOf(frame))) {
    const next = link && follow(epoch, link, cryptography)
    if (next === undefined) return undefined
    epoch = next
    was ||= hasNode(epoch, point)
  }
  return was && !hasNode(epoch, point) ? epoch : undefined
}

function follow(epoch: Epoch, link: EpochLink, cryptography: Pick<Cryptography, 'sha256' | 'verify'>) {
  const followed = followLink(epoch, link, (bytes) => cryptography.sha256(bytes))
  return followed.ok && holds(followed.value, cryptography) ? followed.value.next : undefined
}

function holds({ checks }: Followed, { verify }: Pick<Cryptography, 'verify'>): boolean {
  return checks.every(({ publicKey, bytes, signature }) => verify(publicKey, bytes, signature))
}

function hasNode({ nodes }: Epoch, point: Uint8Array): boolean {
  return nodes.some(({ publicKey }) => samePoint(publicKey, point))
}

/** Undefined in the place of what is no link. */
function linksOf(body: Uint8Array): (EpochLink | undefined)[] {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.length)
  const links: (EpochLink | undefined)[] = []
  let at = 2
  while (at + 4 <= bytes.length) {
    const end = at + 4 + bytes.readUInt32BE(at)
    links.push(end > bytes.length ? undefined : readEpochLink(bytes.subarray(at + 4, end)))
    at = end
  }
  const isWhole = bytes.length >= 2 && at === bytes.length && links.length === bytes.readUInt16BE(0)
  return isWhole ? links : [undefined]
}
