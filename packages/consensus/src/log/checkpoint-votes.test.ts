import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { fairEpoch } from '../order/fair-order.testkit.ts'
import {
  type Checkpoint,
  certificateBytes,
  certificateChecks,
  checkpointBytes,
  checkpointBytesLength,
  readCertificate,
  readCheckpoint,
} from './checkpoint.ts'
import { CheckpointVotes, ownVotesMax, votesPerAuthorMax } from './checkpoint-votes.ts'

const epoch = fairEpoch(4)
const ZEROS = new Uint8Array(32)

const checkpointAt = (step: number, application = 1): Checkpoint => ({
  epoch: 0,
  step,
  logSize: 10 * step,
  leafCount: step,
  logRoot: new Uint8Array(32).fill(3),
  engineStateHash: new Uint8Array(32).fill(4),
  appStateHash: new Uint8Array(32).fill(application),
  nextBookHash: ZEROS,
})
const contentAt = (step: number, application = 1): Uint8Array => checkpointBytes(checkpointAt(step, application))
const signature = (author: number): Uint8Array => new Uint8Array(64).fill(author)

describe('CheckpointVotes', () => {
  it('makes a certificate of equal votes of a quorum, one signature per author, ascending', () => {
    const votes = new CheckpointVotes(epoch, 2)
    assert.deepEqual(votes.vote(3, contentAt(5), signature(3)), { type: 'counted' })
    assert.deepEqual(votes.vote(3, contentAt(5), signature(9)), { type: 'counted' })
    assert.deepEqual(votes.own(checkpointAt(5), signature(2)), { type: 'counted' })
    assert.equal(votes.pending.length, 1)
    const outcome = votes.vote(0, contentAt(5), signature(0))
    assert.equal(outcome.type, 'certified')
    assert.deepEqual(
      votes.newest?.signatures.map(({ author }) => author),
      [0, 2, 3],
    )
    assert.deepEqual(votes.newest?.checkpoint, checkpointAt(5))
    assert.equal(votes.pending.length, 0)
    assert.equal(votes.wants(1, contentAt(5)), false)
  })

  it('counts a vote that differs, and calls it a divergence only once a witness set agrees on it (H9 of the review)', () => {
    const votes = new CheckpointVotes(epoch, 0)
    votes.own(checkpointAt(5), signature(0))
    assert.deepEqual(votes.vote(1, contentAt(5, 7), signature(1)), { type: 'counted' })
    assert.deepEqual(votes.vote(2, contentAt(5, 8), signature(2)), { type: 'counted' })
    assert.equal(votes.differing, 2)
    assert.deepEqual(votes.vote(3, contentAt(5, 7), signature(3)), { type: 'divergence', step: 5 })
  })

  it('finds the divergence as well when the others were first, certified or not', () => {
    const early = new CheckpointVotes(epoch, 0)
    early.vote(1, contentAt(5, 7), signature(1))
    early.vote(2, contentAt(5, 7), signature(2))
    assert.deepEqual(early.own(checkpointAt(5), signature(0)), { type: 'divergence', step: 5 })
    const late = new CheckpointVotes(epoch, 0)
    for (const author of [1, 2, 3]) late.vote(author, contentAt(5, 7), signature(author))
    assert.deepEqual(late.own(checkpointAt(5), signature(0)), { type: 'divergence', step: 5 })
  })

  it('keeps few votes of one author, the highest steps, and of its own the newest', () => {
    const votes = new CheckpointVotes(epoch, 0)
    for (let step = 1; step <= 3 * votesPerAuthorMax; step++) votes.vote(1, contentAt(step), signature(1))
    for (let step = 1; step <= 3 * votesPerAuthorMax; step++) votes.vote(2, contentAt(step), signature(2))
    assert.equal(votes.wants(1, contentAt(1)), false)
    assert.equal(votes.own(checkpointAt(3 * votesPerAuthorMax - votesPerAuthorMax), signature(0)).type, 'counted')
    assert.equal(votes.own(checkpointAt(3 * votesPerAuthorMax), signature(0)).type, 'certified')
    const lonely = new CheckpointVotes(epoch, 0)
    for (let step = 1; step <= 2 * ownVotesMax; step++) lonely.own(checkpointAt(step), signature(0))
    assert.equal(lonely.pending.length, ownVotesMax)
    assert.equal(lonely.pending.at(-1)?.step, 2 * ownVotesMax)
  })

  it('ignores votes of another epoch, of nobody, and bytes that are no checkpoint', () => {
    const votes = new CheckpointVotes(epoch, 0)
    assert.equal(votes.wants(1, checkpointBytes({ ...checkpointAt(5), epoch: 1 })), false)
    assert.equal(votes.wants(9, contentAt(5)), false)
    assert.equal(votes.wants(0, contentAt(5)), false)
    assert.equal(votes.wants(1, contentAt(5).subarray(1)), false)
    assert.deepEqual(votes.vote(1, new Uint8Array(0), signature(1)), { type: 'counted' })
  })

  it('takes a certificate that came whole, unless it contradicts this node', () => {
    const other = new CheckpointVotes(epoch, 1)
    other.own(checkpointAt(5), signature(1))
    other.vote(2, contentAt(5), signature(2))
    other.vote(3, contentAt(5), signature(3))
    const certificate = readCertificate(certificateBytes(other.newest ?? assert.fail()))
    assert.ok(certificate)
    const votes = new CheckpointVotes(epoch, 0)
    assert.equal(votes.adopt(certificate).type, 'certified')
    assert.equal(votes.adopt(certificate).type, 'counted')
    const diverged = new CheckpointVotes(epoch, 0)
    diverged.own(checkpointAt(5, 9), signature(0))
    assert.deepEqual(diverged.adopt(certificate), { type: 'divergence', step: 5 })
  })
})

describe('certificateChecks()', () => {
  const certificateBy = (...authors: readonly number[]) => ({
    checkpoint: checkpointAt(5),
    content: contentAt(5),
    signatures: authors.map((author) => ({ author, signature: signature(author) })),
  })

  it('asks for every signature of a quorum', () => {
    const checks = certificateChecks(epoch, certificateBy(0, 1, 3))
    assert.ok(checks.ok)
    assert.deepEqual(
      checks.value.map(({ publicKey }) => publicKey[0]),
      [1, 2, 4],
    )
  })

  it('refuses too few, the same author twice, strangers and another epoch', () => {
    const refused = (problem: string) => ({ ok: false, problem })
    assert.deepEqual(certificateChecks(epoch, certificateBy(0, 1)), refused('2 signatures are no quorum of 4 nodes'))
    assert.deepEqual(
      certificateChecks(epoch, certificateBy(0, 1, 1)),
      refused('signatures are not in the order of the nodes'),
    )
    assert.deepEqual(certificateChecks(epoch, certificateBy(0, 1, 7)), refused('node 7 is not in the address book'))
    assert.deepEqual(
      certificateChecks({ ...epoch, number: 3 }, certificateBy(0, 1, 2)),
      refused('checkpoint is of epoch 0'),
    )
  })
})

describe('readCheckpoint()', () => {
  it('reads what was written, and nothing longer or shorter', () => {
    const bytes = contentAt(77)
    assert.equal(bytes.length, checkpointBytesLength)
    assert.deepEqual(readCheckpoint(bytes), checkpointAt(77))
    assert.equal(readCheckpoint(bytes.subarray(1)), undefined)
    assert.equal(readCheckpoint(Uint8Array.of(...bytes, 0)), undefined)
    assert.equal(readCertificate(bytes), undefined)
  })
})
