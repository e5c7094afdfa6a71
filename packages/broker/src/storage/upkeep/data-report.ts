/** What a look at a data directory answers with. */
import type { SurveyCounts } from '@concordmq/state'

export interface DataProblem {
  /** In the data directory. */
  readonly file: string
  /** Where in the file, as far as that says anything: records of a database have no place that stays. */
  readonly offset?: number
  /** The thing, in words: `session "a"`. */
  readonly what: string
  readonly detail: string
  /** What a repair gives up; empty: nothing. */
  readonly loss: string
}

/** What a node of a cluster has beside its state. */
export interface ClusterReport {
  readonly network: string
  /** Hash of the network's first epoch, in hexadecimal. */
  readonly genesis: string
  /** Name of the node's key. */
  readonly key: string
  /** Of the consensus log. */
  readonly segments: number
  readonly records: number
  /** A crash left so much unfinished at its end, which does no harm. */
  readonly tornBytes: number
  /** Of the consensus log, and of the log for proofs. */
  readonly bytes: number
}

export interface DataReport extends Readonly<SurveyCounts> {
  readonly directory: string
  /** Whether a broker starts with it. */
  readonly clean: boolean
  /** The place that the state has reached, and its time, milliseconds since 1970. */
  readonly position: number
  readonly timeMs: number
  /** Of all files. */
  readonly bytes: number
  readonly logSegments: number
  readonly logGroups: number
  /** A crash left so much unfinished at the end of the log: it was never acknowledged, and does no harm. */
  readonly tornBytes: number
  /** Undefined: the data are those of a node alone. */
  readonly cluster: ClusterReport | undefined
  /** The first of them. */
  readonly problems: readonly DataProblem[]
  readonly problemsTotal: number
  /** Files that are none of a broker's; nothing looks at them. */
  readonly foreign: readonly string[]
}
