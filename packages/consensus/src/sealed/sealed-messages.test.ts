import assert from 'node:assert/strict'
import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { Reader } from '../bytes/reader.ts'
import { Writer } from '../bytes/writer.ts'
import { fairEpoch } from '../order/fair-order.testkit.ts'
import { envelopeBytes, readEnvelope, readShares, shareHash, sharesBytes } from './envelope.ts'
import { type SealedCryptography, SealedMessages, sealedBytesMax } from './sealed-messages.ts'
import { splitKey } from './shamir.ts'

const epoch = fairEpoch(4)
const voidRounds = epoch.constants.voidRounds

const cryptography: SealedCryptography = {
  sha256: (bytes) => new Uint8Array(createHash('sha256').update(bytes).digest()),
  open(key, nonce, ciphertext) {
    try {
      const cipher = createDecipheriv('aes-256-gcm', key, nonce).setAuthTag(ciphertext.subarray(-16))
      return new Uint8Array(Buffer.concat([cipher.update(ciphertext.subarray(0, -16)), cipher.final()]))
    } catch {
      return undefined
    }
  },
}

interface Sealed {
  readonly bytes: Uint8Array
  readonly shares: Uint8Array[]
}

/** A text sealed for four nodes; `spoil` changes the shares before they are hashed. */
function seal(text: string, spoil: (shares: Uint8Array[]) => void = () => {}): Sealed {
  const key = new Uint8Array(randomBytes(32))
  const nonce = new Uint8Array(randomBytes(12))
  const shares = splitKey(key, randomBytes(32), { n: 4, threshold: 2 })
  spoil(shares)
  const cipher = createCipheriv('aes-256-gcm', key, nonce)
  const ciphertext = new Uint8Array(Buffer.concat([cipher.update(text), cipher.final(), cipher.getAuthTag()]))
  const envelope = {
    shares: shares.map((share, node) => ({
      hash: shareHash(cryptography.sha256, node, share),
      encrypted: Uint8Array.of(node),
    })),
    nonce,
    ciphertext,
  }
  return { bytes: envelopeBytes(envelope), shares }
}

const share = (position: number, { shares }: Sealed, node: number): Uint8Array =>
  sharesBytes([{ position, share: shares[node] as Uint8Array }])

function texts(messages: SealedMessages): (string | undefined)[] {
  return messages.stepDone().map(({ content }) => (content === undefined ? undefined : Buffer.from(content).toString()))
}

describe('SealedMessages', () => {
  it('opens a message at the end of the step in which w true shares are there', () => {
    const messages = new SealedMessages(epoch, cryptography)
    const sealed = seal('bid 100')
    assert.ok(messages.emitted(7, sealed.bytes))
    messages.shared(3, share(7, sealed, 3))
    assert.deepEqual(texts(messages), [])
    messages.shared(1, share(7, sealed, 1))
    assert.deepEqual(texts(messages), ['bid 100'])
    assert.equal(messages.size, 0)
    messages.shared(0, share(7, sealed, 0))
    assert.deepEqual(texts(messages), [])
  })

  it('counts no share twice, no false one, none of another node', () => {
    const messages = new SealedMessages(epoch, cryptography)
    const sealed = seal('bid 100')
    messages.emitted(7, sealed.bytes)
    messages.shared(3, share(7, sealed, 3))
    messages.shared(3, share(7, sealed, 3))
    messages.shared(2, share(7, sealed, 3))
    messages.shared(1, sharesBytes([{ position: 7, share: new Uint8Array(32) }]))
    messages.shared(1, Uint8Array.of(1, 2, 3))
    messages.shared(9, share(7, sealed, 1))
    assert.deepEqual(texts(messages), [])
    assert.equal(messages.size, 1)
  })

  it('is void, whichever shares came, when the sealer hashed shares of no polynomial (C7 of the review)', () => {
    const sealed = seal('bid 100', (shares) => {
      shares[3] = new Uint8Array(32).fill(1)
    })
    for (const [a, b] of [
      [0, 1],
      [1, 3],
      [2, 3],
    ] as const) {
      const messages = new SealedMessages(epoch, cryptography)
      messages.emitted(7, sealed.bytes)
      messages.shared(a, share(7, sealed, a))
      messages.shared(b, share(7, sealed, b))
      assert.deepEqual(texts(messages), [undefined])
    }
  })

  it('gives its verdict on what is no envelope at the end of the step, by position among the others', () => {
    const messages = new SealedMessages(epoch, cryptography)
    const sealed = seal('bid 100')
    messages.emitted(6, sealed.bytes)
    assert.equal(messages.emitted(5, Uint8Array.of(1, 2, 3)), undefined)
    // Sealed for another number of nodes, as at the end of an epoch.
    assert.equal(messages.emitted(7, sealed.bytes.subarray(0, 40)), undefined)
    for (const node of [0, 1]) messages.shared(node, share(6, sealed, node))
    assert.deepEqual(
      messages.stepDone().map(({ position, content }) => [position, content !== undefined]),
      [
        [5, false],
        [6, true],
        [7, false],
      ],
    )
    assert.ok(messages.isIdle)
  })

  it('is void when the ciphertext does not open', () => {
    const messages = new SealedMessages(epoch, cryptography)
    const sealed = seal('bid 100')
    sealed.bytes[sealed.bytes.length - 1] = (sealed.bytes.at(-1) as number) ^ 1
    messages.emitted(7, sealed.bytes)
    for (const node of [0, 1]) messages.shared(node, share(7, sealed, node))
    assert.deepEqual(texts(messages), [undefined])
  })

  it('is void H steps after its place without enough shares, and nothing else waits for that', () => {
    const messages = new SealedMessages(epoch, cryptography)
    const [stuck, good] = [seal('stuck'), seal('good')]
    messages.emitted(7, stuck.bytes)
    messages.emitted(8, good.bytes)
    for (const node of [0, 1]) messages.shared(node, share(8, good, node))
    assert.deepEqual(
      messages.stepDone().map(({ position }) => position),
      [8],
    )
    for (let step = 2; step < voidRounds; step++) assert.deepEqual(texts(messages), [])
    assert.deepEqual(messages.stepDone(), [{ position: 7, content: undefined }])
  })

  it('gives verdicts of one step by position', () => {
    const messages = new SealedMessages(epoch, cryptography)
    const sealed = [seal('a'), seal('b'), seal('c')]
    for (const [i, one] of sealed.entries()) messages.emitted(i, one.bytes)
    for (const node of [2, 3]) {
      messages.shared(
        node,
        sharesBytes(sealed.map(({ shares }, position) => ({ position, share: shares[node] as Uint8Array })).reverse()),
      )
    }
    assert.deepEqual(texts(messages), ['a', 'b', 'c'])
  })

  it('takes shares from the next epoch, where a node has another index', () => {
    const messages = new SealedMessages(epoch, cryptography)
    const sealed = seal('bid 100')
    messages.emitted(7, sealed.bytes)
    messages.shared(0, share(7, sealed, 0))
    messages.enter({ ...epoch, number: 1, nodes: [...epoch.nodes].reverse() })
    messages.shared(0, share(7, sealed, 3))
    assert.deepEqual(texts(messages), ['bid 100'])
  })

  it('goes on from its snapshot', () => {
    const messages = new SealedMessages(epoch, cryptography)
    const sealed = [seal('a'), seal('b')] as const
    messages.emitted(4, sealed[0].bytes)
    messages.emitted(5, sealed[1].bytes)
    messages.shared(1, share(4, sealed[0], 1))
    messages.stepDone()
    const writer = new Writer()
    messages.write(writer)
    const copy = new SealedMessages(epoch, cryptography)
    const reader = new Reader(writer.take())
    copy.read(reader)
    assert.ok(reader.end(), reader.problem)
    for (const each of [messages, copy]) {
      each.shared(2, share(4, sealed[0], 2))
      assert.deepEqual(texts(each), ['a'])
      for (let step = 3; step < voidRounds; step++) assert.deepEqual(texts(each), [])
      assert.deepEqual(each.stepDone(), [{ position: 5, content: undefined }])
    }
  })

  it('holds no more bytes than its maximum: the oldest are void', () => {
    const messages = new SealedMessages(epoch, cryptography)
    const parts = readEnvelope(seal('x').bytes, 4)
    assert.ok(parts)
    const bytes = envelopeBytes({ ...parts, ciphertext: new Uint8Array(sealedBytesMax / 8) })
    for (let position = 0; position < 9; position++) messages.emitted(position, bytes)
    assert.deepEqual(
      messages.stepDone().map(({ position }) => position),
      [0, 1],
    )
    assert.equal(messages.size, 7)
  })
})

describe('readEnvelope()', () => {
  it('takes nothing that was not written so, and never throws', () => {
    const { bytes } = seal('bid 100')
    assert.deepEqual(envelopeBytes(readEnvelope(bytes, 4) ?? assert.fail()), bytes)
    assert.equal(readEnvelope(bytes, 7), undefined)
    for (let length = 0; length < bytes.length; length++)
      assert.equal(readEnvelope(bytes.subarray(0, length), 4), undefined)
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (junk) => {
        const read = readEnvelope(junk, junk[0] ?? 0)
        if (read !== undefined) assert.deepEqual(envelopeBytes(read), junk)
        const shares = readShares(junk)
        if (shares !== undefined) assert.deepEqual(sharesBytes(shares), junk)
      }),
    )
  })
})
