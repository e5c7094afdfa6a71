/** Blocks with reports, made by hand, for tests of the fair order: no graph, no signatures, digests that are counted. */
import { fakeCryptography } from '../../testing/fake-cryptography.ts'
import { makeEpoch } from '../bytes/epoch-record.ts'
import type { Block, BlockName, Reference } from '../model/block.ts'
import { type Constants, constantsFor } from '../model/constants.ts'
import type { Epoch } from '../model/epoch.ts'

const NONE = new Uint8Array(0)

export function fairEpoch(n: number, constants: Partial<Constants> = {}): Epoch {
  return makeEpoch(
    {
      number: 0,
      networkId: Uint8Array.of(1),
      nodes: Array.from({ length: n }, (_, i) => ({ publicKey: new Uint8Array(65).fill(i + 1), address: `n${i}:1` })),
      constants: constantsFor(n, constants),
      operators: { threshold: 0, keys: [] },
      previousHash: new Uint8Array(32),
    },
    fakeCryptography,
  )
}

/** Makes units and report-bearing blocks whose digests differ. */
export class Reporters {
  readonly epoch: Epoch
  #made = 0

  constructor(epoch: Epoch) {
    this.epoch = epoch
  }

  /** A block that carries a message. */
  unit(author: number, round: number, tsUs: number, reports: readonly (readonly [BlockName, number])[] = []): Block {
    return { ...this.block(author, round, reports), tsUs, messageCount: 1 }
  }

  /** A block without messages. */
  block(author: number, round: number, reports: readonly (readonly [BlockName, number])[]): Block {
    const references = reports.map(
      ([name, recvUs]): Reference => ({
        author: name.author,
        round: name.round,
        digest: name.digest,
        parent: false,
        report: true,
        recvUs,
      }),
    )
    const digest = new Uint8Array(32)
    new DataView(digest.buffer).setUint32(0, Math.imul(++this.#made, 0x9e3779b1) >>> 0)
    new DataView(digest.buffer).setUint32(28, this.#made)
    return {
      epoch: this.epoch.number,
      author,
      round,
      digest,
      tsUs: 0,
      references,
      messageCount: 0,
      header: NONE,
      signature: NONE,
      body: NONE,
    }
  }
}
