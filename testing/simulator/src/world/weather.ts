/**
 * The troubles of a run, as they come: partitions of several kinds, links that are reset, nodes that crash one by one or all at
 * once, clocks that jump, a disk that is lost. Each kind comes at random moments with a mean distance from the scenario, until
 * the weather clears; what it has broken by then is mended by whoever clears it.
 */
import type { Scenario } from '../scenario.ts'
import type { Agenda } from './agenda.ts'
import type { Draws } from './draws.ts'
import type { CutKind, Network } from './network.ts'

/** What can be done to a node, by its number. */
export interface Victims {
  /** Nodes with an engine that is under test. */
  readonly correct: readonly number[]
  /** Crashes the node between two effects: so many later, 0 for now. */
  readonly crash: (node: number, effects: number, downUs: number) => void
  readonly loseDisk: (node: number, downUs: number) => void
  readonly jump: (node: number, us: number) => void
}

interface WeatherOptions {
  readonly scenario: Scenario
  readonly agenda: Agenda
  readonly draws: Draws
  readonly network: Network
  readonly victims: Victims
  readonly trace?: ((line: string) => void) | undefined
}

const hourUs = 3_600_000_000

export class Weather {
  /** The longest partition, µs. */
  longestCutUs = 0
  crashes = 0
  readonly #o: WeatherOptions
  #isClear = false

  constructor(options: WeatherOptions) {
    this.#o = options
  }

  begin(): void {
    const { scenario, draws, agenda } = this.#o
    this.#every(scenario.partitionEvery, () => this.#partition())
    this.#every(scenario.resetEvery, () => this.#reset())
    this.#every(scenario.crashEvery, () => this.#crash())
    this.#every(scenario.clockEvery, () => this.#jump())
    if (scenario.lostDisk) {
      agenda.after(draws.between(5, scenario.rounds) * scenario.baseUs, () => this.#loseDisk())
    }
  }

  clear(): void {
    this.#isClear = true
    this.#o.network.heal()
  }

  #every(times: number, happen: () => void): void {
    if (times === 0) return
    const { agenda, draws, scenario } = this.#o
    const wait = (): void =>
      agenda.after(-Math.log(1 - draws.fraction()) * times * scenario.baseUs, () => {
        if (this.#isClear) return
        happen()
        wait()
      })
    wait()
  }

  /** Two sides that do not hear each other, or of which one does; for long, or on and off. */
  #partition(): void {
    const { scenario, draws, agenda } = this.#o
    const side = new Set(
      draws.shuffled(Array.from({ length: scenario.n }, (_, node) => node)).slice(0, draws.between(1, scenario.n >> 1)),
    )
    const oneWay = draws.chance(0.3)
    const isCut = (from: number, to: number): boolean => side.has(from) !== side.has(to) && (!oneWay || side.has(from))
    const kind = draws.pick<CutKind>(['drop', 'hold'])
    const flaps = draws.chance(0.3) ? draws.between(2, 6) : 1
    const lastsUs = draws.between(3, 80) * scenario.baseUs
    this.longestCutUs = Math.max(this.longestCutUs, lastsUs)
    this.#trace(
      () => `partition ${[...side].join(',')}${oneWay ? ' one way' : ''} ${kind} ${lastsUs} µs, ${flaps} times`,
    )
    for (let flap = 0; flap < flaps; flap++) {
      const fromUs = flap * (lastsUs + 3 * scenario.baseUs)
      agenda.after(fromUs, () => this.#cut(isCut, kind))
      agenda.after(fromUs + lastsUs, () => this.#o.network.mend(isCut))
    }
  }

  #cut(isCut: (from: number, to: number) => boolean, kind: CutKind): void {
    if (this.#isClear) return
    const { n } = this.#o.scenario
    for (let from = 0; from < n; from++) {
      for (let to = 0; to < n; to++) if (from !== to && isCut(from, to)) this.#o.network.cut(from, to, kind)
    }
  }

  #reset(): void {
    const { draws, scenario, network } = this.#o
    const a = draws.below(scenario.n)
    const b = (a + draws.between(1, scenario.n - 1)) % scenario.n
    this.#trace(() => `reset ${a}-${b}`)
    network.reset(a, b)
  }

  #crash(): void {
    const { draws, scenario, victims } = this.#o
    const all = draws.chance(0.1)
    for (const node of all ? victims.correct : [draws.pick(victims.correct)]) {
      this.crashes++
      victims.crash(node, draws.below(12), draws.between(2, 120) * scenario.baseUs)
    }
  }

  #loseDisk(): void {
    const { draws, scenario, victims } = this.#o
    if (this.#isClear) return
    this.crashes++
    victims.loseDisk(draws.pick(victims.correct), draws.between(2, 60) * scenario.baseUs)
  }

  #jump(): void {
    const { draws, victims } = this.#o
    const node = draws.pick(victims.correct)
    const us = draws.pick([1_000, 1_000_000, hourUs]) * (draws.chance(0.5) ? 1 : -1)
    this.#trace(() => `clock of ${node} jumps by ${us} µs`)
    victims.jump(node, us)
  }

  #trace(line: () => string): void {
    this.#o.trace?.(line())
  }
}
