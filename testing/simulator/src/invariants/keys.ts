/**
 * Numbers as keys of what the invariants remember, where text would cost more than the checks themselves. They hold for the size of a
 * run: fewer than 32 nodes, a million rounds, 2^40 submissions of a node, and blocks of which no two begin with the same six bytes.
 */

export function digestKey(digest: Uint8Array): number {
  let key = 0
  for (let at = 0; at < 6; at++) key = key * 256 + (digest[at] as number)
  return key
}

export function roundKey(epoch: number, round: number): number {
  return epoch * 1_000_000 + round
}

export function slotKey(epoch: number, round: number, author: number): number {
  return roundKey(epoch, round) * 32 + author
}

export function submissionKey(epoch: number, author: number, seq: number): number {
  return (epoch * 32 + author) * 2 ** 40 + seq
}
