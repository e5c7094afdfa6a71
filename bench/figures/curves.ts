/**
 * Cost curves: one thing grows, all else stays. Only ours is measured, over TCP at 64 bytes; every point is messages a second
 * and CPU per message, and a curve's name says what grows. `nodes` is taken by `bench/cluster.ts`.
 */
import type { Scenario } from './scenario.ts'

interface Curve {
  readonly name: string
  readonly points: readonly number[]
  readonly args: (x: number) => readonly string[]
  readonly before?: (x: number) => readonly (readonly string[])[]
  readonly fresh?: boolean
}

const million = [1, 100, 10_000, 100_000, 1_000_000]

const curves: readonly Curve[] = [
  {
    name: 'subscribers',
    points: [1, 10, 100, 1_000, 10_000],
    args: (x) => ['pubsub', '--pubs', '1', '--subs', String(x), '--qos', '0'],
  },
  {
    name: 'topics',
    points: million,
    args: (x) => ['pubsub', '--qos', '0', '--spread', String(x)],
    fresh: true,
  },
  ...['exact', 'plus', 'front'].map((kind) => ({
    name: `subscriptions, ${{ exact: 'exact', plus: 'base/N/+/v', front: 'base/+/N/v' }[kind]}`,
    points: [100, 1_000, 10_000, 100_000, 1_000_000],
    args: (x: number) => ['subs', '--n', String(x), '--subs', '50', '--kind', kind],
    fresh: true,
  })),
  ...[0, 1].map((qos) => ({
    name: `payload, QoS ${qos}`,
    points: [16, 64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576],
    args: (x: number) => ['pubsub', '--qos', String(qos), '--payload', String(x)],
  })),
  {
    name: 'connections, in pairs, QoS 1, window 20',
    points: [2, 20, 200, 2_000, 10_000, 18_000],
    args: (x) => {
      const half = String(x / 2)
      const settings = ['--qos', '1', '--window', '20', '--batch', '4096', '--conc', '100']
      return ['pubsub', '--pubs', half, '--subs', half, '--topics', half, ...settings]
    },
    fresh: true,
  },
  {
    name: 'offline sessions',
    points: [0, 100, 1_000, 10_000, 100_000],
    before: (x) =>
      x === 0 ? [] : [['sessions', '--n', String(x), '--conc', '100', '--prefix', 'offline', '--qos', '1']],
    args: () => ['pubsub', '--qos', '1'],
    fresh: true,
  },
  {
    name: 'retained messages, delivered at subscribing',
    points: [100, 1_000, 10_000, 100_000, 1_000_000],
    args: (x) => ['retained', '--n', String(x), '--qos', '1', '--sub-qos', '0', '--window', '1000', '--keep'],
    fresh: true,
  },
]

/** The group of the points that `bench/cluster.ts` takes. */
export const nodesCurve = 'curve: nodes, QoS 1, saturated'
export const nodesPoints: readonly number[] = [1, 4, 7, 10]

export const curveScenarios: readonly Scenario[] = curves.flatMap(({ name, points, args, before, fresh = false }) =>
  points.map((x) => ({
    name: `curve: ${name}: ${x.toLocaleString('en')}`,
    group: `curve: ${name}`,
    args: args(x),
    before: before?.(x) ?? [],
    bars: [],
    fresh,
    alone: true,
    x,
  })),
)

interface CurveGroup {
  readonly title: string
  /** What grows, in words. */
  readonly what: string
  /** Curves that share a chart. */
  readonly groups: readonly string[]
}

/** How the page shows them. */
export const curveGroups: readonly CurveGroup[] = [
  ...[...new Set(curves.map(({ name }) => name.split(',')[0] as string))].map((title) => ({
    title,
    what: title === 'payload' ? 'payload, bytes' : title,
    groups: curves.filter(({ name }) => name.split(',')[0] === title).map(({ name }) => `curve: ${name}`),
  })),
  { title: 'nodes', what: 'nodes, all on this machine', groups: [nodesCurve] },
]
