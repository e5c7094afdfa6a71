import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { type ProvenLog, sha256, signatureHolds, smallLog } from '../../../../testing/testkit/src/proven-log.ts'
import type { Epoch } from '../model/epoch.ts'
import { type LogProof, proofText, readProofText } from './proof.ts'
import { verifyProof } from './verify-proof.ts'

const log: ProvenLog = smallLog()

/** Why a proof's text is not valid; undefined: it is. */
function problemOf(text: string, genesis: Epoch = log.genesis): string | undefined {
  const proof = readProofText(text)
  if (!proof.ok) return proof.problem
  const verified = verifyProof(genesis, proof.value, sha256)
  if (!verified.ok) return verified.problem
  return verified.value.signatures.find((check) => !signatureHolds(check))?.name
}

describe('verifyProof()', () => {
  it('finds every position of a log over two epochs valid, and says which message it is', () => {
    for (let position = 0; position < log.size; position++) {
      const proof = log.prove(position)
      assert.equal(problemOf(proofText(proof)), undefined, `position ${position}`)
      const verified = verifyProof(log.genesis, proof, sha256)
      assert.ok(verified.ok)
      const { message, signatures } = verified.value
      assert.equal(message.position, position)
      assert.equal(Buffer.from(message.bytes).toString(), `message ${message.seq} of node ${message.author}`)
      assert.equal(signatures.length, 3 + 3 + 1)
    }
  })

  it('gives a message behind a skipped one its place by the mask (H2 of the review)', () => {
    const proofs = Array.from({ length: log.size }, (_, position) => log.prove(position))
    assert.equal(new Set(proofs.map(({ author, seq }) => `${author}/${seq}`)).size, log.size)
    // Eleven units of three messages, of which some were placed before.
    assert.ok(log.size < 3 * 11)
  })

  it('detects a changed character anywhere in the text', () => {
    const texts = [0, log.size >> 1, log.size - 1].map((position) => proofText(log.prove(position)))
    fc.assert(
      fc.property(fc.nat(), fc.nat(), fc.integer({ min: 1, max: 255 }), (which, where, change) => {
        const bytes = Buffer.from(texts[which % texts.length] as string, 'latin1')
        const at = where % bytes.length
        bytes[at] = (bytes[at] as number) ^ change
        assert.notEqual(problemOf(bytes.toString('latin1')), undefined)
      }),
      { numRuns: 1500 },
    )
  })

  it('detects a changed byte of every field, written in good form', () => {
    const proof = log.prove(log.size - 2)
    const changed = (bytes: Uint8Array, where: number): Uint8Array => {
      const copy = bytes.slice()
      copy[where % copy.length] = (copy[where % copy.length] as number) ^ (1 << (where % 8))
      return copy
    }
    for (let where = 0; where < 400; where++) {
      const index = where % proof.path.length
      const variants: LogProof[] = [
        { ...proof, block: changed(proof.block, where) },
        { ...proof, leaf: changed(proof.leaf, where) },
        { ...proof, certificate: changed(proof.certificate, where) },
        { ...proof, path: proof.path.map((hash, i) => (i === index ? changed(hash, where) : hash)) },
        { ...proof, epochs: proof.epochs.map((link) => changed(link, where * 3)) },
      ]
      for (const variant of variants) assert.notEqual(problemOf(proofText(variant)), undefined)
    }
    for (const field of ['position', 'author', 'seq', 'consensusUs', 'leafIndex'] as const) {
      assert.notEqual(problemOf(proofText({ ...proof, [field]: proof[field] + 1 })), undefined)
      assert.notEqual(problemOf(proofText({ ...proof, [field]: proof[field] - 1 })), undefined)
    }
  })

  it('says what is wrong', () => {
    const proof = log.prove(log.size - 1)
    const other = smallLog()
    assert.equal(
      problemOf(proofText(proof), other.genesis),
      'network began with another address book or under another name',
    )
    assert.match(
      problemOf(proofText({ ...proof, genesis: other.genesis.hash }), other.genesis) ?? '',
      /^checkpoint signature of node 1 \(10\.0\.0\.1:19793\)$/u,
    )
    assert.equal(problemOf(proofText({ ...proof, epochs: [] })), 'certificate: checkpoint is of epoch 1')
    assert.equal(
      problemOf(proofText({ ...proof, epochs: [...proof.epochs, ...proof.epochs] })),
      'end of epoch 1: checkpoint is of epoch 0',
    )
    assert.match(
      problemOf(proofText({ ...proof, seq: 999 })) ?? '',
      /^message at position \d+ has submission number \d+$/u,
    )
    assert.equal(
      problemOf(proofText({ ...proof, leaf: log.prove(0).leaf, block: log.prove(0).block })),
      "path from the leaf does not lead to the checkpoint's root",
    )
    assert.equal(problemOf(proofText({ ...proof, block: log.prove(0).block })), 'block is malformed: epoch is another')
    assert.equal(
      problemOf(proofText({ ...proof, path: proof.path.slice(1) })),
      "path from the leaf does not lead to the checkpoint's root",
    )
    assert.equal(problemOf('{'), 'text is not JSON')
    assert.equal(problemOf('[]'), '"format" is not "concordmq-proof/1"')
    assert.equal(problemOf(proofText(proof).replace('  ', ' ')), 'text is not in the form in which proofs are written')
  })

  it('does not take fewer signatures than a quorum', () => {
    const proof = log.prove(log.size - 1)
    // The last signature is 65 bytes: author and r | s.
    const certificate = proof.certificate.slice(0, -65)
    certificate[certificate.length - 2 * 65 - 1] = 2
    assert.equal(problemOf(proofText({ ...proof, certificate })), 'certificate: 2 signatures are no quorum of 4 nodes')
  })
})

describe('readProofText()', () => {
  it('reads what was written', () => {
    const proof = log.prove(3)
    assert.deepEqual(readProofText(proofText(proof)), { ok: true, value: proof })
  })

  it('never throws', () => {
    fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (text) => assert.equal(readProofText(text).ok, false)))
  })
})
