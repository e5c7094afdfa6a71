/**
 * One run of one scenario, in four parts:
 *
 *     trouble   traffic and weather, until `rounds` are reached or the time for it is over
 *     settling  the network heals, everybody runs; every message must get its place on every node
 *     quiet     liars stop; the cluster must fall silent
 *     verdict   what can only be judged at the end
 *
 * A broken promise is thrown as a `Violation`. The same scenario gives the same run, event by event.
 */
import { Cluster, type ClusterOptions } from './cluster.ts'
import type { FairnessFigures } from './invariants/fairness.ts'
import { Excused, violated } from './invariants/violation.ts'
import { arrivals } from './world/traffic.ts'
import { Weather } from './world/weather.ts'

export interface RunResult extends FairnessFigures {
  /** Highest round of an own block of a correct node. */
  readonly rounds: number
  readonly blocks: number
  readonly messages: number
  readonly crashes: number
  readonly jailed: number
  readonly fairCuts: number
  /** From submission to place at the submitter, in its own rounds, sorted. */
  readonly latencies: readonly number[]
  /** From submission to emission, for every message and node, µs, sorted. */
  readonly deliveriesUs: readonly number[]
  /** Until the last message had its place everywhere, from when the network was whole, in delays of the slowest link. */
  readonly settledAfter: number
  readonly virtualUs: number
  readonly events: number
  readonly frames: number
  readonly bytes: number
  /** 1: it ended early, since a node was jailed that had lost its disk and could not know what it had made; else 0. */
  readonly excused: 0 | 1
}

/** Trouble may take so many times what its rounds take without any; with one node far away, as if it were not quite so far. */
const troubleTimes = 12
const troubleFarTimes = 5
/** Settling may take so long, in delays of the slowest link, beside what time-outs in real time take. */
const settlingTimes = 3_000
const settlingUs = 90_000_000
/** A run of so many events goes round in circles: most have some thousands. */
const eventsMax = 1_000_000
/** Rounds that may be begun once the last message has its place. */
const quietRounds = 10
/**
 * So many while a node that lost its disk finds out which blocks it made. It makes none, so that each of the others is needed in
 * every round, and slots of a slow one may stay open for several.
 */
const quietRoundsForgetful = 60
/** With nothing in its way, a message has its place everywhere after so many delays of the slowest link. */
const stuckTimes = 100
/** A silent stretch of so many delays is silence. */
const silenceTimes = 60
/** With longer windows silence after a liar's unit is too far away to wait for in every run. */
const quietVoidRoundsMax = 200

/** `script` may enter into the agenda, before the run begins, what no scenario draws. */
export function run(options: ClusterOptions, script: (cluster: Cluster) => void = () => undefined): RunResult {
  const cluster = new Cluster(options)
  const { scenario, agenda, watch, network } = cluster
  const weather = new Weather({
    scenario,
    agenda,
    draws: cluster.draws.stream('weather'),
    network,
    victims: {
      correct: cluster.correct,
      crash: (node, effects, downUs) => cluster.crash(node, effects, downUs),
      loseDisk: (downUs) => cluster.loseDisk(downUs),
      jump: (node, us) => cluster.node(node).clock.jump(us),
    },
    trace: options.trace === undefined ? undefined : (line) => options.trace?.(`${agenda.nowUs} ${line}`),
  })
  const counter = new EventCounter()
  script(cluster)
  const ended = playedOut(cluster, weather, counter)
  return {
    ...ended,
    rounds: watch.highestRound,
    blocks: watch.blocksMade,
    messages: watch.agreement.log.length,
    crashes: weather.crashes,
    jailed: watch.jailed.size,
    fairCuts: watch.fairCuts,
    latencies: watch.latencies.toSorted((a, b) => a - b),
    deliveriesUs: watch.agreement.deliveriesUs.toSorted((a, b) => a - b),
    virtualUs: agenda.nowUs,
    events: counter.events,
    frames: network.framesSent,
    bytes: network.bytesSent,
  }
}

function playedOut(
  cluster: Cluster,
  weather: Weather,
  counter: EventCounter,
): FairnessFigures & Pick<RunResult, 'settledAfter' | 'excused'> {
  const { agenda } = cluster
  try {
    cluster.start()
    weather.begin()
    trouble(cluster, counter)
    weather.clear()
    // With a liar that opens rounds for ever, a node with too little CPU for them would never be where the others are.
    for (const node of cluster.correct) cluster.node(node).relieve()
    const healedUs = agenda.nowUs
    settle(cluster, counter)
    const settledAfter = (agenda.nowUs - healedUs) / cluster.delays.slowestUs
    cluster.hush()
    quieten(cluster, counter)
    return { ...verdict(cluster, weather), settledAfter, excused: 0 }
  } catch (error) {
    if (!(error instanceof Excused)) throw error
    return { pairs: 0, turnedInCycles: 0, settledAfter: 0, excused: 1 }
  }
}

class EventCounter {
  events = 0

  count(): void {
    if (++this.events > eventsMax) violated(`Not at an end after ${eventsMax} events`)
  }
}

function trouble(cluster: Cluster, counter: EventCounter): void {
  const { scenario, agenda, watch, delays } = cluster
  const next = arrivals(scenario.traffic, cluster.draws.stream('traffic'), scenario)
  let isOver = false
  const publish = (): void => {
    if (isOver) return
    const { afterUs, node, count } = next()
    agenda.after(afterUs, () => {
      for (let i = 0; i < count && !isOver; i++) cluster.submit(node)
      publish()
    })
  }
  publish()
  const roundUs = Math.min(delays.slowestUs, scenario.baseUs * troubleFarTimes)
  const untilUs = scenario.rounds * roundUs * troubleTimes
  while (watch.highestRound < scenario.rounds && agenda.next(untilUs)) counter.count()
  isOver = true
}

function settle(cluster: Cluster, counter: EventCounter): void {
  const { agenda, watch, delays, correct } = cluster
  // Each node can publish again, whatever befell it.
  agenda.after(delays.slowestUs * 10, () => {
    for (const node of correct) cluster.submit(node)
  })
  const againUs = Math.ceil(agenda.nowUs + delays.slowestUs * 10)
  while (agenda.next(againUs)) counter.count()
  const untilUs = agenda.nowUs + settlingTimes * delays.slowestUs + settlingUs
  // Liars may go on for ever, so everybody has to come to where the log was once nothing of correct nodes was missing in it.
  let goal: number | undefined
  for (;;) {
    if (goal === undefined && watch.agreement.missing === 0) goal = watch.agreement.log.length
    if (goal !== undefined && areAllAt(cluster, goal)) return
    counter.count()
    if (agenda.next(untilUs)) continue
    const { missing, positions, log } = watch.agreement
    violated(
      `Not settled: ${missing} messages without a place, positions ${positions.join(' ')} of ${log.length}, ` +
        `modes ${cluster.nodes.map((node) => node?.status?.mode ?? '-').join(' ')}`,
    )
  }
}

function areAllAt({ watch, correct, nodes }: Cluster, position: number): boolean {
  return correct.every(
    (node) => nodes[node]?.isRunning === true && (watch.agreement.positions[node] as number) >= position,
  )
}

function quieten(cluster: Cluster, counter: EventCounter): void {
  const { agenda, watch, delays, scenario, genesis } = cluster
  const { voidRounds } = genesis.constants
  if (scenario.liars.length > 0 && voidRounds > quietVoidRoundsMax) return
  const usual = scenario.lostDisk ? quietRoundsForgetful : quietRounds
  const roundsMax = watch.highestRound + usual + (scenario.liars.length > 0 ? voidRounds : 0)
  let blocks = watch.blocksMade
  let silentUntilUs = agenda.nowUs + silenceTimes * delays.slowestUs
  while (agenda.next(silentUntilUs)) {
    counter.count()
    if (watch.blocksMade === blocks) continue
    blocks = watch.blocksMade
    silentUntilUs = agenda.nowUs + silenceTimes * delays.slowestUs
    const round = watch.highestRound
    if (round > roundsMax) violated(`Not silent: round ${round}, where ${roundsMax} was to be the last`)
  }
}

function verdict(cluster: Cluster, weather: Weather): FairnessFigures {
  const { watch, scenario, genesis, delays } = cluster
  const crashes = cluster.correct.reduce((sum, node) => sum + cluster.node(node).crashes, 0)
  // A node that is cut off, far or slow for so many rounds is waited for no longer than that.
  const slowestUs = Math.max(weather.longestCutUs, delays.slowestUs, ...scenario.syncUs.map((us) => 2 * us))
  // A node whose CPU is not enough for the rounds of the others falls ever farther behind until they have less to say.
  const isOverloaded = scenario.frameUs.some((us) => us * scenario.n > scenario.baseUs / 2)
  const isCalm = crashes === 0 && !isOverloaded && slowestUs / scenario.baseUs <= genesis.constants.patienceSteps / 2
  if (isCalm && watch.fairCuts > 0 && scenario.loss === 0) violated(`${watch.fairCuts} fair cuts`)
  const waitedUs = watch.agreement.deliveriesUs.reduce((longest, us) => Math.max(longest, us), 0)
  // A clock that is set back stops deadlines for a moment, and a liar may cost time.
  const isUndisturbed =
    scenario.resetEvery === 0 && weather.longestCutUs === 0 && scenario.clockEvery === 0 && scenario.liars.length === 0
  if (isCalm && scenario.loss === 0 && isUndisturbed) {
    if (waitedUs > stuckTimes * slowestUs) violated(`A message waited ${waitedUs} µs, with nothing in its way`)
  }
  if (watch.fairCuts > 0 || watch.fairLate > 0) return { pairs: 0, turnedInCycles: 0 }
  return watch.fairness.check(genesis.f, { clocksJump: scenario.clockEvery > 0 })
}
