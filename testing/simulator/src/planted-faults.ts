/**
 * Faults that someone might make in the engine one day, each with the kinds of trouble under which it has to show. They are
 * planted in a copy of the sources (`planted-engine.ts`), and `planted-faults.slow.test.ts` sees each of them caught.
 */
import type { PlantedFault } from './planted-engine.ts'
import type { FaultKind } from './scenario.ts'

export interface Planted extends PlantedFault {
  /** Kinds of trouble in the runs that are to find it. */
  readonly under: readonly FaultKind[]
  /** Runs end as failures of one of these words; another failure would be found by accident. */
  readonly caughtAs: RegExp
}

export const plantedFaults: readonly Planted[] = [
  {
    name: 'what is to be kept later is said to be kept, and is not written',
    edits: [
      {
        file: 'engine.ts',
        find: 'if (message !== undefined) this.#keep(message)',
        replace: "if (message !== undefined) this.#node.outbox.push({ type: 'kept', id: input.id })",
      },
    ],
    under: ['delay', 'crash'],
    caughtAs: /Not settled|lost/,
  },
  {
    name: 'a slot is skipped when anybody is against it',
    edits: [
      {
        file: 'commit/votes.ts',
        find: 'skip = authorCount(nonVoters(graph, block)) >= q',
        replace: 'skip = authorCount(nonVoters(graph, block)) > 0',
      },
    ],
    under: ['delay', 'loss'],
    caughtAs: /another position|another schedule|diverged/,
  },
  {
    name: 'a block leaves although it is not in the write-ahead log',
    edits: [
      {
        file: 'core/maker.ts',
        find: 'records.push(own)',
        replace: 'own.bytes',
      },
    ],
    under: [],
    caughtAs: /before it was durable/,
  },
  {
    name: 'a block leaves although its history is not in the write-ahead log',
    edits: [
      {
        file: 'core/maker.ts',
        find: 'records.push(...this.#takeUnwritten())',
        replace: 'records.push()',
      },
    ],
    under: [],
    caughtAs: /which it names, was durable/,
  },
  {
    name: 'a restart forgets which rounds are used',
    edits: [
      {
        file: 'core/maker.ts',
        find: 'this.last = Math.max(this.last, last)',
        replace: 'this.last = Math.max(this.last, 0)',
      },
      // Else the node stands aside when it is given one of the blocks that it forgot.
      {
        file: 'core/epochs.ts',
        find: 'if (this.amnesia.active || forgottenRound',
        replace: 'if (this.amnesia.active || true || forgottenRound',
      },
    ],
    under: ['crash'],
    caughtAs: /Two blocks of round/,
  },
  {
    name: 'what times leave open is decided by arrival',
    edits: [
      {
        file: 'commit/history.ts',
        find: 'return sortFew(found, compareVertices)',
        replace: 'return found.sort((a, b) => a.round - b.round || a.index - b.index || compareVertices(a, b))',
      },
      {
        file: 'order/emission-order.ts',
        find: 'compareKeys(edges.unit(a.members[0] as number), edges.unit(b.members[0] as number)),',
        replace: '(a.members[0] as number) - (b.members[0] as number),',
      },
    ],
    under: ['delay', 'loss'],
    caughtAs: /another position|diverged/,
  },
  {
    name: 'the report of a unit’s author counts twice',
    edits: [
      {
        file: 'order/fair-order.ts',
        find: 'if (count === q) this.#fresh.push(unit)',
        replace: 'if (count + ((unit.reporters >>> unit.author) & 1) === q) this.#fresh.push(unit)',
      },
    ],
    under: ['delay', 'byzantine'],
    caughtAs: /F1|F2|fair cuts/,
  },
  {
    name: 'a unit does not wait for what was reported before it',
    edits: [
      {
        file: 'order/emission-order.ts',
        find: 'if (step - unit.solidStep < patience && waitsForOpen(unit)) return true',
        replace: 'if (step - unit.solidStep < 0 && waitsForOpen(unit)) return true',
      },
      {
        file: 'order/emission-order.ts',
        find: 'const waits = waitsForOpen(unit)',
        replace: 'const waits = isOverdue && waitsForOpen(unit)',
      },
    ],
    under: ['delay', 'byzantine'],
    caughtAs: /F1|F2/,
  },
  {
    name: 'the latest report alone gives a unit its time',
    edits: [
      {
        file: 'order/fair-order.ts',
        find: 'return times[(times.length - 1) >>> 1] as number',
        replace: 'return times[times.length - 1] as number',
      },
    ],
    under: ['byzantine', 'delay'],
    caughtAs: /no correct clock/,
  },
  {
    name: 'a message that was submitted again gets a second place',
    edits: [
      {
        file: 'order/positions.ts',
        find: 'if (!window.take(message.seq)) continue',
        replace: 'window.take(message.seq)',
      },
    ],
    under: ['byzantine', 'crash', 'delay'],
    caughtAs: /is at positions/,
  },
  {
    name: 'nobody follows a block that went ahead',
    edits: [
      {
        file: 'core/maker.ts',
        find: 'this.#graph.quorumRound + 1 : this.#graph.maxRound',
        replace: 'this.#graph.quorumRound + 1 : 0',
      },
    ],
    under: ['delay'],
    caughtAs: /Not settled|waited/,
  },
  {
    name: 'votes count before they are part of the order',
    edits: [
      {
        file: 'commit/committer.ts',
        find: 'while (block !== undefined && authorCount(block.tallied) < q) block = block.other',
        replace: 'while (block !== undefined && authorCount(block.voters) < q) block = block.other',
      },
    ],
    under: ['delay', 'partition', 'byzantine', 'crash'],
    caughtAs: /another schedule|another position|diverged/,
  },
  {
    name: 'a unit is reported by when it was asked for and not by when it came',
    edits: [
      {
        file: 'core/reports.ts',
        find: 'this.#queue.push({ known, recvUs: this.#clock.stamp(arrivalUs) })',
        replace: 'this.#queue.unshift({ known, recvUs: this.#clock.stamp(arrivalUs) })',
      },
    ],
    under: ['delay'],
    caughtAs: /F1|F2|Not settled/,
  },
]
