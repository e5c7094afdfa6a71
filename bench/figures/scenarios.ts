/**
 * What is measured, and the bars: the table of the project's aims as code. 64 bytes, MQTT 3.1.1 and pipelined unless a name
 * says otherwise: publishers write up to 64 KiB at once, with at most 100 unacknowledged messages each at QoS 1 and 2.
 */
import { curveScenarios } from './curves.ts'
import type { Bar, Scenario } from './scenario.ts'

const connectionsWanted = 50_000

const shapes: Readonly<Record<string, readonly string[]>> = {
  '1:1': ['--pubs', '1', '--subs', '1'],
  'fan-in 20:1': ['--pubs', '20', '--subs', '1'],
  'fan-out 1:20': ['--pubs', '1', '--subs', '20'],
  'mesh 20x20': ['--mesh', '20'],
}

/** [times the fastest peer's rate, share of the cheapest peer's CPU] at QoS 0, 1, 2: for 1:1, and for the other shapes. */
const oneToOneBars = [
  [2, 0.4],
  [1.3, 0.8],
  [1.4, 0.7],
] as const
const otherBars = [
  [2, 0.4],
  [2, 0.5],
  [2.5, 0.4],
] as const

function throughput(times: number, share: number): readonly Bar[] {
  return [
    { kind: 'times', figure: 'recv_per_s', of: 'msg/s', min: times },
    { kind: 'share', figure: 'broker.cpu_s_per_mmsg', of: 'CPU', max: share },
  ]
}

function pubsub(
  name: string,
  group: string,
  shape: string,
  qos: number,
  bars: readonly Bar[],
  ...more: string[]
): Scenario {
  return { name, group, args: ['pubsub', ...(shapes[shape] ?? []), '--qos', String(qos), ...more], bars }
}

function pairsOf(window: number, times: number, share: number): Scenario {
  return {
    name: `200 pairs, QoS 1, window ${window}`,
    group: '200 pairs',
    args: ['pubsub', '--pubs', '200', '--subs', '200', '--topics', '200', '--qos', '1', '--window', String(window)],
    bars: throughput(times, share),
  }
}

/** Figures of 5.0, TLS and WebSocket beside those of 3.1.1 over TCP; no bars, but charted. */
const transports = (['1:1', 'fan-out 1:20'] as const).flatMap((shape) =>
  [0, 1].flatMap((qos): readonly Scenario[] => {
    const group = `ways in, ${shape}, QoS ${qos}`
    const name = (way: string): string => `${way}, ${shape}, QoS ${qos}`
    return [
      pubsub(name('3.1.1'), group, shape, qos, []),
      pubsub(name('5.0'), group, shape, qos, [], '--version', '5'),
      pubsub(name('5.0 with properties'), group, shape, qos, [], '--version', '5', '--props'),
      { ...pubsub(name('TLS'), group, shape, qos, [], '--tls'), transport: 'tls' },
      { ...pubsub(name('WebSocket'), group, shape, qos, [], '--ws'), transport: 'websocket' },
    ]
  }),
)

/** What a second worker costs: each has a share of the subscribers, and the other's messages come to it in batches. */
const workers = [0, 1].map(
  (qos): Scenario => ({
    ...pubsub(`two workers, fan-out 1:20, QoS ${qos}`, 'workers', 'fan-out 1:20', qos, [
      {
        ...{ kind: 'share of scenario', scenario: `fan-out 1:20, QoS ${qos}` },
        ...{ figure: 'broker.cpu_s_per_mmsg', of: 'CPU, of that with one', max: 1.4 },
      },
    ]),
    workers: 2,
    fresh: true,
    alone: true,
  }),
)

const latencies = [5_000, 20_000].map(
  (rate): Scenario => ({
    name: `latency at ${rate.toLocaleString('en')} msg/s`,
    group: 'latency',
    args: ['pubsub', '--qos', '0', '--rate', String(rate), '--spin'],
    bars: [{ kind: 'above peer', peer: 'mosquitto', figure: 'lat_us.p50', of: 'p50, µs', max: 15 }],
  }),
)

function subscriptions(count: number, kind: string, more: Partial<Scenario>): Scenario {
  return {
    name: `${count.toLocaleString('en')} subscriptions, ${kind === 'plus' ? 'base/N/+/v' : 'base/+/N/v'}`,
    group: 'subscriptions',
    args: ['subs', '--n', String(count), '--subs', '50', '--kind', kind, '--duration', '1.2', '--warmup', '0.3'],
    fresh: true,
    bars: [],
    ...more,
  }
}

const thousandSubscriptions = subscriptions(1_000, 'plus', { alone: true })

export const scenarios: readonly Scenario[] = [
  ...[0, 1, 2].flatMap((qos) =>
    Object.keys(shapes).map((shape) => {
      const [times, share] = (shape === '1:1' ? oneToOneBars : otherBars)[qos] as readonly [number, number]
      return pubsub(`${shape}, QoS ${qos}`, `QoS ${qos}`, shape, qos, throughput(times, share))
    }),
  ),
  pairsOf(20, 1, 1),
  pairsOf(1, 0.7, 1.5),
  pubsub('1 KiB, 1:20, QoS 0', '1 KiB', 'fan-out 1:20', 0, throughput(2, 0.5), '--payload', '1024'),
  pubsub('1 KiB, 1:1, QoS 0', '1 KiB', '1:1', 0, throughput(1, 1), '--payload', '1024'),
  pubsub('1 KiB, 1:1, QoS 1', '1 KiB', '1:1', 1, throughput(1.3, 0.8), '--payload', '1024'),
  pubsub('1 KiB, 1:20, QoS 1', '1 KiB', 'fan-out 1:20', 1, throughput(1, 1), '--payload', '1024'),
  pubsub('64 KiB, 1:20, QoS 0', '64 KiB', 'fan-out 1:20', 0, throughput(1, 1), '--payload', '65536'),
  pubsub('64 KiB, 1:20, QoS 1', '64 KiB', 'fan-out 1:20', 1, throughput(1, 1), '--payload', '65536'),
  pubsub('64 KiB, 1:1, QoS 0', '64 KiB', '1:1', 0, throughput(0.8, 1.4), '--payload', '65536'),
  pubsub('64 KiB, 1:1, QoS 1', '64 KiB', '1:1', 1, throughput(0.8, 1.4), '--payload', '65536'),
  ...workers,
  ...latencies,
  ...transports,
  ...['plus', 'front'].map((kind) => subscriptions(100_000, kind, { bars: throughput(1, 1) })),
  thousandSubscriptions,
  subscriptions(1_000_000, 'plus', {
    alone: true,
    bars: [
      { kind: 'at most', figure: 'bytes_per_sub', of: 'bytes each', max: 400 },
      {
        ...{ kind: 'of scenario', scenario: thousandSubscriptions.name },
        ...{ figure: 'recv_per_s', of: 'matching, of that with 1,000', min: 1 },
      },
    ],
  }),
  {
    name: '100,000 retained',
    group: 'retained',
    args: ['retained', '--n', '100000', '--qos', '1', '--sub-qos', '0', '--window', '100', '--keep'],
    fresh: true,
    bars: [
      { kind: 'times', figure: 'load_per_s', of: 'load', min: 1 },
      { kind: 'times', figure: 'recv_per_s', of: 'deliver', min: 1 },
    ],
  },
  {
    name: '1,000,000 retained',
    group: 'retained',
    args: ['retained', '--n', '1000000', '--qos', '1', '--sub-qos', '0', '--window', '1000', '--keep'],
    fresh: true,
    alone: true,
    bars: [{ kind: 'at least', figure: 'recv_per_s', of: 'deliver, msg/s', min: 500_000 }],
  },
  {
    name: '10,000 idle connections',
    group: 'connections',
    args: ['connect', '--n', '10000', '--hold', '1'],
    fresh: true,
    bars: [
      { kind: 'at most', figure: 'bytes_per_conn', of: 'bytes each', max: 5_120 },
      { kind: 'at least', figure: 'connects_per_s', of: 'connects/s', min: 10_000 },
    ],
  },
  {
    name: 'connect and disconnect',
    group: 'connections',
    args: ['connect', '--churn', '--n', '200', '--conc', '100', '--duration', '1.5'],
    bars: [{ kind: 'at least', figure: 'connects_per_s', of: 'cycles/s', min: 10_000 }],
  },
  {
    name: '50,000 connections',
    group: 'connections',
    args: ['connect', '--n', String(connectionsWanted), '--hold', '3', '--src-ips', '4'],
    files: connectionsWanted + 100,
    fresh: true,
    alone: true,
    bars: [{ kind: 'at least', figure: 'held', of: 'held', min: connectionsWanted }],
  },
  ...curveScenarios,
]
