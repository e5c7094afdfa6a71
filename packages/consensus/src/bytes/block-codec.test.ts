import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { arbitraryContent } from '../../testing/arbitrary-block.ts'
import { testEpoch } from '../../testing/drawn-graph.ts'
import { fakeCryptography } from '../../testing/fake-cryptography.ts'
import type { Block, BlockMessage, Reference } from '../model/block.ts'
import {
  type BlockContent,
  blockMessages,
  blockSize,
  decodeBlock,
  decodeHeader,
  encodeBlock,
  makeBlock,
} from './block-codec.ts'
import { Domain } from './domain.ts'
import { sameBytes } from './order.ts'

const epoch = testEpoch(4)
const domain = new Domain(epoch.hash, fakeCryptography)

const make = (content: BlockContent) => makeBlock(content, epoch, domain, (digest) => fakeCryptography.sign(digest))
const decode = (bytes: Uint8Array) => decodeBlock(bytes, epoch, domain)

function parent(author: number, round: number, fill = author): Reference {
  return { author, round, digest: new Uint8Array(32).fill(fill), parent: true, report: false, recvUs: 0 }
}

function report(author: number, round: number, recvUs: number, fill = 99): Reference {
  return { author, round, digest: new Uint8Array(32).fill(fill), parent: false, report: true, recvUs }
}

function message(seq: number): BlockMessage {
  return { kind: 1, seq, recvUs: 5, bytes: Uint8Array.of(1, 2, 3) }
}

const direct = [parent(0, 4), parent(1, 4), parent(2, 4)]
const plain: BlockContent = { author: 0, round: 5, tsUs: 100, references: direct, messages: [] }

function refusal(change: Partial<BlockContent>): string | undefined {
  const decoded = decode(encodeBlock(make({ ...plain, ...change })))
  return decoded.ok ? undefined : decoded.problem
}

test('decodeBlock() reads what encodeBlock() wrote', () => {
  fc.assert(
    fc.property(arbitraryContent(epoch), (content) => {
      const block = make(content)
      const bytes = encodeBlock(block)
      const decoded = decode(bytes)
      assert.ok(decoded.ok, decoded.ok ? '' : decoded.problem)
      assert.deepEqual(decoded.value, block)
      assert.deepEqual(blockMessages(decoded.value), content.messages)
      const reports = content.references.filter((reference) => reference.report).length
      const messageBytes = content.messages.reduce((sum, { bytes: { length } }) => sum + length, 0)
      const sizes = { reports, parents: content.references.length - reports, messages: content.messages.length }
      assert.equal(bytes.length, blockSize({ ...sizes, messageBytes }))
    }),
  )
})

test('one changed byte of a block is refused, or is another block with exactly these bytes', () => {
  let refused = 0
  const mutation = fc.record({ at: fc.nat(), flip: fc.integer({ min: 1, max: 255 }) })
  fc.assert(
    fc.property(arbitraryContent(epoch), fc.array(mutation, { minLength: 20, maxLength: 20 }), (content, mutations) => {
      const block = make(content)
      const bytes = encodeBlock(block)
      for (const { at, flip } of mutations) {
        const changed = bytes.slice()
        const place = at % bytes.length
        changed[place] = (changed[place] as number) ^ flip
        const decoded = decode(changed)
        if (!decoded.ok) {
          refused++
          continue
        }
        assert.deepEqual(encodeBlock(decoded.value), changed)
        assert.deepEqual(
          encodeBlock(make({ ...decoded.value, messages: blockMessages(decoded.value) })),
          resigned(changed),
        )
        const inSignature = place >= block.header.length && place < block.header.length + 64
        assert.equal(sameBytes(decoded.value.digest, block.digest), inSignature)
      }
    }),
  )
  assert.ok(refused > 0)

  /** The bytes with the signature that belongs to them. */
  function resigned(changed: Uint8Array): Uint8Array {
    const decoded = decode(changed)
    assert.ok(decoded.ok)
    const { header, digest, body } = decoded.value
    return encodeBlock({ ...decoded.value, header, body, signature: fakeCryptography.sign(digest) } satisfies Block)
  }
})

test('decodeBlock() refuses a block with a byte more or less', () => {
  fc.assert(
    fc.property(arbitraryContent(epoch), fc.nat(), (content, cut) => {
      const bytes = encodeBlock(make(content))
      assert.equal(decode(bytes.subarray(0, cut % bytes.length)).ok, false)
      assert.equal(decode(Uint8Array.of(...bytes, 0)).ok, false)
    }),
  )
})

test('decodeBlock() refuses arbitrary bytes without throwing', () => {
  const magic = Uint8Array.of(0x43, 0x51, 0x42, 0x31, 0, 0, 0, 1)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), fc.boolean(), (bytes, begins) => {
      assert.equal(decode(begins ? Uint8Array.of(...magic, ...bytes) : bytes).ok, false)
    }),
  )
})

test('decodeBlock() refuses a block of another epoch, of an unknown author, of round 0 [V2]', () => {
  const other = { ...epoch, number: 2 }
  assert.deepEqual(decodeBlock(encodeBlock(make(plain)), other, domain), { ok: false, problem: 'epoch is another' })
  assert.equal(refusal({ author: 4 }), 'author is not in the book')
  assert.equal(refusal({ round: 0 }), 'round is 0')
})

test('decodeBlock() refuses a body that is not the one the header names [V4]', () => {
  const bytes = encodeBlock(make({ ...plain, messages: [message(1)] }))
  bytes[bytes.length - 1] = 77
  assert.deepEqual(decode(bytes), { ok: false, problem: 'body has another hash' })
})

test('decodeBlock() refuses parents that are too few, too new or two of one author and round [V5]', () => {
  assert.equal(refusal({}), undefined)
  assert.equal(refusal({ references: direct.slice(1) }), 'too few parents of the round before')
  assert.equal(refusal({ references: [parent(1, 5), ...direct] }), 'parent is not of a lower round')
  const twice = 'two parents of one author and round'
  assert.equal(
    refusal({ references: [...direct.slice(0, 2), { ...report(1, 4, 1), parent: true }] }),
    'report behind a parent',
  )
  assert.equal(refusal({ references: [{ ...report(1, 4, 1), parent: true }, ...direct] }), twice)
  assert.equal(refusal({ references: [{ ...report(1, 2, 1), parent: true }, ...direct, parent(1, 2)] }), twice)
  assert.equal(refusal({ round: 1, references: [] }), undefined)
})

test('decodeBlock() refuses a second entry of the author [V6]', () => {
  assert.equal(refusal({ references: [...direct, parent(0, 3)] }), 'more than one own parent')
})

test('decodeBlock() refuses reports out of the window, of own units, twice, or later than the block [V7]', () => {
  const { reportAgeRounds, reportAheadRounds } = epoch.constants
  const round = 5000
  const rows = direct.map((reference) => ({ ...reference, round: round - 1 }))
  const reporting = (...reports: Reference[]) => refusal({ round, references: [...reports, ...rows] })
  assert.equal(reporting(report(1, round - reportAgeRounds, 1), report(2, round + reportAheadRounds, 2)), undefined)
  assert.equal(reporting(report(1, round - reportAgeRounds - 1, 1)), 'reported unit is out of the window')
  assert.equal(reporting(report(1, round + reportAheadRounds + 1, 1)), 'reported unit is out of the window')
  assert.equal(reporting(report(0, round, 1)), 'report of an own unit')
  assert.equal(reporting(report(1, round, 1), report(1, round, 2)), 'unit is named twice')
  assert.equal(reporting(report(1, round, 1), report(1, round, 2, 98)), undefined)
  assert.equal(reporting(report(1, round - 1, 1, 1)), 'unit is named twice')
  assert.equal(reporting(report(1, round, 100)), undefined)
  assert.equal(reporting(report(1, round, 101)), 'report is later than the block')
  assert.equal(reporting(report(1, round, 2), report(2, round, 1)), 'reports are not in order')
})

test('decodeBlock() refuses submission numbers that do not ascend [V8]', () => {
  assert.equal(refusal({ messages: [message(1), message(2)] }), undefined)
  assert.equal(refusal({ messages: [message(2), message(2)] }), 'submission numbers do not ascend')
  assert.equal(refusal({ messages: [message(2), message(1)] }), 'submission numbers do not ascend')
})

test('decodeBlock() refuses parents in any other order', () => {
  assert.equal(refusal({ references: [parent(1, 4), parent(0, 4), parent(2, 4)] }), 'parents are not in order')
  assert.equal(refusal({ references: [parent(3, 2), ...direct] }), 'parents are not in order')
})

test('decodeBlock() refuses more than the epoch allows', () => {
  const messages = Array.from({ length: epoch.constants.blockMessagesMax + 1 }, (_, seq) => message(seq))
  assert.equal(refusal({ messages: messages.slice(1) }), undefined)
  assert.equal(refusal({ messages }), 'too many messages')
  const old = Array.from({ length: epoch.constants.refsMax - 2 }, (_, back) => parent(3, 4999 - back))
  const rows = direct.map((reference) => ({ ...reference, round: 5000 }))
  assert.equal(refusal({ round: 5001, references: [...rows, ...old.slice(1)] }), undefined)
  assert.equal(refusal({ round: 5001, references: [...rows, ...old] }), 'too many references')
  const bytes = new Uint8Array(epoch.constants.blockBytesMax)
  const big = make({ ...plain, messages: [{ ...message(1), bytes }] })
  assert.deepEqual(decode(encodeBlock(big)), { ok: false, problem: 'block is too large' })
})

test('decodeHeader() reads a header as evidence carries it, and refuses one that no block could have', () => {
  const block = make({ ...plain, messages: [message(1)] })
  const decoded = decodeHeader(block.header, epoch, domain)
  assert.ok(decoded.ok)
  assert.deepEqual(decoded.value.digest, block.digest)
  const few = make({ ...plain, references: direct.slice(1) })
  assert.equal(decodeHeader(few.header, epoch, domain).ok, false)
  assert.equal(decodeHeader(Uint8Array.of(...block.header, 0), epoch, domain).ok, false)
})
