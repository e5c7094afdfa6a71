/** A node that lost its log is told nonsense by a peer. */
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { Cluster, cryptographyOf } from '../testing/cluster.ts'
import { assertOrdered, assertSilent, forbidForks } from '../testing/expectations.ts'
import { encodeBlock, makeBlock } from './bytes/block-codec.ts'
import { Domain, signedBlockBytes, signedBytes } from './bytes/domain.ts'
import { decodeFrame, encodeFrame, FrameType, ownLastContent } from './bytes/frames.ts'

const FORGETFUL = 1
const LIAR = 6

/** The liar says, duly signed, that its newest own block is of a round that nobody will ever reach. */
function claimFarRound(cluster: Cluster): { claims: number } {
  const said = { claims: 0 }
  const { epoch, watch } = cluster
  const cryptography = cryptographyOf(LIAR)
  const round = 2 ** 50
  const references = Array.from({ length: epoch.q }, (_, author) => ({
    ...{ author, round: round - 1, digest: new Uint8Array(32).fill(author + 1) },
    ...{ parent: true, report: false, recvUs: 0 },
  }))
  const content = { author: LIAR, round, tsUs: cluster.nowUs, references, messages: [] }
  const block = makeBlock(content, epoch, new Domain(epoch.hash, cryptography), (digest) =>
    cryptography.sign(signedBlockBytes(digest)),
  )
  cluster.watch = (node, effect) => {
    if (node !== LIAR || effect.type !== 'send' || effect.frame[0] !== FrameType.ownLast) return watch(node, effect)
    const decoded = decodeFrame(effect.frame, epoch.constants.blockBytesMax)
    assert.ok(decoded.ok && decoded.value.type === 'ownLast')
    const { nonce, asker } = decoded.value
    const signature = cryptography.sign(signedBytes('ownlast', epoch.hash, ownLastContent(nonce, asker, block)))
    said.claims++
    cluster.deliver(
      LIAR,
      FORGETFUL,
      encodeFrame({ type: 'ownLast', nonce, asker, block: encodeBlock(block), signature }),
    )
    return true
  }
  return said
}

it('a node that lost its log is not muted by a peer that claims a block of a far round (H6 of the review, n=7)', () => {
  const nodes = new Cluster({ n: 7, seed: 111, delayUs: [200, 1500] })
  forbidForks(nodes)
  for (let i = 0; i < 30; i++) {
    nodes.submit(i % 7, `m${i}`)
    nodes.run(nodes.random() * 5000)
  }
  assertOrdered(nodes, 30)
  const said = claimFarRound(nodes)
  nodes.crash(FORGETFUL, { loseDisk: true })
  nodes.run(3000)
  nodes.restart(FORGETFUL, { amnesia: true })
  assert.ok(nodes.runUntil(() => nodes.nodes[FORGETFUL]?.engine.status.mode === 'active', 20_000_000))
  assert.ok(said.claims > 0)
  nodes.submit(FORGETFUL, 'after')
  assertOrdered(nodes, 31)
  assertSilent(nodes)
})
