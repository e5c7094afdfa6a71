/**
 * What a snapshot says about linearised blocks that are not here yet (consensus.md section 11): they count as linearised, with
 * their votes, as soon as they come; until then their names stand for them. Empty on a node that never took a snapshot.
 */
import { EncodedRounds } from '../bytes/encoded-rounds.ts'
import { compareBytes, sameBytes } from '../bytes/order.ts'
import type { Reader } from '../bytes/reader.ts'
import { Writer } from '../bytes/writer.ts'
import type { Graph } from '../graph/graph.ts'
import { authorCount, type Vertex } from '../graph/vertex.ts'

interface LinearisedName {
  readonly author: number
  readonly digest: Uint8Array
  /** Authors of linearised blocks of the next round that vote for it; kept for the current window only. */
  readonly tallied: number
}

/** Which rounds are written, and of which of them the votes. */
export interface NamedRounds {
  readonly from: number
  readonly to: number
  readonly talliedFrom: number
}

/** Bytes of a name without votes. */
const NAME_BYTES = 1 + 32

export class LinearisedNames {
  readonly #rounds = new Map<number, LinearisedName[]>()
  /** Of rounds whose votes are not written any more. */
  readonly #encoded: EncodedRounds
  readonly #scratch = new Writer()

  /** For a graph of `n` authors that keeps `keepRounds` rounds. */
  constructor(n: number, keepRounds: number) {
    this.#encoded = new EncodedRounds(keepRounds + 1, 2 + n * NAME_BYTES)
  }

  /** A block of this round was linearised. */
  changed(round: number): void {
    this.#encoded.forget(round)
  }

  /** This round is so old that its votes are not written any more: what will be written of it is made ready. */
  settle(graph: Graph, round: number): void {
    if (round > graph.collectedRound) this.#encode(graph, round)
  }

  /** A block came: marks it if it is one of these. */
  meet(vertex: Vertex): void {
    if (this.#rounds.size === 0) return
    const names = this.#rounds.get(vertex.round)
    const at = names?.findIndex((name) => sameBytes(name.digest, vertex.block.digest)) ?? -1
    const name = names?.[at]
    if (names === undefined || name === undefined) return
    vertex.linearised = true
    vertex.tallied = name.tallied
    names.splice(at, 1)
    if (names.length === 0) this.#rounds.delete(vertex.round)
  }

  /** Whether a linearised block of this slot is still to come. */
  has(round: number, author: number): boolean {
    return this.#rounds.get(round)?.some((name) => name.author === author) ?? false
  }

  /** Whether one of them found `voters` voters. */
  good(round: number, author: number, voters: number): boolean {
    const names = this.#rounds.get(round)
    return names?.some((name) => name.author === author && authorCount(name.tallied) >= voters) ?? false
  }

  /** Forgets rounds up to `round`. */
  collect(round: number): void {
    for (const old of this.#rounds.keys()) if (old <= round) this.#rounds.delete(old)
  }

  /** The linearised blocks of some rounds, here or still to come; the same bytes on every node. */
  write(writer: Writer, graph: Graph, rounds: NamedRounds): void {
    for (let round = rounds.from; round <= rounds.to; round++) {
      if (round >= rounds.talliedFrom) this.#writeRound(writer, graph, round, { votes: true })
      else writer.raw(this.#encoded.get(round) ?? this.#encode(graph, round))
    }
  }

  read(reader: Reader, n: number, rounds: NamedRounds): void {
    for (let round = rounds.from; round <= rounds.to && reader.problem === undefined; round++) {
      const count = reader.u16()
      const names: LinearisedName[] = []
      for (let i = 0; i < count && reader.problem === undefined; i++) {
        const author = reader.u8()
        const digest = reader.raw(32).slice()
        const tallied = round >= rounds.talliedFrom ? reader.u32() : 0
        const name = { author, digest, tallied }
        const before = names.at(-1)
        if (author >= n || tallied >= 2 ** n) reader.fail('author is not in the book')
        if (before !== undefined && compareNames(before, name) >= 0) reader.fail('names are not in order')
        names.push(name)
      }
      if (names.length > 0) this.#rounds.set(round, names)
    }
  }

  #encode(graph: Graph, round: number): Uint8Array {
    this.#scratch.cut()
    this.#writeRound(this.#scratch, graph, round, { votes: false })
    const bytes = this.#scratch.view()
    this.#encoded.set(round, bytes)
    return bytes
  }

  #writeRound(writer: Writer, graph: Graph, round: number, { votes }: { readonly votes: boolean }): void {
    const toCome = this.#rounds.get(round)
    if (toCome === undefined && graph.forked(round) === 0) return writeOnlyVersions(writer, graph, round, votes)
    const names = [...(toCome ?? []), ...linearisedOf(graph, round)].sort(compareNames)
    writer.u16(names.length)
    for (const name of names) writeName(writer, name.author, name.digest, votes ? name.tallied : undefined)
  }
}

/** The usual case: one block of each author, in order as it stands in the graph. */
function writeOnlyVersions(writer: Writer, graph: Graph, round: number, votes: boolean): void {
  const countAt = writer.length
  let count = 0
  writer.u16(0)
  for (let author = 0; author < graph.epoch.n; author++) {
    const vertex = graph.first(round, author)
    if (vertex === undefined || !vertex.linearised) continue
    writeName(writer, author, vertex.block.digest, votes ? vertex.tallied : undefined)
    count++
  }
  writer.u16At(countAt, count)
}

function writeName(writer: Writer, author: number, digest: Uint8Array, tallied: number | undefined): void {
  writer.u8(author)
  writer.raw(digest)
  if (tallied !== undefined) writer.u32(tallied)
}

function compareNames(a: LinearisedName, b: LinearisedName): number {
  return a.author - b.author || compareBytes(a.digest, b.digest)
}

function linearisedOf(graph: Graph, round: number): LinearisedName[] {
  const names: LinearisedName[] = []
  for (let author = 0; author < graph.epoch.n; author++) {
    for (let vertex = graph.first(round, author); vertex !== undefined; vertex = vertex.other) {
      const { digest } = vertex.block
      if (vertex.linearised) names.push({ author, digest, tallied: vertex.tallied >>> 0 })
    }
  }
  return names
}
