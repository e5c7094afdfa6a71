/**
 * Graphs drawn by hand or by chance, for tests: blocks are made by name and parents, with the real codec, so that every one of
 * them is a block that a node could have sent.
 */
import { decodeBlock, encodeBlock, makeBlock } from '../src/bytes/block-codec.ts'
import { Domain } from '../src/bytes/domain.ts'
import { makeEpoch } from '../src/bytes/epoch-record.ts'
import type { Block, BlockMessage, Reference } from '../src/model/block.ts'
import { type Constants, constantsFor } from '../src/model/constants.ts'
import type { Epoch } from '../src/model/epoch.ts'
import { fakeCryptography } from './fake-cryptography.ts'

/** An epoch of n nodes with keys that are numbers. */
export function testEpoch(n: number, constants: Partial<Constants> = {}): Epoch {
  const nodes = Array.from({ length: n }, (_, index) => ({
    publicKey: Uint8Array.from({ length: 65 }, (_value, i) => (i === 0 ? 4 : index)),
    address: `127.0.0.1:${19793 + index}`,
  }))
  return makeEpoch(
    {
      number: 1,
      networkId: Uint8Array.of(1, 2, 3),
      nodes,
      constants: constantsFor(n, constants),
      operators: { threshold: 0, keys: [] },
      previousHash: new Uint8Array(32),
    },
    fakeCryptography,
  )
}

export interface Drawn {
  readonly author: number
  readonly round: number
  readonly parents: readonly Block[]
  /** Makes versions of one (author, round) differ. */
  readonly version?: number
  readonly messages?: readonly BlockMessage[]
}

export class Drawing {
  readonly epoch: Epoch
  readonly domain: Domain

  constructor(n: number, constants: Partial<Constants> = {}) {
    this.epoch = testEpoch(n, constants)
    this.domain = new Domain(this.epoch.hash, fakeCryptography)
  }

  block(drawn: Drawn): Block {
    const { author, round, parents, version = 0, messages = [] } = drawn
    const references: Reference[] = [...parents]
      .sort((a, b) => b.round - a.round || a.author - b.author)
      .map((parent) => ({
        author: parent.author,
        round: parent.round,
        digest: parent.digest,
        parent: true,
        report: false,
        recvUs: 0,
      }))
    const content = { author, round, tsUs: round * 1000 + version, references, messages }
    return makeBlock(content, this.epoch, this.domain, (digest) => fakeCryptography.sign(digest))
  }

  /** One block of each author in `authors`, each with all of `parents`. */
  row(round: number, authors: readonly number[], parents: readonly Block[]): Block[] {
    return authors.map((author) => this.block({ author, round, parents }))
  }

  /** What another node reads of the block's bytes. */
  received(block: Block): Block {
    const decoded = decodeBlock(encodeBlock(block), this.epoch, this.domain)
    if (!decoded.ok) throw new Error(decoded.problem)
    return decoded.value
  }
}
