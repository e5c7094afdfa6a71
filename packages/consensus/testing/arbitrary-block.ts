/** Blocks for property tests: any that an author may make, with reports and messages, valid in all but their signatures. */
import fc from 'fast-check'
import type { BlockContent } from '../src/bytes/block-codec.ts'
import { MessageKind, type Reference } from '../src/model/block.ts'
import type { Epoch } from '../src/model/epoch.ts'

const digest = fc.uint8Array({ minLength: 32, maxLength: 32 })

export function arbitraryContent(epoch: Epoch): fc.Arbitrary<BlockContent> {
  const { n, q, constants } = epoch
  const older = fc.record({ author: fc.nat(n - 1), back: fc.integer({ min: 2, max: 20 }), digest })
  const report = fc.record({
    author: fc.nat(n - 1),
    distance: fc.integer({ min: -constants.reportAgeRounds, max: constants.reportAheadRounds }),
    digest,
    waited: fc.nat(3),
  })
  const message = fc.record({
    kind: fc.constantFrom(...Object.values(MessageKind)),
    more: fc.integer({ min: 1, max: 1000 }),
    recvUs: fc.maxSafeNat(),
    bytes: fc.uint8Array({ maxLength: 40 }),
  })
  return fc
    .record({
      author: fc.nat(n - 1),
      round: fc.oneof(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 2 ** 52 })),
      startUs: fc.nat(2 ** 50),
      direct: fc.uniqueArray(fc.record({ author: fc.nat(n - 1), digest }), {
        minLength: n,
        maxLength: n,
        selector: ({ author }) => author,
      }),
      leaveOut: fc.nat(n - q),
      older: fc.array(older, { maxLength: 3 }),
      reports: fc.array(report, { maxLength: 6 }),
      both: fc.boolean(),
      messages: fc.array(message, { maxLength: 4 }),
    })
    .map(({ author, round, startUs, direct, leaveOut, older: old, reports, both, messages }) => {
      const parents = [
        ...(round === 1 ? [] : direct.slice(leaveOut).map((parent) => ({ ...parent, round: round - 1 }))),
        ...old.map(({ back, ...parent }) => ({ ...parent, round: round - back })),
      ].filter((parent) => parent.round >= 1 && (parent.author !== author || parent.round === round - 1))
      const slots = new Map(parents.map((parent) => [`${parent.round}/${parent.author}`, parent]))
      let recvUs = startUs
      const reported: Reference[] = reports
        .map(({ distance, waited, ...unit }) => {
          recvUs += waited
          return { ...unit, round: round + distance, recvUs }
        })
        .filter((unit) => unit.round >= 1 && unit.author !== author)
        .map((unit) => ({ ...unit, parent: false, report: true }))
      const plain: Reference[] = []
      for (const parent of [...slots.values()].sort((a, b) => b.round - a.round || a.author - b.author)) {
        if (both && parent.author % 2 === 0 && parent.round === round - 1 && parent.author !== author) {
          reported.push({ ...parent, parent: true, report: true, recvUs: ++recvUs })
        } else plain.push({ ...parent, parent: true, report: false, recvUs: 0 })
      }
      let seq = 0
      return {
        author,
        round,
        tsUs: recvUs + 1,
        references: [...reported, ...plain],
        messages: messages.map(({ more, ...rest }) => {
          seq += more
          return { ...rest, seq }
        }),
      }
    })
}
