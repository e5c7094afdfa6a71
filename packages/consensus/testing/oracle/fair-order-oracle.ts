/**
 * Section 8 of consensus.md word for word, as slow as it reads: the oracle that the fair order is compared with. Names are those
 * of the specification; sets are sets, and nothing is remembered between steps but what section 8.1 lists.
 *
 * One rule more (docs/internals/consensus.md): a reporter counts for at most n versions of one (author, round).
 */
import type { Block, BlockName } from '../../src/model/block.ts'
import type { Epoch } from '../../src/model/epoch.ts'

export interface OracleEmission {
  readonly name: BlockName
  readonly consensusUs: number
  readonly superseded: boolean
}

interface Solid {
  readonly pred: readonly string[]
  readonly key: number
  readonly step: number
}

export class FairOrderOracle {
  readonly #epoch: Epoch
  readonly #names = new Map<string, BlockName>()
  readonly #list: string[][]
  readonly #rep = new Map<string, Map<number, number>>()
  readonly #lastT: number[]
  readonly #solid = new Map<string, Solid>()
  readonly #emitted = new Set<string>()
  readonly #jailed = new Set<number>()
  #cUs: number
  /** Emitted though a unit that should have come first was left behind. */
  cuts = 0
  /** Units of every component with more than one member. */
  readonly cycles: BlockName[][] = []

  constructor(epoch: Epoch, consensusUs: number) {
    this.#epoch = epoch
    this.#list = epoch.nodes.map(() => [])
    this.#lastT = epoch.nodes.map(() => 0)
    this.#cUs = consensusUs
  }

  jail(author: number): void {
    this.#jailed.add(author)
  }

  evidence(b: Block, r: number): void {
    const i = b.author
    if (this.#jailed.has(i)) return
    for (const x of b.references) if (x.report) this.#add(x, x.recvUs, i, r)
    if (b.messageCount > 0) this.#add(b, b.tsUs, i, r)
  }

  fairOrder(r: number): OracleEmission[] {
    const { n, f, q, constants } = this.#epoch
    const K = constants.patienceSteps
    const H = constants.voidRounds
    const newlySolid = [...this.#rep.keys()].filter((u) => this.#reporters(u).size >= q && !this.#solid.has(u))
    for (const u of newlySolid.sort((a, b) => this.#byName(a, b))) {
      const S = [...this.#reporters(u).keys()]
      const pred = [...this.#rep.keys()].filter(
        (y) => y !== u && S.filter((i) => this.#before(i, y, u)).length >= S.length - f,
      )
      const T = [...this.#reporters(u).values()].sort((a, b) => a - b)
      this.#solid.set(u, { pred, key: T[Math.floor((S.length - 1) / 2)] as number, step: r })
    }

    for (const [u, name] of [...this.#names]) {
      if (!this.#rep.has(u) || this.#solid.has(u)) continue
      if (name.round <= r - H || this.#jailed.has(name.author)) this.#remove(u)
    }

    const age = (u: string): number => r - this.#solidOf(u).step
    const pred = (u: string): string[] => this.#solidOf(u).pred.filter((y) => this.#rep.has(y))
    const edges = (u: string): string[] => pred(u).filter((y) => age(u) < K || this.#solid.has(y))
    const solidUnits = [...this.#solid.keys()]
    const reachesOpen = (u: string): boolean =>
      [...reach(u, (y) => (this.#solid.has(y) ? edges(y) : []))].some((y) => !this.#solid.has(y))
    const E = solidUnits.filter((u) => !(reachesOpen(u) && age(u) < 4 * K))
    const inE = new Set(E)
    const edgesInE = (u: string): string[] => edges(u).filter((y) => inE.has(y))

    const reachable = new Map(E.map((u) => [u, reach(u, edgesInE)]))
    const components: string[][] = []
    for (const u of E) {
      if (components.some((members) => members.includes(u))) continue
      const members = E.filter((y) => y === u || (reachable.get(u)?.has(y) && reachable.get(y)?.has(u)))
      components.push(members.sort((a, b) => this.#byKey(a, b)))
    }
    const out: string[] = []
    while (components.length > 0) {
      const available = components.filter((members) =>
        members.every((u) => edgesInE(u).every((y) => out.includes(y) || members.includes(y))),
      )
      available.sort((a, b) => this.#byKey(a[0] as string, b[0] as string))
      const first = available[0]
      if (first === undefined) throw new Error(`components are not acyclic (n=${n})`)
      components.splice(components.indexOf(first), 1)
      out.push(...first)
      if (first.length > 1) this.cycles.push(first.map((u) => this.#names.get(u) as BlockName))
    }
    for (const u of out) if (pred(u).some((y) => !inE.has(y))) this.cuts++
    return out.map((u) => this.#emit(u))
  }

  #emit(u: string): OracleEmission {
    const name = this.#names.get(u) as BlockName
    const versions = [...this.#emitted].map((e) => this.#names.get(e) as BlockName)
    const superseded = versions.some((other) => other.author === name.author && other.round === name.round)
    this.#cUs = Math.max(this.#solidOf(u).key, this.#cUs)
    this.#remove(u)
    this.#emitted.add(u)
    return { name, consensusUs: this.#cUs, superseded }
  }

  #add(unit: BlockName, timeUs: number, i: number, r: number): void {
    const u = keyOf(unit)
    if (this.#emitted.has(u) || unit.round <= r - this.#epoch.constants.voidRounds) return
    if (this.#rep.get(u)?.has(i)) return
    if (!this.#rep.has(u) && this.#jailed.has(unit.author)) return
    const versions = (this.#list[i] as string[]).filter((y) => {
      const other = this.#names.get(y) as BlockName
      return other.author === unit.author && other.round === unit.round
    })
    if (versions.length >= this.#epoch.n) return
    this.#names.set(u, unit)
    const t = Math.max(timeUs, this.#lastT[i] as number)
    this.#lastT[i] = t
    const rep = this.#rep.get(u) ?? new Map<number, number>()
    rep.set(i, t)
    this.#rep.set(u, rep)
    this.#list[i]?.push(u)
  }

  /** Emitted or void: out of every table. */
  #remove(u: string): void {
    this.#rep.delete(u)
    this.#solid.delete(u)
    for (const [i, list] of this.#list.entries()) this.#list[i] = list.filter((y) => y !== u)
  }

  #before(i: number, y: string, u: string): boolean {
    const list = this.#list[i] as string[]
    const place = list.indexOf(y)
    return place !== -1 && place < list.indexOf(u)
  }

  #reporters(u: string): Map<number, number> {
    return this.#rep.get(u) as Map<number, number>
  }

  #solidOf(u: string): Solid {
    return this.#solid.get(u) as Solid
  }

  #byName(a: string, b: string): number {
    const x = this.#names.get(a) as BlockName
    const y = this.#names.get(b) as BlockName
    return x.round - y.round || x.author - y.author || (hex(x.digest) < hex(y.digest) ? -1 : 1)
  }

  #byKey(a: string, b: string): number {
    const difference = this.#solidOf(a).key - this.#solidOf(b).key
    if (difference !== 0) return difference
    const x = hex((this.#names.get(a) as BlockName).digest)
    const y = hex((this.#names.get(b) as BlockName).digest)
    return x < y ? -1 : x > y ? 1 : 0
  }
}

/** Everything that `next` leads to from `start`, directly or through others. */
function reach(start: string, next: (u: string) => string[]): Set<string> {
  const found = new Set<string>()
  const left = next(start)
  for (let u = left.pop(); u !== undefined; u = left.pop()) {
    if (found.has(u)) continue
    found.add(u)
    left.push(...next(u))
  }
  return found
}

function keyOf(name: BlockName): string {
  return `${name.author}/${name.round}/${hex(name.digest)}`
}

function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}
